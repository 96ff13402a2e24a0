"""Self-contained seals, for what must open without the database: the spool."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyturn_service.ports import Randomness
from keyturn_service.vault.data_keys import KEY_BYTES
from keyturn_service.vault.errors import CannotOpen
from keyturn_service.vault.key_source import KeySource
from keyturn_service.vault.place import Place

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_LEAST: Final = 2
_WRAPPING: Final = b"keyturn-envelope-1"


class Envelopes:
    """Seals that carry their own wrapped key.

    One key a run, and another after a rotation: sealing never waits for the key source. An
    envelope is version (1 byte), length of the key-encryption key's id (1) and that id, length
    of the wrapped key (2) and that key, nonce (12), ciphertext and tag.
    """

    def __init__(
        self, key_source: KeySource, randomness: Randomness, *, head: bytes, cipher: AESGCM
    ) -> None:
        self._key_source = key_source
        self._randomness = randomness
        self._head = head
        self._ciphers = {head: cipher}
        self._cipher = cipher

    @classmethod
    async def for_this_run(cls, key_source: KeySource, randomness: Randomness) -> Self:
        """Make this run's key.

        Raises:
            KeySourceUnavailable: the key source does not answer.
        """
        head, cipher = await _made(key_source.active_key_id, key_source, randomness)
        return cls(key_source, randomness, head=head, cipher=cipher)

    @property
    def key_id(self) -> str:
        """The key-encryption key of what is sealed now."""
        return key_of(self._head)

    @property
    def active_key_id(self) -> str:
        """The key-encryption key that `renew` would change to."""
        return self._key_source.active_key_id

    async def renew(self, announced: Collection[str]) -> None:
        """Seal under the key source's active key from now on, if that was announced.

        Raises:
            KeySourceUnavailable: the key source does not answer.
        """
        key_id = self._key_source.active_key_id
        if key_id == self.key_id or key_id not in announced:
            return
        head, cipher = await _made(key_id, self._key_source, self._randomness)
        self._ciphers[head] = cipher
        self._head, self._cipher = head, cipher

    def seal(self, value: bytes, place: Place) -> bytes:
        """Seal a value for a place."""
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        return self._head + nonce + self._cipher.encrypt(nonce, value, place.associated_data)

    async def open(self, sealed: bytes, place: Place) -> bytes:
        """Return the value that was sealed for this place, by this run or an earlier one.

        Raises:
            CannotOpen: it was not sealed for this place, or changed since.
            KeyMissing: the key source lacks the key that wraps it.
            KeySourceUnavailable: the key source does not answer.
        """
        key_id, wrapped, end = _head_of(sealed)
        head = sealed[:end]
        cipher = self._ciphers.get(head)
        if cipher is None:
            secret = await self._key_source.unwrap(key_id, wrapped, associated_data=_WRAPPING)
            cipher = self._ciphers[head] = AESGCM(secret)
        nonce, box = sealed[end : end + _NONCE_BYTES], sealed[end + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, box, place.associated_data)
        except InvalidTag:
            raise CannotOpen("not sealed for this place, or changed") from None


def key_of(sealed: bytes) -> str:
    """Return the key-encryption key that an envelope names; its first 257 bytes are enough.

    Empty where it is no envelope, or names no key that there can be.
    """
    if len(sealed) < _LEAST or sealed[0] != _VERSION:
        return ""
    name = sealed[2 : 2 + sealed[1]].decode("ascii", "replace")
    return name if name.isascii() and name.isprintable() else ""


async def _made(key_id: str, key_source: KeySource, randomness: Randomness) -> tuple[bytes, AESGCM]:
    """Make a key under the active key-encryption key, whose id was just looked at."""
    secret = randomness.token_bytes(KEY_BYTES)
    wrapped = await key_source.wrap(secret, associated_data=_WRAPPING)
    name = key_id.encode()
    head = bytes((_VERSION, len(name))) + name + len(wrapped).to_bytes(2, "big") + wrapped
    return head, AESGCM(secret)


def _head_of(sealed: bytes) -> tuple[str, bytes, int]:
    """Return the wrapping key's id, the wrapped key, and where the head ends.

    Raises:
        CannotOpen: out of shape.
    """
    named = 2 + sealed[1] if len(sealed) > 1 else 0
    if not named or sealed[0] != _VERSION or len(sealed) < named + 2:
        raise CannotOpen("not an envelope")
    end = named + 2 + int.from_bytes(sealed[named : named + 2], "big")
    if len(sealed) < end + _NONCE_BYTES + _TAG_BYTES:
        raise CannotOpen("cut short")
    return sealed[2:named].decode("ascii", "replace"), sealed[named + 2 : end], end
