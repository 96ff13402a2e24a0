"""What the vault needs of a key source: a place that holds key-encryption keys."""

from __future__ import annotations

from typing import Protocol


class KeySource(Protocol):
    """Wraps and unwraps small keys; its own keys never come out."""

    @property
    def active_key_id(self) -> str:
        """The id of the key that wraps until this is looked at again.

        A rotation shows here, and nowhere else: whoever looks and calls `wrap` at once knows which
        key that was.
        """
        ...

    async def wrap(self, key: bytes, *, associated_data: bytes) -> bytes:
        """Wrap a key under the active key.

        Raises:
            KeySourceUnavailable: it does not answer; `KeySourceRefused` where it refuses.
        """
        ...

    async def unwrap(self, key_id: str, wrapped: bytes, *, associated_data: bytes) -> bytes:
        """Return a key that was wrapped under `key_id`.

        Raises:
            KeyMissing: there is no such key.
            CannotOpen: it was wrapped with other associated data, or changed.
            KeySourceUnavailable: it does not answer; `KeySourceRefused` where it refuses.
        """
        ...
