"""Keys in Google Cloud KMS, by its own client. Associated data is the additional one there.

Rights: roles/cloudkms.cryptoKeyEncrypterDecrypter on the key. Over REST, so that proxy and
certificates are those of the environment, as with the other sources. Source: Cloud KMS API,
cryptoKeys.encrypt, cryptoKeys.decrypt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, Unauthorized
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.cloud.kms_v1 import KeyManagementServiceClient

from keyturn_service.adapters.key_sources.kms_key import KmsAccess, NoSuchKey
from keyturn_service.vault.errors import CannotOpen, KeySourceRefused, KeySourceUnavailable
from keyturn_service.vault.key_uri import KeyUri


class GcpKmsKey:
    """`kms_key.KmsKey` over a symmetric key of Google Cloud KMS."""

    def __init__(self, uri: KeyUri, access: KmsAccess) -> None:
        self._uri = uri
        self._seconds = access.answer_seconds
        with _told():
            self._client = KeyManagementServiceClient(transport="rest")
        path = uri.text.partition("://")[2]
        self._wraps = path  # a version, or the key for its primary one

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key."""
        return self._encrypted(key, associated_data)[1]

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key that was wrapped."""
        if not wrapped:
            raise CannotOpen("the wrapped key is empty")
        with _told():
            answer = self._client.decrypt(
                request={
                    "name": self._uri.key,
                    "ciphertext": wrapped,
                    "additional_authenticated_data": associated_data,
                },
                retry=None,
                timeout=self._seconds,
            )
        return bytes(answer.plaintext)

    def current(self) -> KeyUri:
        """Return the primary version, or the one that was named."""
        return self._uri.at(self._encrypted(b"trial", b"trial")[0].rpartition("/")[2])

    def _encrypted(self, value: bytes, associated_data: bytes) -> tuple[str, bytes]:
        with _told():
            answer = self._client.encrypt(
                request={
                    "name": self._wraps,
                    "plaintext": value,
                    "additional_authenticated_data": associated_data,
                },
                retry=None,
                timeout=self._seconds,
            )
        return str(answer.name), bytes(answer.ciphertext)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise NoSuchKey(error.message) from None
    except (Forbidden, Unauthorized) as error:
        raise KeySourceRefused(error.message) from None
    except GoogleAPICallError as error:
        status = _status(error)
        if status == "INVALID_ARGUMENT":
            raise CannotOpen(
                f"the wrapped key was changed or belongs elsewhere ({error.message})"
            ) from None
        refused = status == "FAILED_PRECONDITION"
        raise (KeySourceRefused if refused else KeySourceUnavailable)(error.message) from None
    except (DefaultCredentialsError, RefreshError) as error:
        if getattr(error, "retryable", False):
            raise KeySourceUnavailable(str(error)) from None
        raise KeySourceRefused(
            f"there are no credentials of Google Cloud that serve: {error}"
        ) from None
    except GoogleAuthError as error:
        raise KeySourceUnavailable(str(error)) from None
    except OSError as error:  # what the HTTP library raises derives from it
        raise KeySourceUnavailable(type(error).__name__) from None


def _status(error: GoogleAPICallError) -> str:
    """Return Google's own word for what is wrong; several share an HTTP status."""
    try:
        return str(error.response.json()["error"]["status"])
    except (AttributeError, ValueError, LookupError, TypeError):
        return ""
