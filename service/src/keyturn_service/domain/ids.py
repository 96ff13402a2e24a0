"""Identifiers: text with a prefix that says what they name."""

from __future__ import annotations

from typing import Final, NewType

WorkspaceId = NewType("WorkspaceId", str)
AppId = NewType("AppId", str)
ConnectionId = NewType("ConnectionId", str)
ConnectSessionId = NewType("ConnectSessionId", str)
ApiKeyId = NewType("ApiKeyId", str)
ProxySessionId = NewType("ProxySessionId", str)
AttemptId = NewType("AttemptId", str)
SpoolId = NewType("SpoolId", str)
ReplicaId = NewType("ReplicaId", str)
RevocationId = NewType("RevocationId", str)
SigningKeyId = NewType("SigningKeyId", str)
IncidentId = NewType("IncidentId", str)
CustomerId = NewType("CustomerId", str)

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghijkmnpqrstvwxyz"
_ID_BYTES: Final = 18  # 144 bits, so that ids never meet by chance


def new_id(prefix: str, random: bytes) -> str:
    """Return `<prefix>_` and text made of `random`.

    `random` has `ID_BYTES` bytes or more; what is more is used too.
    """
    if len(random) < _ID_BYTES:
        raise ValueError(f"an id needs {_ID_BYTES} random bytes")
    number = int.from_bytes(random, "big")
    digits: list[str] = []
    while number:
        number, rest = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[rest])
    return f"{prefix}_{''.join(reversed(digits))}"


ID_BYTES: Final = _ID_BYTES
