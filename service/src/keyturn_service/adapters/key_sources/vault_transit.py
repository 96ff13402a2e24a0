"""Keys in the transit engine of HashiCorp Vault or OpenBao, by hvac.

Rights: `update` on <mount>/encrypt/<key> and <mount>/decrypt/<key>; without `create` a mistyped
name makes no key. Source: Vault and OpenBao, Transit secrets engine (API).
"""

from __future__ import annotations

import ipaddress
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from hvac import Client
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized, VaultError
from hvac.utils import get_token_from_env
from requests import RequestException

from keyturn_service.adapters.key_sources.kms_key import KmsAccess, NoSuchKey
from keyturn_service.vault.errors import CannotOpen, KeySourceRefused, KeySourceUnavailable
from keyturn_service.vault.key_uri import KeyUri

_NO_KEY: Final = "encryption key not found"
_CHANGED: Final = "message authentication failed"  # with status 500 since Vault 1.5
_TOO_OLD: Final = "disallowed by policy"  # of min_decryption_version, which can be set back


class TransitKey:
    """`kms_key.KmsKey` over an AEAD key (`aes256-gcm96`) of the transit engine."""

    def __init__(self, uri: KeyUri, access: KmsAccess) -> None:
        self._uri = uri
        self._token_file = access.token_file
        scheme = "http" if _is_this_machine(uri.host) else "https"
        self._client: Any = Client(
            url=f"{scheme}://{uri.host}",
            token="",
            timeout=(access.connect_seconds, access.answer_seconds),
            namespace=uri.namespace,
            allow_redirects=False,
        )

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key."""
        return str(self._encrypted(key, associated_data)["ciphertext"]).encode()

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key that was wrapped."""
        if not wrapped.isascii() or not wrapped:
            raise CannotOpen("the wrapped key is out of shape")
        with self._asking() as transit:
            answer = transit.decrypt_data(
                name=self._uri.key,
                ciphertext=wrapped.decode(),
                associated_data=b64encode(associated_data).decode(),
                mount_point=self._uri.mount,
            )
        return b64decode(answer["data"]["plaintext"])

    def current(self) -> KeyUri:
        """Return the newest version, or the one that was named."""
        return self._uri.at(str(self._encrypted(b"trial", b"trial")["key_version"]))

    def _encrypted(self, value: bytes, associated_data: bytes) -> Any:
        version = self._uri.version
        with self._asking() as transit:
            return transit.encrypt_data(
                name=self._uri.key,
                plaintext=b64encode(value).decode(),
                associated_data=b64encode(associated_data).decode(),
                key_version=None if version is None else int(version),
                mount_point=self._uri.mount,
            )["data"]

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        self._client.token = self._token()
        try:
            yield self._client.secrets.transit
        except InvalidRequest as error:
            text = str(error)
            if _NO_KEY in text:
                raise NoSuchKey(text) from None
            if _TOO_OLD in text:
                raise KeySourceRefused(text) from None
            raise CannotOpen(f"the wrapped key was changed or belongs elsewhere ({text})") from None
        except (Forbidden, Unauthorized, InvalidPath) as error:
            raise KeySourceRefused(str(error)) from None
        except VaultError as error:  # sealed, standby, rate limit, an answer of a proxy
            if _CHANGED in str(error):
                raise CannotOpen("the wrapped key was changed or belongs elsewhere") from None
            raise KeySourceUnavailable(str(error)) from None
        except RequestException as error:
            raise KeySourceUnavailable(type(error).__name__) from None

    def _token(self) -> str:
        """Read the token anew: an agent renews it."""
        if self._token_file is not None:
            try:
                return self._token_file.read_text().strip()
            except (OSError, ValueError) as error:
                raise KeySourceUnavailable(
                    f"cannot read the token in {self._token_file}: {error}"
                ) from None
        token = get_token_from_env()
        if not token:
            raise KeySourceRefused(
                "there is no token: name the file that the agent writes"
                " (KEYTURN_KEY_SOURCE_TOKEN_FILE), or set VAULT_TOKEN"
            )
        return str(token)


def _is_this_machine(host: str) -> bool:
    """Tell whether an agent on this machine is meant: it listens without TLS."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"
