"""Access tokens in JWT format, read only to learn when they end."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from keyturn_core.secrets import AccessToken

LATEST: Final = 253402300799  # seconds since 1970: the end of the year 9999
_PARTS: Final = 3


def expiry_of_jwt(token: AccessToken) -> int | None:
    """Return `exp` of a JWT in seconds since 1970, None for opaque tokens.

    The signature is not checked: the token came from the token endpoint itself, and nothing
    but the time to ask for a new one hangs on this.
    """
    parts = token.reveal().split(".")
    if len(parts) != _PARTS:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        payload: Any = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
    except (ValueError, binascii.Error, RecursionError):
        return None
    match payload:
        case {"exp": int(seconds)} if 0 < seconds <= LATEST and seconds is not True:
            return seconds
        case _:
            return None
