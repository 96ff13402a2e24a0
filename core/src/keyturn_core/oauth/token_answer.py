"""Answers of the token endpoint, whatever the grant."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from keyturn_core.errors import CoreError, Remedy, Who
from keyturn_core.salesforce.refusals import Refusal
from keyturn_core.salesforce.scopes import Scope, read_scopes
from keyturn_core.secrets import AccessToken, IdToken, RefreshToken

OK: Final = 200
NOT_PROCESSED_STATUSES: Final = frozenset({429, 503})

_TOKEN: Final = re.compile(r"[\x20-\x7e]+")
_HALF: Final = re.compile(r"[\ud800-\udfff]")


class TokenRequestRefused(CoreError):
    """The token endpoint refused with an error code; `refusal` says what it means.

    `said` is what Salesforce said, in its own words as far as they can be shown.
    """

    def __init__(self, refusal: Refusal, said: str | None = None) -> None:
        self.refusal = refusal
        self.said = said
        self.code = refusal.code
        self.remedy = refusal.remedy
        self.who = refusal.who
        super().__init__(refusal.code)


class NotProcessed(CoreError):
    """The request was not processed: the org said so, or never saw it."""

    code = "salesforce_unavailable"
    remedy = Remedy.RETRY
    who = Who.SALESFORCE


class OutcomeUnknown(CoreError):
    """Nobody knows whether the org acted on the request."""

    code = "connection_uncertain"
    remedy = Remedy.RETRY
    who = Who.OPERATOR


class UnexpectedAnswer(CoreError):
    """The answer lacks what Salesforce documents."""

    code = "unexpected_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer:
    """What came back: status and raw bytes. `complete` is False for a truncated body."""

    status: int
    body: bytes
    complete: bool
    retry_after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenResponse:
    """A token response, read. What Salesforce may leave out is None.

    `salvaged` is True where the tokens were found in an answer that is otherwise broken; its
    access token may be lost, and then serves nobody.
    """

    access_token: AccessToken
    refresh_token: RefreshToken | None
    instance_url: str | None
    identity_url: str | None
    scopes: frozenset[Scope] | None
    issued_at: str | None
    signature: str | None
    id_token: IdToken | None
    token_type: str
    salvaged: bool = False
    access_token_lost: bool = False


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty one where there is none."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_token_response(members: dict[str, Any]) -> TokenResponse | None:
    """Return the token response in the members of an answer, None without an access token.

    Spec: RFC 6749 section 5.1; Salesforce's values are all strings, `issued_at` too.
    """
    access = token_text(members.get("access_token"))
    return None if access is None else token_response(AccessToken(access), members)


def token_response(access_token: AccessToken, members: dict[str, Any]) -> TokenResponse:
    """Return the token response of an access token and the members that came with it."""
    refresh = token_text(members.get("refresh_token"))
    id_token = token_text(members.get("id_token"))
    scope = _text(members.get("scope"))
    return TokenResponse(
        access_token=access_token,
        refresh_token=None if refresh is None else RefreshToken(refresh),
        instance_url=_text(members.get("instance_url")),
        identity_url=_text(members.get("id")),
        scopes=None if scope is None else read_scopes(scope),
        issued_at=_text(members.get("issued_at")),
        signature=_text(members.get("signature")),
        id_token=None if id_token is None else IdToken(id_token),
        token_type=_text(members.get("token_type")) or "Bearer",
    )


def token_text(value: object) -> str | None:
    """Return the value if a token may look like it: what is not could be neither sent nor kept.

    Spec: RFC 6749 appendices A.12 and A.17.
    """
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _text(value: object) -> str | None:
    """Return the value if it is text that UTF-8 can write: JSON can spell half a character."""
    return value if isinstance(value, str) and not _HALF.search(value) else None
