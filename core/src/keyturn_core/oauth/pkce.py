"""Proof Key for Code Exchange, S256 only."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from keyturn_core.secrets import CodeVerifier

_FEWEST: Final = 32  # bytes: 43 characters, the shortest verifier that RFC 7636 allows
_MOST: Final = 96  # bytes: 128 characters, the longest one


def new_code_verifier(random: bytes) -> CodeVerifier:
    """Return `random`, 32 to 96 bytes of it, as a verifier of 43 to 128 characters.

    Spec: RFC 7636 section 4.1.
    """
    if not _FEWEST <= len(random) <= _MOST:
        raise ValueError(f"a code verifier is made of {_FEWEST} to {_MOST} random bytes")
    return CodeVerifier(_base64url(random))


def code_challenge(verifier: CodeVerifier) -> str:
    """Return the S256 challenge of a verifier: 43 characters of base64url.

    Spec: RFC 7636 section 4.2.
    """
    return _base64url(hashlib.sha256(verifier.reveal().encode("ascii")).digest())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
