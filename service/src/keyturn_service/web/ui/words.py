"""What the pages say: the catalogue's entries in the words of the person who reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from keyturn_core.errors import Who
from keyturn_core.salesforce.refusals import CATALOGUE
from keyturn_core.salesforce.scopes import Scope

_NAMELESS: Final = "the product you came from"
_AGAIN: Final = "go back to {product} and press Connect again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A failure as its page tells it. `who` and `where` are whole phrases."""

    code: str
    title: str
    cause: str
    who: str
    where: str


_OWN: Final[Mapping[str, Explanation]] = MappingProxyType(
    {
        "not_found": Explanation(
            code="not_found",
            title="This link leads nowhere",
            cause="No connection was asked for under this address; it may have been cut short.",
            who="You",
            where=_AGAIN,
        ),
        "form_refused": Explanation(
            code="form_refused",
            title="That form was not sent from this page",
            cause="Your browser did not show the cookie that this page gave it, or another site"
            " sent the form.",
            who="You",
            where="allow cookies for this site, then open the link again",
        ),
        "store_unavailable": Explanation(
            code="store_unavailable",
            title="We cannot go on right now",
            cause="The database of this service does not answer. Nothing was changed in your org.",
            who="It passes",
            where="try again in a minute",
        ),
        "seal_refused": Explanation(
            code="seal_refused",
            title="We cannot go on with this connection",
            cause="What this service kept for it was damaged. Nothing of it left, and nothing was"
            " changed in your org.",
            who="{product}",
            where=f"tell them the code below; or {_AGAIN}",
        ),
        "internal_error": Explanation(
            code="internal_error",
            title="Something went wrong here",
            cause="This service met an error of its own. It was noted, without your data.",
            who="{product}",
            where=f"tell them the code below; or {_AGAIN}",
        ),
    }
)
_WHO: Final[Mapping[Who, str]] = MappingProxyType(
    {
        Who.VENDOR: "{product}",
        Who.ADMIN: "An admin of your Salesforce org",
        Who.USER: "You",
        Who.SALESFORCE: "Salesforce; it usually passes",
        Who.OPERATOR: "The operators of this page; {product} reaches them",
    }
)
_PRODUCT_AGAIN: Final = "the vendor's product: connect Salesforce again"
_BEHIND_THE_PAGE: Final = frozenset({Who.VENDOR, Who.OPERATOR})
_TOLD_ON: Final = "tell them the code below. What they need: "
_SCOPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "api": "Read and change data through Salesforce's APIs, as far as your user may",
        "refresh_token": "Stay connected until you disconnect",
        "offline_access": "Stay connected until you disconnect",
        "id": "See who you are: name, e-mail address, org",
        "openid": "See who you are: name, e-mail address, org",
        "profile": "See who you are: name, e-mail address, org",
        "email": "See who you are: name, e-mail address, org",
        "full": "Do everything that your user may do",
        "web": "Open Salesforce's pages as you",
        "chatter_api": "Read and write in Chatter as you",
        "content": "Read and change files",
        "custom_permissions": "See your custom permissions",
    }
)


def is_known(code: str) -> bool:
    """Tell whether there is a page for a code."""
    return code in CATALOGUE or code in _OWN


def explain(code: str, *, product: str | None) -> Explanation:
    """Return what a page tells of a code, to somebody who came from `product`."""
    name = product or _NAMELESS
    own = _OWN.get(code)
    if own is not None:
        return _about(own, name)
    refusal = CATALOGUE.get(code) or CATALOGUE["unknown_refusal"]
    where = _AGAIN if refusal.where == _PRODUCT_AGAIN else refusal.where
    if refusal.who in _BEHIND_THE_PAGE:
        where = _TOLD_ON + where
    told = Explanation(
        code=refusal.code,
        title=refusal.title,
        cause=refusal.cause,
        who=_WHO[refusal.who],
        where=where.replace("the vendor's product", "{product}"),
    )
    return _about(told, name)


def access_in_words(scopes: frozenset[Scope]) -> tuple[str, ...]:
    """Return what the scopes allow, each thing once; scopes without words by name."""
    said = [_SCOPES.get(scope, f"Use the scope {scope}") for scope in sorted(scopes)]
    return tuple(dict.fromkeys(said))


def _about(told: Explanation, name: str) -> Explanation:
    def filled(text: str) -> str:
        whole = text.replace("{product}", name)
        return whole[:1].upper() + whole[1:]

    return Explanation(
        code=told.code,
        title=told.title,
        cause=told.cause,
        who=filled(told.who),
        where=filled(told.where),
    )
