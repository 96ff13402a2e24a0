"""What an org's answer to an API call says about the session it was made with."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final

from keyturn_core.salesforce.soap import fault_code

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_FAULT: Final = 500
_NOT_EXPIRY: Final = (
    # Answers that no new token mends; a client that refreshed on them looped for ever.
    "this session is not valid for use with the rest api",
    "this session is not valid for use with the api",
    "connected app is not attached to agent",
)
_INVALID_SESSION: Final = "INVALID_SESSION_ID"
_DEAD_IDENTITY: Final = b"Bad_OAuth_Token"


class SessionVerdict(StrEnum):
    """Whether the access token is still good, as far as the answer tells."""

    EXPIRED = "expired"  # renew once, ask again: the call was not processed
    REFUSED = "refused"  # the session lives but may not do this
    FINE = "fine"  # the answer says nothing against the session


def session_verdict(status: int, body: bytes) -> SessionVerdict:
    """Read what an answer says against the session.

    REST says 401 `INVALID_SESSION_ID` in an array; identity, userinfo and singleaccess say
    403 and one word of plain text; SOAP says 500 and a fault of that code. Any other 403 is
    about permissions, any other 500 about the call.
    Spec: REST API Developer Guide, "Status Codes and Error Responses"; SOAP API Developer
    Guide, "API Fault Element".
    """
    if status == _FORBIDDEN and body.strip() == _DEAD_IDENTITY:
        return SessionVerdict.EXPIRED
    faulty = status == _FAULT and fault_code(body) == _INVALID_SESSION
    if status != _UNAUTHORIZED and not faulty:
        return SessionVerdict.FINE
    lowered = body.decode("utf-8", "replace").lower()
    if any(text in lowered for text in _NOT_EXPIRY):
        return SessionVerdict.REFUSED
    if faulty or _invalid_session(body):
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
