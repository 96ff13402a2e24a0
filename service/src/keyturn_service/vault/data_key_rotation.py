"""The rotation of data keys: a new one seals, the old ones are retired and at last destroyed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import WorkspaceId
from keyturn_service.ports import AuditLog, Clock, Randomness, Waiting
from keyturn_service.vault.data_keys import DataKeyId, DataKeys, WrappedDataKey, made_data_key
from keyturn_service.vault.key_source import KeySource
from keyturn_service.vault.resealing import Resealing, SealedRows
from keyturn_service.vault.root_keys import StillNeeded

_READS_END: Final = 2.0  # seconds: who read a value just before it was sealed anew has opened it


class RetirableDataKeys(DataKeys, Protocol):
    """Data keys that can be retired."""

    async def in_use(self) -> Mapping[str, int]:
        """Return how many data keys that are not retired each workspace has."""
        ...

    async def retire_others(self, key: WrappedDataKey, *, at: datetime) -> int:
        """Retire every other data key of its workspace; return how many were not yet."""
        ...

    async def retired(self) -> Sequence[WrappedDataKey]:
        """Return the retired data keys, in order of their ids."""
        ...


class DestroyableRows(SealedRows, Protocol):
    """All that rests sealed, with the keys that it needs."""

    async def destroy(self, key_ids: Collection[DataKeyId]) -> Mapping[DataKeyId, int]:
        """Destroy retired keys that nothing needs; return what the others are needed for."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """The new data key of each workspace, and how many were retired for it."""

    made: Mapping[str, DataKeyId]
    retired: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKeyStanding:
    """How many data keys are in use, which are retired, and how far the pass over them is."""

    in_use: int
    retired: Sequence[WrappedDataKey]
    resealing: Resealing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """The keys that are gone, and how many values each of the others is needed for.

    Of a key that no pass has finished with yet nothing is counted: it has None.
    """

    gone: Sequence[DataKeyId]
    needed: Mapping[DataKeyId, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataKeyRotation:
    """Rotate, count and destroy; replicas go on meanwhile, and seal anew by themselves."""

    key_source: KeySource
    data_keys: RetirableDataKeys
    rows: DestroyableRows
    audit: AuditLog
    clock: Clock
    randomness: Randomness
    waiting: Waiting

    async def rotate(
        self, workspace_id: str | None = None, *, made_before: datetime | None = None
    ) -> Rotated:
        """Give a workspace, or each that has one, a new data key, and retire the others of it.

        Killed half-way, some workspaces are rotated and the others as they were. `made_before`
        makes none where the key in use is younger, and only retires the others: a rotation that
        goes on.

        Raises:
            KeySourceUnavailable: the key source does not answer.
            StoreUnavailable: the database does not answer.
            AuditUnavailable: it could not be recorded.
        """
        named = [workspace_id] if workspace_id is not None else list(await self.data_keys.in_use())
        made: dict[str, DataKeyId] = {}
        retired = 0
        for one in named:
            key = await self.data_keys.latest(one) if made_before is not None else None
            young = key is not None and made_before is not None and key.created_at >= made_before
            if key is None or not young:
                key, _ = await made_data_key(one, self.key_source, self.randomness, self.clock)
                await self.data_keys.add(key)  # first: nobody is without a key to seal under
            count = await self.data_keys.retire_others(key, at=self.clock.now())
            if young and not count:
                continue
            await self._note("data_key.rotated", one, key.id, retired=count)
            made[one] = key.id
            retired += count
        return Rotated(made=made, retired=retired)

    async def standing(self) -> DataKeyStanding:
        """Count the data keys, and look how far the pass is."""
        return DataKeyStanding(
            in_use=sum((await self.data_keys.in_use()).values()),
            retired=await self.data_keys.retired(),
            resealing=await self.rows.latest(),
        )

    async def destroy(self, key_ids: Collection[str] = ()) -> Destroyed:
        """Destroy these retired data keys, or all of them, where nothing needs them any more.

        A key that something needs again (a process slept between seal and write) is looked after
        by the next pass. Spools have keys of their own, and a backup has the data keys of its
        time, so neither is asked.

        Raises:
            StillNeeded: one of the keys named is not retired.
            StoreUnavailable: the database does not answer.
            AuditUnavailable: it could not be recorded.
        """
        kept = {key.id: key for key in await self.data_keys.retired()}
        strange = sorted(set(key_ids) - set(kept))
        if strange:
            raise StillNeeded(
                f"{', '.join(strange)}: no retired data key; see `keyturn keys status`, and run"
                " `keyturn keys rotate-data` to retire what is in use"
            )
        asked = [key for key in kept.values() if not key_ids or key.id in key_ids]
        ready = [key for key in asked if key.unneeded_since is not None]
        needed: dict[DataKeyId, int | None] = {
            key.id: None for key in asked if key.unneeded_since is None
        }
        free = await self._free([key.id for key in ready])
        for key_id in free:
            await self._note("data_key.destroyed", kept[key_id].workspace_id, key_id)
        if free:
            await self.waiting.sleep(_READS_END)
        needed |= await self.rows.destroy([key.id for key in ready])
        for key_id in [key_id for key_id in free if key_id in needed]:
            await self._note("data_key.not_destroyed", kept[key_id].workspace_id, key_id)
        return Destroyed(gone=[key.id for key in asked if key.id not in needed], needed=needed)

    async def _free(self, key_ids: Sequence[DataKeyId]) -> Sequence[DataKeyId]:
        counts = await self.rows.counts(key_ids)
        return [key_id for key_id in key_ids if key_id not in counts]

    async def _note(
        self, type_: str, workspace_id: str, data_key_id: DataKeyId, **detail: int
    ) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=WorkspaceId(workspace_id),
                actor="operator",
                detail={"data_key_id": data_key_id, **detail},
            )
        )
