"""Azure Key Vault and the token service of Microsoft Entra: RSA keys with versions, in memory.

Real are the challenge by which a vault names its token service, client credentials with MSAL's
discovery before them, tokens that end, RSA-OAEP-256 and PS256, and errors in Azure's form. It does
not sign its tokens, know managed identities, evaluate roles, or answer for anything but get,
wrapKey, unwrapKey, sign and verify. Source: Azure Key Vault REST API 7.6, "Authentication,
requests and responses"; Microsoft identity platform, client credentials flow.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from tests.support.kms.front import Answer, Asked, json_answer

TENANT: Final = "11111111-2222-3333-4444-555555555555"
CLIENT: Final = "99999999-8888-7777-6666-555555555555"
SECRET: Final = "dummy-client-secret"
VAULT: Final = "keyturn-test.vault.azure.net"
_LOGIN: Final = "login.microsoftonline.com"
_TOKEN: Final = "dummy-entra-token"
_CALL: Final = re.compile(
    r"/keys/(?P<name>[\w-]+)(?:/(?P<version>[0-9a-f]*))?(?:/(?P<verb>\w+))?/?"
)
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
_PREHASHED: Final = utils.Prehashed(hashes.SHA256())


@dataclass
class _Version:
    id: str
    key: rsa.RSAPrivateKey
    enabled: bool = True


@dataclass
class AzureStandIn:
    """One vault, one tenant, one application."""

    hosts = (VAULT, _LOGIN)
    denied: set[str] = field(default_factory=set)
    challenged: int = 0
    tokens: int = 0
    _keys: dict[str, list[_Version]] = field(default_factory=dict)

    def new_key(self, name: str) -> str:
        """Make a key with one version, and return its id without the version."""
        self._keys[name] = []
        self.new_version(name)
        return f"{VAULT}/keys/{name}"

    def new_version(self, name: str) -> None:
        """Make a new version of a key."""
        number = len(self._keys[name]) + 1
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._keys[name].append(_Version(f"{number:032x}", key))

    def set_enabled(self, name: str, *, enabled: bool) -> None:
        """Enable or disable every version of a key."""
        for version in self._keys[name]:
            version.enabled = enabled

    def delete(self, name: str) -> None:
        """Forget a key."""
        del self._keys[name]

    def public_key(self, name: str) -> rsa.RSAPublicKey:
        """Return what is no secret of the newest version of a key."""
        return self._keys[name][-1].key.public_key()

    def answer(self, asked: Asked) -> Answer:
        """Answer as Azure does."""
        return self._login(asked) if asked.host == _LOGIN else self._vault(asked)

    def _login(self, asked: Asked) -> Answer:
        base = f"https://{_LOGIN}/{TENANT}"
        path = asked.path.partition("?")[0]
        if path.endswith("/.well-known/openid-configuration"):
            return json_answer(
                200,
                {
                    "issuer": f"{base}/v2.0",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{base}/oauth2/v2.0/token",
                    "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                },
            )
        if path == "/common/discovery/instance":
            return json_answer(
                200,
                {
                    "tenant_discovery_endpoint": f"{base}/v2.0/.well-known/openid-configuration",
                    "metadata": [
                        {
                            "preferred_network": _LOGIN,
                            "preferred_cache": "login.windows.net",
                            "aliases": [_LOGIN],
                        }
                    ],
                },
            )
        form = parse_qs(asked.body.decode())
        if form.get("client_id") != [CLIENT] or form.get("client_secret") != [SECRET]:
            return json_answer(
                401,
                {
                    "error": "invalid_client",
                    "error_description": "AADSTS7000215: Invalid client secret provided.",
                },
            )
        if form.get("scope") != ["https://vault.azure.net/.default"]:
            return json_answer(400, {"error": "invalid_scope", "error_description": "AADSTS70011"})
        self.tokens += 1
        return json_answer(
            200,
            {"token_type": "Bearer", "expires_in": 3599, "access_token": f"{_TOKEN}-{self.tokens}"},
        )

    def _vault(self, asked: Asked) -> Answer:  # noqa: PLR0911 - as many as Azure has
        known = {f"Bearer {_TOKEN}-{number + 1}" for number in range(self.tokens)}
        if asked.headers.get("authorization") not in known:
            self.challenged += 1
            return json_answer(
                401,
                {"error": {"code": "Unauthorized", "message": "AKV10000: no bearer token"}},
                WWW_Authenticate=f'Bearer authorization="https://{_LOGIN}/{TENANT}",'
                ' resource="https://vault.azure.net"',
            )
        called = _CALL.fullmatch(asked.path.partition("?")[0])
        if called is None:
            return _error(404, "NotFound", "no such path")
        verb = called["verb"] or "get"
        if verb in self.denied:
            return _error(403, "Forbidden", f"The caller lacks Microsoft.KeyVault/{verb}/action")
        versions = self._keys.get(called["name"], [])
        wanted = called["version"] or ""
        found = [version for version in versions if not wanted or version.id == wanted]
        if not found:
            return _error(404, "KeyNotFound", f"A key with {called['name']} was not found")
        version = found[-1]
        id_ = f"https://{VAULT}/keys/{called['name']}/{version.id}"
        if verb == "get":
            return json_answer(200, {"key": _public(version, id_), "attributes": {"enabled": True}})
        if not version.enabled:
            return _error(403, "Forbidden", "Operation is not allowed on a disabled key.")
        try:
            return json_answer(200, {"kid": id_, **_done(verb, version.key, asked.json())})
        except ValueError:
            return _error(400, "BadParameter", "The parameter is incorrect.")


def _done(verb: str, key: rsa.RSAPrivateKey, given: Any) -> dict[str, object]:
    value = _bytes(given.get("value") or given.get("digest"))
    match verb, given["alg"]:
        case "wrapkey", "RSA-OAEP-256":
            return {"value": _text(key.public_key().encrypt(value, _OAEP))}
        case "unwrapkey", "RSA-OAEP-256":
            return {"value": _text(key.decrypt(value, _OAEP))}
        case "sign", "PS256":
            return {"value": _text(key.sign(value, _PSS, _PREHASHED))}
        case "verify", "PS256":
            try:
                signature = _bytes(given["value"])
                key.public_key().verify(signature, _bytes(given["digest"]), _PSS, _PREHASHED)
            except InvalidSignature:
                return {"value": False}
            return {"value": True}
    raise ValueError(verb)


def _public(version: _Version, id_: str) -> dict[str, object]:
    numbers = version.key.public_key().public_numbers()
    return {
        "kid": id_,
        "kty": "RSA",
        "key_ops": ["wrapKey", "unwrapKey", "sign", "verify"],
        "n": _text(numbers.n.to_bytes(256, "big")),
        "e": _text(numbers.e.to_bytes(3, "big")),
    }


def _error(status: int, code: str, message: str) -> Answer:
    return json_answer(status, {"error": {"code": code, "message": message}})


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
