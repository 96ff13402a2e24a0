"""Token introspection: the only place where Salesforce tells when an opaque token ends."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from keyturn_core.oauth.client import Client
from keyturn_core.oauth.jwt_access_token import LATEST
from keyturn_core.oauth.token_answer import OK, TokenAnswer, UnexpectedAnswer, json_object
from keyturn_core.salesforce.scopes import Scope, read_scopes
from keyturn_core.secrets import AccessToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """What the org says of a token. `expires_at` is in seconds since 1970.

    `active` False is no proof of death: an app may be told so of tokens it may not see.
    """

    active: bool
    expires_at: int | None
    scopes: frozenset[Scope]
    username: str | None


def introspection_request(client: Client, token: AccessToken) -> bytes:
    """Return the form that asks about an access token.

    Spec: RFC 7662 section 2.1.
    """
    return urlencode(
        [
            ("token", token.reveal()),
            ("token_type_hint", "access_token"),
            *client.parameters(),
        ]
    ).encode("ascii")


def read_introspection_answer(answer: TokenAnswer) -> Introspection:
    """Return what the org says of a token.

    Raises:
        UnexpectedAnswer: it says nothing.

    Spec: RFC 7662 section 2.2.
    """
    members = json_object(answer.body)
    active = members.get("active")
    if answer.status != OK or not isinstance(active, bool):
        raise UnexpectedAnswer(f"HTTP {answer.status}")
    scope, username = members.get("scope"), members.get("username")
    return Introspection(
        active=active,
        expires_at=_seconds(members.get("exp")),
        scopes=read_scopes(scope) if isinstance(scope, str) else frozenset(),
        username=username if isinstance(username, str) else None,
    )


def _seconds(value: object) -> int | None:
    """Return seconds since 1970 that are a date: a clock cannot take any number."""
    return value if type(value) is int and 0 < value <= LATEST else None
