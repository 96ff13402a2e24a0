"""Keys in Azure Key Vault or Managed HSM, by its own client: RSA.

RSA-OAEP binds no associated data, and whoever has the public key can wrap; so the key signs what
it wrapped together with the associated data. Wrapped is format (1 byte), length of the RSA part
(2), that, and the signature: RSA-OAEP-256, PS256. Rights: keys/get (or keys/verify), keys/wrapKey,
keys/unwrapKey, keys/sign. Source: Azure Key Vault REST API, Wrap Key, Unwrap Key, Sign, Verify.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.identity import DefaultAzureCredential
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm, SignatureAlgorithm

from keyturn_service.adapters.key_sources.kms_key import KmsAccess, NoSuchKey
from keyturn_service.vault.errors import CannotOpen, KeySourceRefused, KeySourceUnavailable
from keyturn_service.vault.key_uri import KeyUri

_FORMAT: Final = 1
_HEAD: Final = 3
_LABEL: Final = b"keyturn-azure-wrap-1"
_BAD_REQUEST: Final = 400
_REFUSALS: Final = frozenset({400, 401, 403})
_REFUSED_BY_ENTRA: Final = re.compile(r"AADSTS(?!90033|90012|90024)\d+")  # those three pass by


class AzureKey:
    """`kms_key.KmsKey` over an RSA key of Azure Key Vault."""

    def __init__(self, uri: KeyUri, access: KmsAccess) -> None:
        self._uri = uri
        limits = {
            "connection_timeout": access.connect_seconds,
            "read_timeout": access.answer_seconds,
            "retry_total": 1,
        }
        path = f"{uri.key}/{uri.version}" if uri.version else uri.key
        self._client = CryptographyClient(
            f"https://{uri.host}/keys/{path}", DefaultAzureCredential(**limits), **limits
        )

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key, and sign what it is for."""
        with _told():
            box = self._client.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, key).encrypted_key
            signed = self._client.sign(SignatureAlgorithm.ps256, _digest(box, associated_data))
        return bytes((_FORMAT,)) + len(box).to_bytes(2, "big") + box + signed.signature

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key that was wrapped, once the signature is seen to be this key's."""
        end = _HEAD + int.from_bytes(wrapped[1:_HEAD], "big")
        box, signature = wrapped[_HEAD:end], wrapped[end:]
        if wrapped[:1] != bytes((_FORMAT,)) or not box or not signature:
            raise CannotOpen("the wrapped key is out of shape")
        with _told():
            seen = self._client.verify(
                SignatureAlgorithm.ps256, _digest(box, associated_data), signature
            )
            if not seen.is_valid:
                raise CannotOpen("the wrapped key was changed or belongs elsewhere")
            return self._client.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, box).key

    def current(self) -> KeyUri:
        """Return the newest version, or the one that was named."""
        with _told():
            signed = self._client.sign(SignatureAlgorithm.ps256, _digest(b"trial", b"trial"))
        return self._uri.at(str(signed.key_id).rpartition("/")[2])


def _digest(box: bytes, associated_data: bytes) -> bytes:
    length = len(associated_data).to_bytes(4, "big")
    return hashlib.sha256(_LABEL + length + associated_data + box).digest()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ResourceNotFoundError as error:
        raise NoSuchKey(error.message) from None
    except ClientAuthenticationError as error:
        # The chain of credentials keeps no answer. Where the token service refused, its code
        # stands in the text; without one it may as well be away.
        answered = error.response is not None and error.response.status_code in _REFUSALS
        refused = answered or _REFUSED_BY_ENTRA.search(error.message) is not None
        raise (KeySourceRefused if refused else KeySourceUnavailable)(error.message) from None
    except HttpResponseError as error:
        if error.status_code == _BAD_REQUEST:
            raise CannotOpen(
                f"the wrapped key was changed or belongs elsewhere ({error.message})"
            ) from None
        refused = error.status_code in _REFUSALS
        raise (KeySourceRefused if refused else KeySourceUnavailable)(error.message) from None
    except AzureError as error:
        raise KeySourceUnavailable(type(error).__name__) from None
