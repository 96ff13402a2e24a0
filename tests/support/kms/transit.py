"""The transit engine of Vault and OpenBao: `aes256-gcm96` keys with versions, in memory.

Real are the path and form of the calls, `vault:v<n>:` before a ciphertext, AES-256-GCM with the
associated data, tokens, namespaces, versions that may not be opened any more, a sealed server, and
its words. It does not derive keys, evaluate policies beyond "this token may not", or answer for
anything but encrypt and decrypt. Source: Transit secrets engine (API), Vault and OpenBao. No real
server of either is to be had from PyPI, npm or Debian.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.support.kms.front import Answer, Asked, json_answer

HOST: Final = "vault.acme.example:8200"
TOKEN: Final = "hvs.dummy-token"
NAMESPACE: Final = "acme"
_CALL: Final = re.compile(r"/v1/transit/(?P<verb>encrypt|decrypt)/(?P<name>[\w.-]+)")
_SEALED: Final = re.compile(r"vault:v(?P<version>\d+):(?P<box>.*)", re.DOTALL)


@dataclass
class TransitStandIn:
    """One mount, `transit`, in one namespace.

    `changed_is`: the status for what does not open: 400, and 500 in Vault 1.6 (its issue 10842).
    `binds`: not before Vault 1.13, which leaves out a parameter that it does not know.
    """

    hosts = (HOST,)
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    denied: set[str] = field(default_factory=set)
    sealed: bool = False
    changed_is: int = 400
    binds: bool = True
    least: dict[str, int] = field(default_factory=dict)
    _keys: dict[str, list[AESGCM]] = field(default_factory=dict)

    def new_key(self, name: str) -> str:
        """Make a key with one version, and return its path."""
        self._keys[name] = []
        self.new_version(name)
        return f"{HOST}/transit/keys/{name}"

    def new_version(self, name: str) -> None:
        """Rotate a key."""
        self._keys[name].append(AESGCM(AESGCM.generate_key(256)))

    def delete(self, name: str) -> None:
        """Forget a key."""
        del self._keys[name]

    def answer(self, asked: Asked) -> Answer:
        """Answer as Vault does."""
        if self.sealed:
            return _errors(503, "Vault is sealed")
        called = _CALL.fullmatch(asked.path)
        if called is None or asked.headers.get("x-vault-namespace") != NAMESPACE:
            return _errors(404, "no handler for route")
        if asked.headers.get("x-vault-token") not in self.tokens or called["verb"] in self.denied:
            return _errors(403, "permission denied")
        versions = self._keys.get(called["name"])
        if versions is None:
            return _errors(400, "encryption key not found")
        given = asked.json()
        bound = b64decode(given.get("associated_data", "")) if self.binds else b""
        if called["verb"] == "encrypt":
            number = given.get("key_version") or len(versions)
            nonce = os.urandom(12)
            box = nonce + versions[number - 1].encrypt(nonce, b64decode(given["plaintext"]), bound)
            text = f"vault:v{number}:{b64encode(box).decode()}"
            return json_answer(200, {"data": {"ciphertext": text, "key_version": number}})
        return self._decrypted(called["name"], versions, given["ciphertext"], bound)

    def _decrypted(self, name: str, versions: list[AESGCM], text: str, bound: bytes) -> Answer:
        parts = _SEALED.fullmatch(text)
        if parts is None:
            return _errors(400, "invalid ciphertext: no prefix")
        number = int(parts["version"])
        if number > len(versions) or number < 1:
            return _errors(400, "invalid ciphertext: version is too new")
        if number < self.least.get(name, 1):
            return _errors(400, "ciphertext or signature version is disallowed by policy (too old)")
        try:
            box = b64decode(parts["box"], validate=True)
            opened = versions[number - 1].decrypt(box[:12], box[12:], bound)
        except ValueError:
            return _errors(400, "invalid ciphertext: could not decode base64")
        except InvalidTag:
            return _errors(self.changed_is, "cipher: message authentication failed")
        return json_answer(200, {"data": {"plaintext": b64encode(opened).decode()}})


def _errors(status: int, text: str) -> Answer:
    return json_answer(status, {"errors": [text]})
