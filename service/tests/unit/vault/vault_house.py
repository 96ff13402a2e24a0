"""What a vault stands on, in memory: a store of data keys, and a key source that is watched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from service.tests.support.fakes import CountedRandomness, FakeClock, RecordingAudit

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.ports import StoreUnavailable
from keyturn_service.vault.data_keys import DataKeyId, WrappedDataKey
from keyturn_service.vault.errors import KeySourceRefused, KeySourceUnavailable
from keyturn_service.vault.refusals import Refusals
from keyturn_service.vault.vault import BYTES_PER_KEY, KEPT_FOR, SEALS_PER_KEY, Vault

OLD_KEY: Final = bytes(range(32))
NEW_KEY: Final = bytes(range(32, 64))


class MemoryDataKeys:
    """Wrapped data keys in memory, with every promise of the port."""

    def __init__(self) -> None:
        self.kept: dict[DataKeyId, WrappedDataKey] = {}
        self.reads: list[str] = []
        self.away = False

    async def latest(self, workspace_id: str) -> WrappedDataKey | None:
        """Return the newest data key of a workspace that is not retired."""
        self.reads.append(workspace_id)
        own = (key for key in self._living() if key.workspace_id == workspace_id)
        return max(own, key=lambda key: key.created_at, default=None)

    async def get(self, data_key_id: DataKeyId) -> WrappedDataKey | None:
        """Return a data key."""
        self.reads.append(data_key_id)
        if self.away:
            raise StoreUnavailable("away")
        return self.kept.get(data_key_id)

    async def add(self, key: WrappedDataKey) -> WrappedDataKey:
        """Keep a new data key and return it; where its id is kept already, return the kept one."""
        return self.kept.setdefault(key.id, key)

    async def in_use(self) -> Mapping[str, int]:
        """Return how many data keys that are not retired each workspace has."""
        return Counter(key.workspace_id for key in self._living() if key.workspace_id)

    async def retire_others(self, key: WrappedDataKey, *, at: datetime) -> int:
        """Retire every other data key of its workspace; return how many were not yet."""
        own = [one for one in self._living() if one.workspace_id == key.workspace_id]
        others = [one for one in own if one.id != key.id]
        self.kept.update({one.id: replace(one, retired_at=at) for one in others})
        return len(others)

    async def retired(self) -> list[WrappedDataKey]:
        """Return the retired data keys, in order of their ids."""
        own = (key for key in self.kept.values() if key.retired_at is not None)
        return sorted(own, key=lambda key: key.id)

    def _living(self) -> list[WrappedDataKey]:
        return [key for key in self.kept.values() if key.retired_at is None]


class WatchedKeySource:
    """A key source that counts what it is asked, and may be away or refuse."""

    def __init__(self, active: str, keys: Mapping[str, bytes], seed: str = "source") -> None:
        self._inner = KeyFile(active, keys, CountedRandomness(seed))
        self.wrapped: list[str] = []
        self.unwrapped: list[str] = []
        self.away = False
        self.refuses = False

    @property
    def active_key_id(self) -> str:
        """The id of the key that wraps from now on."""
        return self._inner.active_key_id

    async def wrap(self, key: bytes, *, associated_data: bytes) -> bytes:
        """Wrap a key under the active key."""
        self._answer()
        self.wrapped.append(self.active_key_id)
        return await self._inner.wrap(key, associated_data=associated_data)

    async def unwrap(self, key_id: str, wrapped: bytes, *, associated_data: bytes) -> bytes:
        """Return a key that was wrapped under `key_id`."""
        self._answer()
        self.unwrapped.append(key_id)
        return await self._inner.unwrap(key_id, wrapped, associated_data=associated_data)

    def _answer(self) -> None:
        if self.away:
            raise KeySourceUnavailable("away")
        if self.refuses:
            raise KeySourceRefused("no right")


def old_source(seed: str = "source") -> WatchedKeySource:
    """Return a key source before its first rotation."""
    return WatchedKeySource("kek_old", {"kek_old": OLD_KEY}, seed)


def rotated_source() -> WatchedKeySource:
    """Return the key source after a rotation: the old key is retired and kept."""
    return WatchedKeySource("kek_new", {"kek_old": OLD_KEY, "kek_new": NEW_KEY}, "rotated")


def forgetful_source() -> WatchedKeySource:
    """Return a key source that has lost the old key."""
    return WatchedKeySource("kek_new", {"kek_new": NEW_KEY}, "forgetful")


@dataclass(kw_only=True)
class House:
    """Vaults over one store, as replicas have them."""

    data_keys: MemoryDataKeys = field(default_factory=MemoryDataKeys)
    clock: FakeClock = field(default_factory=FakeClock)
    audit: RecordingAudit = field(default_factory=lambda: RecordingAudit([]))

    def vault(
        self,
        key_source: WatchedKeySource | None = None,
        *,
        seed: str = "one",
        seals_per_key: int = SEALS_PER_KEY,
        bytes_per_key: int = BYTES_PER_KEY,
        kept_for: timedelta = KEPT_FOR,
    ) -> Vault:
        """Return the vault of one process; `seed` keeps its chance from another's."""
        return Vault(
            key_source or old_source(seed),
            self.data_keys,
            CountedRandomness(seed),
            self.clock,
            Refusals(self.audit, self.clock),
            seals_per_key=seals_per_key,
            bytes_per_key=bytes_per_key,
            kept_for=kept_for,
        )

    def newest(self, workspace_id: str) -> WrappedDataKey:
        """Return the data key that was made last."""
        return [key for key in self.data_keys.kept.values() if key.workspace_id == workspace_id][-1]
