"""Seal values for their places, and open them there."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyturn_service.ports import Clock, Randomness, StoreUnavailable
from keyturn_service.vault.data_keys import (
    DataKeyId,
    DataKeys,
    WrappedDataKey,
    made_data_key,
)
from keyturn_service.vault.errors import (
    CannotOpen,
    KeyMissing,
    KeySourceRefused,
    KeySourceUnavailable,
)
from keyturn_service.vault.key_source import KeySource
from keyturn_service.vault.place import Place
from keyturn_service.vault.refusals import Refusals

_VERSION: Final = 1
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ID: Final = re.compile(rb"[!-~]+")  # a database takes no zero byte into a name
SEALS_PER_KEY: Final = 2**24  # of one process; 256 of them stay inside 2^32 random nonces
BYTES_PER_KEY: Final = 2**36  # of one process; 256 of them stay inside 2^40 blocks
KEY_LIFE: Final = timedelta(days=90)
LOOK_EVERY: Final = 1.0  # seconds after which a rotation by others is seen
KEPT_FOR: Final = timedelta(hours=24)  # an opened data key, while the key source is away
ASKED_AGAIN: Final = timedelta(hours=1)  # how old an opened data key gets while it answers
_log = structlog.get_logger()


@dataclass(slots=True)
class _SealingKey:
    id: DataKeyId
    made_at: datetime
    looked_at: float
    seals: int = 0
    sealed_bytes: int = 0


@dataclass(slots=True)
class _Opened:
    """A data key in memory; `since` is when the key source opened it, of the monotonic clock."""

    cipher: AESGCM
    since: float
    used: bool = True


class Vault:
    """Envelope encryption with AES-256-GCM.

    A sealed value is version (1 byte), length of the data key's id (1), that id, nonce (12),
    ciphertext and tag. Opened data keys stay in this process's memory: those in use are opened
    again every hour by `renew`, and where the key source does not answer they serve for
    `kept_for` from the last time that it did. What does not open is recorded in the audit before
    anybody hears of it.

    A data key seals until it is worn (by time, number of seals, or bytes) or retired: the newest
    one is looked up again every second in which something is sealed.
    """

    def __init__(
        self,
        key_source: KeySource,
        data_keys: DataKeys,
        randomness: Randomness,
        clock: Clock,
        refusals: Refusals,
        *,
        seals_per_key: int = SEALS_PER_KEY,
        bytes_per_key: int = BYTES_PER_KEY,
        kept_for: timedelta = KEPT_FOR,
    ) -> None:
        self._seals_per_key = seals_per_key
        self._bytes_per_key = bytes_per_key
        self._kept_for = kept_for.total_seconds()
        self._asked_again = min(ASKED_AGAIN, kept_for / 4).total_seconds()
        self._key_source = key_source
        self._data_keys = data_keys
        self._randomness = randomness
        self._clock = clock
        self._refusals = refusals
        self._opened: dict[DataKeyId, _Opened] = {}
        self._opening: dict[DataKeyId, asyncio.Lock] = {}
        self._sealing: dict[str, _SealingKey] = {}
        self._met: dict[DataKeyId, _SealingKey] = {}  # a worn key stays worn

    async def seal(self, value: bytes, place: Place) -> bytes:
        """Seal a value for a place.

        Raises:
            CannotOpen: the workspace's newest data key was changed or belongs elsewhere.
            KeyMissing: the key source lacks the key that wraps it.
            KeySourceUnavailable: no data key is open and the key source does not answer.
            AuditUnavailable: it was refused, and that could not be recorded.
            StoreUnavailable: the database, where data keys are looked up, does not answer.
        """
        key, cipher = await self._key_for(place)
        return self._sealed(key, cipher, value, place.associated_data)

    async def seal_anew(self, sealed: bytes, place: Place) -> bytes:
        """Open a value, and seal it for its place under the newest data key of the workspace.

        Raises as `open` and `seal` do.
        """
        bound = place.associated_data
        value = await self._open(sealed, place, bound)
        key, cipher = await self._key_for(place)
        return self._sealed(key, cipher, value, bound)

    async def prepare(self, workspace_id: str) -> None:
        """Have a data key open for what is to be sealed soon, whatever becomes of the key source.

        Raises as `seal` does; nothing is noted in the audit.
        """
        await self._to_seal(workspace_id)

    async def open(self, sealed: bytes, place: Place) -> bytes:
        """Return the value that was sealed for this place.

        Raises:
            CannotOpen: it was not sealed for this place, or changed since.
            KeyMissing: the key source lacks the key that wraps its data key.
            KeySourceUnavailable: the key source does not answer.
            AuditUnavailable: it was refused, and that could not be recorded.
        """
        return await self._open(sealed, place, place.associated_data)

    def open_now(self, sealed: bytes, place: Place) -> bytes | None:
        """Open as `open` does, where the data key is in memory already.

        None where it is not, or where the value does not open: `open` says why and records it.
        """
        try:
            key_id, box = _parts(sealed)
            cipher = self._cipher_now(key_id)
            return None if cipher is None else _decrypted(cipher, box, place.associated_data)
        except CannotOpen:
            return None

    async def renew(self) -> None:
        """Have the key source open again what was used and is an hour old; forget the others.

        A key source that refuses now ends the use of a data key here; one that does not answer
        does not, for as long as opened data keys are kept.
        """
        now = self._clock.monotonic()
        for key_id, opened in list(self._opened.items()):
            if now - opened.since < self._asked_again:
                continue
            if not opened.used:
                del self._opened[key_id]
                continue
            opened.used = False  # unless somebody uses it again
            try:
                await self._open_anew(await self._kept(key_id))
                self._opened[key_id].used = opened.used
            except (CannotOpen, KeyMissing, KeySourceRefused) as refused:
                self._opened.pop(key_id, None)
                _log.error("data_key_closed", name=key_id, error=type(refused).__name__)
            except (KeySourceUnavailable, StoreUnavailable) as away:
                opened.used = True  # it serves on
                _log.warning("data_key_not_renewed", name=key_id, error=type(away).__name__)
                return

    async def note_refused(self, place: Place, refused: CannotOpen) -> None:
        """Record what somebody else found changed in the database.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        await self._refusals.note(place, refused)

    async def _open(self, sealed: bytes, place: Place, bound: bytes) -> bytes:
        try:
            key_id, box = _parts(sealed)
            cipher = self._cipher_now(key_id) or await self._cipher_of(key_id)
            return _decrypted(cipher, box, bound)
        except (CannotOpen, KeyMissing) as refused:
            await self._refusals.note(place, refused)
            raise

    def _sealed(self, key: _SealingKey, cipher: AESGCM, value: bytes, bound: bytes) -> bytes:
        key.seals += 1
        key.sealed_bytes += len(value)
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        return head_of(key.id) + nonce + cipher.encrypt(nonce, value, bound)

    def _ready_key(self, workspace_id: str) -> _SealingKey | None:
        """Return the key that seals for a workspace, if it was looked up a moment ago."""
        key = self._sealing.get(workspace_id)
        if key is None or not self._fresh(key) or self._is_stale(key):
            return None
        return key

    async def _key_for(self, place: Place) -> tuple[_SealingKey, AESGCM]:
        try:
            return await self._to_seal(place.workspace_id)
        except (CannotOpen, KeyMissing) as refused:
            await self._refusals.note(place, refused)
            raise

    async def _to_seal(self, workspace_id: str) -> tuple[_SealingKey, AESGCM]:
        key = self._ready_key(workspace_id) or await self._taken_key(workspace_id)
        return key, self._cipher_now(key.id) or await self._cipher_of(key.id)

    async def _taken_key(self, workspace_id: str) -> _SealingKey:
        try:
            return await self._next_key(workspace_id)
        except KeySourceUnavailable:
            key = self._sealing.get(workspace_id)
            if key is None or not self._fresh(key):
                raise
            key.looked_at = self._clock.monotonic()  # until it answers, the one that is open
            return key

    def _cipher_now(self, key_id: DataKeyId) -> AESGCM | None:
        opened = self._opened.get(key_id)
        if opened is None or self._clock.monotonic() - opened.since > self._kept_for:
            return None
        opened.used = True
        return opened.cipher

    def _fresh(self, key: _SealingKey) -> bool:
        return (
            key.seals < self._seals_per_key
            and key.sealed_bytes < self._bytes_per_key
            and self._clock.now() - key.made_at < KEY_LIFE
        )

    def _is_stale(self, key: _SealingKey) -> bool:
        return self._clock.monotonic() - key.looked_at >= LOOK_EVERY

    async def _next_key(self, workspace_id: str) -> _SealingKey:
        """Take the workspace's newest data key, or make one where that is worn or none is."""
        looked_at = self._clock.monotonic()
        latest = await self._data_keys.latest(workspace_id)
        key = None if latest is None else await self._sealing_key(latest)
        if key is None or not self._fresh(key):
            key = await self._make_key(workspace_id)
        key.looked_at = looked_at
        self._sealing[workspace_id] = key
        return key

    async def _sealing_key(self, kept: WrappedDataKey) -> _SealingKey:
        key = self._met.get(kept.id)
        if key is None:
            await self._cipher(kept)
            key = self._met.setdefault(kept.id, self._met_now(kept))
        return key

    async def _make_key(self, workspace_id: str) -> _SealingKey:
        made, secret = await made_data_key(
            workspace_id, self._key_source, self._randomness, self._clock
        )
        await self._data_keys.add(made)
        self._opened[made.id] = _Opened(AESGCM(secret), self._clock.monotonic())
        key = self._met[made.id] = self._met_now(made)
        return key

    def _met_now(self, kept: WrappedDataKey) -> _SealingKey:
        return _SealingKey(id=kept.id, made_at=kept.created_at, looked_at=self._clock.monotonic())

    async def _kept(self, key_id: DataKeyId) -> WrappedDataKey:
        wrapped = await self._data_keys.get(key_id)
        if wrapped is None:
            raise CannotOpen("its data key is not kept here")
        return wrapped

    async def _cipher_of(self, key_id: DataKeyId) -> AESGCM:
        return await self._cipher(await self._kept(key_id))

    async def _cipher(self, wrapped: WrappedDataKey) -> AESGCM:
        """Return a data key's cipher; of many who ask at once, one asks the key source."""
        async with self._opening.setdefault(wrapped.id, asyncio.Lock()):
            return self._cipher_now(wrapped.id) or await self._open_anew(wrapped)

    async def _open_anew(self, wrapped: WrappedDataKey) -> AESGCM:
        asked_at = self._clock.monotonic()
        try:
            secret = await self._unwrapped(wrapped)
        except (KeyMissing, KeySourceRefused):
            again = await self._data_keys.get(wrapped.id)
            if again is None or again.key_id == wrapped.key_id:
                raise
            secret = await self._unwrapped(again)  # re-wrapped meanwhile; the old key may be gone
        opened = self._opened[wrapped.id] = _Opened(AESGCM(secret), asked_at)
        return opened.cipher

    async def _unwrapped(self, wrapped: WrappedDataKey) -> bytes:
        return await self._key_source.unwrap(
            wrapped.key_id, wrapped.wrapped, associated_data=wrapped.associated_data()
        )


def data_key_of(sealed: bytes) -> DataKeyId:
    """Return the id of the data key that a sealed value names.

    Raises:
        CannotOpen: it is none.
    """
    return _parts(sealed)[0]


def head_of(data_key_id: DataKeyId) -> bytes:
    """Return how every value begins that was sealed under a data key."""
    name = data_key_id.encode()
    return bytes((_VERSION, len(name))) + name


def _parts(sealed: object) -> tuple[DataKeyId, bytes]:
    """Return the data key's id, and nonce with ciphertext.

    Raises:
        CannotOpen: out of shape, or no bytes: SQLite keeps a text there, if somebody writes one.
    """
    if not isinstance(sealed, bytes):
        raise CannotOpen("not a sealed value")
    head = 2 + sealed[1] if len(sealed) > 1 else 0
    if not head or sealed[0] != _VERSION or len(sealed) < head + _NONCE_BYTES + _TAG_BYTES:
        raise CannotOpen("not a sealed value")
    name = sealed[2:head]
    if not _ID.fullmatch(name):
        raise CannotOpen("its data key is not kept here")
    return DataKeyId(name.decode()), sealed[head:]


def _decrypted(cipher: AESGCM, box: bytes, bound: bytes) -> bytes:
    try:
        return cipher.decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], bound)
    except InvalidTag:
        raise CannotOpen("not sealed for this place, or changed") from None
