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


class ApiError(StrEnum):
    """Whether the access token is still good, as far as the answer tells."""

    SESSION_EXPIRED = "session_expired"  # renew once, ask again: the call was not processed
    SESSION_REFUSED = "session_refused"  # the session lives but may not do this
    NONE = "none"  # the answer says nothing against the session


def read_api_error(status: int, content_type: str, body: bytes) -> ApiError:
    """Read what an answer says against the session.

    REST says 401 `INVALID_SESSION_ID` in an array; identity, userinfo and singleaccess say
    403 and one word of plain text. Any other 403 is about permissions.
    Spec: REST API Developer Guide, "Status Codes and Error Responses".
    """
    if status == _FORBIDDEN and body.strip() == _DEAD_IDENTITY:
        return ApiError.SESSION_EXPIRED
    if status != _UNAUTHORIZED:
        return ApiError.NONE
    lowered = body.decode("utf-8", "replace").lower()
    if any(text in lowered for text in _NOT_EXPIRY):
        return ApiError.SESSION_REFUSED
    if _invalid_session(content_type, body):
        return ApiError.SESSION_EXPIRED
    return ApiError.SESSION_REFUSED


def _invalid_session(content_type: str, body: bytes) -> bool:
    if "xml" in content_type.lower():  # where the caller asked for it
        return b"<errorCode>INVALID_SESSION_ID</errorCode>" in body
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    match answer:
        case [{"errorCode": "INVALID_SESSION_ID"}, *_]:
            return True
        case _:
            return False
