"""What is asked of a key in a key management service; its client blocks, so each is in a thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from keyturn_service.vault.key_uri import KeyUri

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 3.0


class NoSuchKey(Exception):
    """The service has no such key, or has destroyed it."""


class KmsKey(Protocol):
    """A key that a service holds. Each call blocks, for some seconds at most."""

    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        """Wrap a key.

        Raises:
            CannotOpen: the service cannot do this with the key; another kind of key is meant.
            NoSuchKey: the service does not have it.
            KeySourceUnavailable: it does not answer; `KeySourceRefused` where it refuses.
        """
        ...

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        """Return the key that was wrapped.

        Raises:
            CannotOpen: changed, or wrapped with other associated data or by another key.
            NoSuchKey: the service does not have it.
            KeySourceUnavailable: it does not answer; `KeySourceRefused` where it refuses.
        """
        ...

    def current(self) -> KeyUri:
        """Return the version of the key that wraps now.

        Raises as `wrap` does.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsAccess:
    """How a client gets in, beside what its provider's own variables and files say.

    `token_file` is what an agent of Vault or OpenBao writes, and writes anew.
    """

    token_file: Path | None = None
    connect_seconds: float = CONNECT_SECONDS
    answer_seconds: float = ANSWER_SECONDS
