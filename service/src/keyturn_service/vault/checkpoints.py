"""Signatures of checkpoints: Ed25519, by a key that comes from the root of the keyed hashes."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_LABEL: Final = b"keyturn-audit-checkpoint-1"
_SEED_BYTES: Final = 32


class CheckpointKey:
    """`ports.CheckpointSigner`: the same key for as long as the root is the same.

    Spec: RFC 8032 section 5.1, RFC 5869 section 2.3.
    """

    def __init__(self, root: bytes) -> None:
        seed = HKDFExpand(SHA256(), _SEED_BYTES, _LABEL).derive(root)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> bytes:
        """The 32 bytes by which everybody can verify."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._key.sign(message)


def is_signed(message: bytes, signature: bytes, *, by: bytes) -> bool:
    """Tell whether that public key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(by).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
