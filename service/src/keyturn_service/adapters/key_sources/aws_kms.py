"""Keys in AWS KMS, by boto3. Associated data is the encryption context.

Rights: kms:Encrypt and kms:Decrypt on the key. Source: AWS KMS API Reference, Encrypt, Decrypt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3.session
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from keyturn_service.adapters.key_sources.kms_key import KmsAccess, NoSuchKey
from keyturn_service.vault.errors import CannotOpen, KeySourceRefused, KeySourceUnavailable
from keyturn_service.vault.key_uri import KeyUri

_CONTEXT: Final = "keyturn"  # the name in the encryption context; policies may ask for it
_LOADER: Final = botocore.loaders.create_loader()  # AWS's own models are read once for all keys
_CHANGED: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_OF_ANOTHER: Final = "ciphertext refers to"  # AWS says `AccessDeniedException` to it
_PASSING: Final = frozenset(
    {
        "DependencyTimeoutException",
        "KMSInternalException",
        "KeyUnavailableException",
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
    }
)


class AwsKmsKey:
    """`kms_key.KmsKey` over a symmetric key of AWS KMS."""

    def __init__(self, uri: KeyUri, access: KmsAccess) -> None:
        self._uri = uri
        core = botocore.session.get_session()
        core.register_component("data_loader", _LOADER)
        self._client: Any = boto3.session.Session(botocore_session=core).client(
            "kms",
            region_name=uri.region,
            config=Config(
                connect_timeout=access.connect_seconds,
                read_timeout=access.answer_seconds,
                retries={"total_max_attempts": 2, "mode": "standard"},
            ),
        )

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key."""
        return bytes(self._encrypted(key, associated_data)["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key that was wrapped."""
        if not wrapped:
            raise CannotOpen("the wrapped key is empty")
        with _told():
            answer = self._client.decrypt(
                KeyId=self._uri.key,
                CiphertextBlob=wrapped,
                EncryptionContext=_context(associated_data),
            )
        return bytes(answer["Plaintext"])

    def current(self) -> KeyUri:
        """Return the key itself, where an alias was named."""
        return self._uri.at(self._encrypted(b"trial", b"trial")["KeyId"])

    def _encrypted(self, value: bytes, associated_data: bytes) -> Any:
        with _told():
            return self._client.encrypt(
                KeyId=self._uri.key, Plaintext=value, EncryptionContext=_context(associated_data)
            )


def _context(associated_data: bytes) -> dict[str, str]:
    """Return the encryption context: readable in CloudTrail, and no two for one."""
    text = re.sub(
        rb"[^A-Za-z0-9_-]",
        lambda found: b":" if found[0] == b"\x00" else b"/%02x" % found[0][0],
        associated_data,
    )
    return {_CONTEXT: text.decode()}


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        text = f"{code}: {error.response['Error'].get('Message', '')}"
        if code in _CHANGED or _OF_ANOTHER in text:
            raise CannotOpen("the wrapped key was changed or belongs elsewhere") from None
        if code == "NotFoundException":
            raise NoSuchKey(text) from None
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        passing = code in _PASSING or status >= 500  # noqa: PLR2004 - of HTTP
        raise (KeySourceUnavailable if passing else KeySourceRefused)(text) from None
    except NoCredentialsError:
        raise KeySourceRefused(
            "there are no AWS credentials: give this program's role kms:Encrypt and kms:Decrypt"
        ) from None
    except BotoCoreError as error:
        raise KeySourceUnavailable(type(error).__name__) from None
