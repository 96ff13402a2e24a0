"""What an org's answer to an API call says about the session it was made with."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_EXPIRY: Final = (
    # Answers of 401 that no new token mends; a client that refreshed on them looped for ever.
    "this session is not valid for use with the rest api",
    "connected app is not attached to agent",
)
_DEAD_IDENTITY: Final = b"Bad_OAuth_Token"


class SessionVerdict(StrEnum):
    """Whether the access token is still good, as far as the answer tells."""

    EXPIRED = "expired"  # renew once, ask again: the call was not processed
    REFUSED = "refused"  # the session lives but may not do this
    FINE = "fine"  # the answer says nothing against the session


def session_verdict(status: int, body: bytes) -> SessionVerdict:
    """Read what an answer says against the session.

    REST says 401 `INVALID_SESSION_ID` in an array; identity, userinfo and singleaccess say
    403 and one word of plain text. Any other 403 is about permissions.
    Spec: REST API Developer Guide, "Status Codes and Error Responses".
    """
    if status == _FORBIDDEN and body.strip() == _DEAD_IDENTITY:
        return SessionVerdict.EXPIRED
    if status != _UNAUTHORIZED:
        return SessionVerdict.FINE
    lowered = body.decode("utf-8", "replace").lower()
    if any(text in lowered for text in _NOT_EXPIRY):
        return SessionVerdict.REFUSED
    if _invalid_session(body):
        return SessionVerdict.EXPIRED
    return SessionVerdict.REFUSED


def _invalid_session(body: bytes) -> bool:
    if b"<errorCode>INVALID_SESSION_ID</errorCode>" in body:  # where the caller asked for XML
        return True
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    match answer:
        case [{"errorCode": "INVALID_SESSION_ID"}, *_]:
            return True
        case _:
            return False
