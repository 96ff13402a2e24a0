"""The world's own keys: hashes for tokens, seals for what must be read again, signatures.

The sealing key lies in a file of mode 0600 beside the data; hashes and signing keys are sealed
under it.
"""

import base64
import hashlib
import hmac
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orgsim import randomness
from orgsim.json_text import compact_json
from orgsim.orgs.store import Store

_NONCE_BYTES = 12
_RSA_BITS = 2048
_REFERENCE_DIGITS = 16


def base64url(data: bytes) -> str:
    """Encode without padding.

    Spec: RFC 7515 section 2.
    """
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def load_or_make_key(path: Path) -> bytes:
    """Return the sealing key of a folder; a new one is readable by its owner only."""
    if path.exists():
        return path.read_bytes()
    key = randomness.new_key()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
    return key


class Seal:
    """Seals small texts; what is sealed as one thing does not open as another."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, label: str, data: bytes) -> bytes:
        """Seal data under a label."""
        nonce = randomness.new_key()[:_NONCE_BYTES]
        return nonce + self._cipher.encrypt(nonce, data, label.encode())

    def open(self, label: str, sealed: bytes) -> bytes:
        """Open what was sealed under the same label."""
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], label.encode())


def kept_secret(store: Store, seal: Seal, label: str, *, fresh: bytes) -> bytes:
    """Return the sealed secret of that label, or keep `fresh` as such."""
    for body in store.load(f"sealed:{label}"):
        return seal.open(label, body)
    store.put(f"sealed:{label}", label, seal.seal(label, fresh))
    return fresh


class TokenHashes:
    """Keyed hashes of tokens: for look-up, and for the journal."""

    def __init__(self, key: bytes) -> None:
        self._lookup = hmac.digest(key, b"lookup", hashlib.sha256)
        self._journal = hmac.digest(key, b"journal", hashlib.sha256)

    def lookup(self, token: str) -> str:
        """Return the hash under which a token is kept."""
        return hmac.digest(self._lookup, token.encode(), hashlib.sha256).hex()

    def reference(self, token: str) -> str:
        """Return the short hash by which the journal shows a token twice."""
        return hmac.digest(self._journal, token.encode(), hashlib.sha256).hex()[:_REFERENCE_DIGITS]


class SigningKey:
    """One RS256 key of the world, published at `/id/keys`."""

    def __init__(self, *, kid: str, private_key: rsa.RSAPrivateKey) -> None:
        self.kid = kid
        self._private_key = private_key

    @classmethod
    def load(cls, *, kid: str, pem: bytes) -> "SigningKey":
        """Read a key of our own from PEM; that it is one is not proved again, which takes long."""
        key = serialization.load_pem_private_key(
            pem, password=None, unsafe_skip_rsa_key_validation=True
        )
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("a signing key is RSA")
        return cls(kid=kid, private_key=key)

    @classmethod
    def new_pem(cls) -> bytes:
        """Make a key and return it as PEM."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        return cls(kid="", private_key=key).pem()

    def pem(self) -> bytes:
        """Return the key as PEM, to be sealed."""
        return self._private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, claims: dict[str, Any], **header: str) -> str:
        """Return claims as a signed JWT.

        Spec: RFC 7515 section 7.1, RFC 7518 section 3.3.
        """
        head = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **header}
        text = f"{base64url(compact_json(head))}.{base64url(compact_json(claims))}"
        signature = self._private_key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{base64url(signature)}"

    def public_jwk(self) -> dict[str, str]:
        """Return the public half as a JWK.

        Spec: RFC 7517 section 4, RFC 7518 section 6.3.
        """
        numbers = self._private_key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": base64url(numbers.e.to_bytes(3, "big")),
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
        }
