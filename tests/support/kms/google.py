"""Google Cloud KMS over REST: symmetric keys with versions, in memory.

Real are AES-256-GCM with the additional authenticated data, the primary version, states, errors
in Google's form, and the caller's JWT, whose signature is verified. It does not speak gRPC,
exchange tokens, evaluate policies, or answer for anything but encrypt and decrypt. Source: Cloud
KMS API v1, cryptoKeys.encrypt and .decrypt; Google's "self-signed JWT" authorization.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.support.kms.front import Answer, Asked, json_answer

EMAIL: Final = "keyturn@acme-test.iam.gserviceaccount.com"
_CALL: Final = re.compile(
    r"/v1/(?P<key>projects/[^:]+?)(?:/cryptoKeyVersions/(?P<version>\d+))?:(?P<verb>\w+)"
)


class GoogleStandIn:
    """Keys of one project."""

    hosts = ("cloudkms.googleapis.com",)

    def __init__(self) -> None:
        self._caller = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._keys: dict[str, list[AESGCM]] = {}
        self.disabled: set[str] = set()
        self.denied: set[str] = set()

    def credentials(self, path: Path) -> Path:
        """Write the file of a service account that may call."""
        pem = self._caller.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        account = {
            "type": "service_account",
            "project_id": "acme-test",
            "private_key_id": "dummy",
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
        path.write_text(json.dumps(account))
        return path

    def new_key(self, name: str) -> str:
        """Make a key with one version, and return its resource name."""
        key = f"projects/acme-test/locations/europe-west3/keyRings/keyturn/cryptoKeys/{name}"
        self._keys[key] = [AESGCM(AESGCM.generate_key(256))]
        return key

    def new_version(self, key: str) -> None:
        """Make a new primary version of a key."""
        self._keys[key].append(AESGCM(AESGCM.generate_key(256)))

    def delete(self, key: str) -> None:
        """Forget a key."""
        del self._keys[key]

    def answer(self, asked: Asked) -> Answer:  # noqa: PLR0911 - as many as Google has
        """Answer as Google does."""
        if not self._is_known(asked.headers.get("authorization", "")):
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        called = _CALL.fullmatch(asked.path.partition("?")[0])
        if called is None:
            return _error(404, "NOT_FOUND", "no such method")
        key, verb = called["key"], called["verb"]
        if verb in self.denied:
            return _error(
                403,
                "PERMISSION_DENIED",
                f"Permission 'cloudkms.cryptoKeyVersions.useTo{verb.title()}' denied on resource"
                f" '{key}' (or it may not exist).",
            )
        versions = self._keys.get(key)
        if versions is None:
            return _error(404, "NOT_FOUND", f"CryptoKey {key} not found.")
        given = asked.json()
        bound = b64decode(given.get("additionalAuthenticatedData", ""))
        if verb == "encrypt":
            number = int(called["version"] or len(versions))
            name = f"{key}/cryptoKeyVersions/{number}"
            if name in self.disabled:
                return _disabled(name)
            nonce = os.urandom(12)
            box = versions[number - 1].encrypt(nonce, b64decode(given["plaintext"]), bound)
            sealed = bytes((number,)) + nonce + box
            return json_answer(200, {"name": name, "ciphertext": b64encode(sealed).decode()})
        sealed = b64decode(given["ciphertext"])
        number = sealed[0]
        if not 1 <= number <= len(versions):
            return _undecipherable()
        if (name := f"{key}/cryptoKeyVersions/{number}") in self.disabled:
            return _disabled(name)
        try:
            opened = versions[number - 1].decrypt(sealed[1:13], sealed[13:], bound)
        except (InvalidTag, ValueError):
            return _undecipherable()
        primary = number == len(versions)
        return json_answer(200, {"plaintext": b64encode(opened).decode(), "usedPrimary": primary})

    def _is_known(self, authorization: str) -> bool:
        head, _, rest = authorization.removeprefix("Bearer ").partition(".")
        body, _, signature = rest.partition(".")
        try:
            self._caller.public_key().verify(
                _unpadded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            claims: Any = json.loads(_unpadded(body))
        except (InvalidSignature, ValueError):
            return False
        return claims["iss"] == EMAIL and (
            claims.get("aud") == "https://cloudkms.googleapis.com/" or "scope" in claims
        )


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _error(code: int, status: str, message: str) -> Answer:
    return json_answer(code, {"error": {"code": code, "message": message, "status": status}})


def _disabled(name: str) -> Answer:
    return _error(400, "FAILED_PRECONDITION", f"{name} is not enabled, current state is: DISABLED.")


def _undecipherable() -> Answer:
    return _error(
        400,
        "INVALID_ARGUMENT",
        "Decryption failed: verify that 'name' refers to the correct CryptoKey.",
    )
