"""Seal anew what retired data keys sealed: a round that any replica goes, and that resumes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.ports import AuditLog, Clock, Waiting
from keyturn_service.vault.data_keys import DataKeyId
from keyturn_service.vault.errors import CannotOpen, KeyMissing, KeySourceUnavailable
from keyturn_service.vault.place import Place
from keyturn_service.vault.vault import LOOK_EVERY, Vault, data_key_of

SETTLES: Final = 3 * LOOK_EVERY  # seconds until every replica seals under the new key
CLAIM: Final = timedelta(seconds=10)  # much longer than a batch takes
REFUSED_WAIT: Final = timedelta(hours=1)  # before values that do not open are tried once more
_KEYS_AT_ONCE: Final = 200
_ROWS_AT_ONCE: Final = 1_000
_VALUES_IN_A_ROW: Final = 16  # before others have a turn: a fraction of a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class DueValue:
    """A value that is to be sealed anew, and the number of its column in the row."""

    column: int
    sealed: bytes
    place: Place
    data_key_id: DataKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRow:
    """A row as it was read: its key, what its sealed columns held, and which of it is due."""

    key: tuple[str, ...]
    kept: tuple[bytes | None, ...]
    due: Sequence[DueValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The next rows of a table: how many were looked at, and those that are due.

    `last_row` is the key of the last one; None where the table is at its end.
    """

    rows: Sequence[SealedRow]
    looked: int
    last_row: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealing:
    """A pass over everything that rests sealed, and how far it is.

    `total` counts the rows when it began. `needed` are the keys under which something stays,
    because it does not open. `table_name` is None once all tables were looked through.
    """

    number: int
    key_ids: Sequence[DataKeyId]
    table_name: str | None
    last_row: tuple[str, ...] | None
    step: int
    total: int
    looked: int
    resealed: int
    refused: int
    needed: frozenset[DataKeyId]
    begun_at: datetime
    ended_at: datetime | None


class SealedRows(Protocol):
    """Everything that rests sealed, and the passes over it."""

    async def due_keys(self) -> Sequence[DataKeyId]:
        """Return the retired data keys that something may still need, in order of their ids."""
        ...

    async def latest(self) -> Resealing | None:
        """Return the pass that goes on, or else the last one."""
        ...

    async def begin(self, key_ids: Sequence[DataKeyId], *, at: datetime) -> None:
        """Begin a pass for these keys, unless one goes on."""
        ...

    async def claim(self, resealing: Resealing, *, ttl: timedelta) -> Resealing | None:
        """Take the pass as it stands, for so long; None where another replica has it, or it ended.

        The time runs by the database's own clock.
        """
        ...

    async def batch(self, resealing: Resealing, *, limit: int) -> Batch:
        """Return the next rows of the table where the pass stands."""
        ...

    async def put(
        self,
        resealing: Resealing,
        batch: Batch,
        fresh: Sequence[tuple[SealedRow, tuple[bytes | None, ...]]],
        *,
        refused: Sequence[DataKeyId],
        ttl: timedelta,
    ) -> Resealing | None:
        """Keep what was sealed anew and that the batch is done: all or nothing.

        A row that somebody changed meanwhile stays as they left it. None where the pass was
        taken over. `refused` has the key of each value that did not open.
        """
        ...

    async def end(self, resealing: Resealing, *, at: datetime) -> bool:
        """End the pass: nothing needs its keys but `needed`; False where it was taken over."""
        ...

    async def counts(self, key_ids: Collection[DataKeyId]) -> Mapping[DataKeyId, int]:
        """Return how many sealed values each of these keys is needed for; 0 is left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reseal:
    """Go on with the pass, or begin one where a data key was retired.

    Safe to run anywhere, twice at once, and to kill: each batch is kept with how far it came, and
    a row is changed only where it stands as it was read.
    """

    vault: Vault
    rows: SealedRows
    audit: AuditLog
    clock: Clock
    waiting: Waiting
    _seen: dict[DataKeyId, float] = field(default_factory=dict, init=False)

    async def __call__(self) -> None:
        """Work until nothing is left to do here.

        Raises:
            KeySourceUnavailable: the key source does not answer; the next round goes on.
            StoreUnavailable: the database does not answer.
            AuditUnavailable: a value did not open, and that could not be recorded.
        """
        resealing = await self._mine()
        while resealing is not None:
            resealing = await self._step(resealing)

    async def _mine(self) -> Resealing | None:
        ripe = await self._ripe_keys()
        latest = await self.rows.latest()
        if latest is None or latest.ended_at is not None:
            key_ids = [key_id for key_id in ripe if not self._is_to_wait(latest, key_id)]
            if not key_ids:
                return None
            await self.rows.begin(key_ids[:_KEYS_AT_ONCE], at=self.clock.now())
            latest = await self.rows.latest()
        return None if latest is None else await self.rows.claim(latest, ttl=CLAIM)

    async def _ripe_keys(self) -> Sequence[DataKeyId]:
        """Return the keys under which no replica seals any more, by this machine's own clock."""
        now = self.clock.monotonic()
        seen = {key_id: self._seen.get(key_id, now) for key_id in await self.rows.due_keys()}
        self._seen.clear()
        self._seen.update(seen)
        return [key_id for key_id, since in seen.items() if now - since >= SETTLES]

    def _is_to_wait(self, latest: Resealing | None, key_id: DataKeyId) -> bool:
        """Tell whether the last pass could not open all under this key, a short while ago."""
        if latest is None or latest.ended_at is None or key_id not in latest.needed:
            return False
        return self.clock.now() - latest.ended_at < REFUSED_WAIT

    async def _step(self, resealing: Resealing) -> Resealing | None:
        if resealing.table_name is None:
            if await self.rows.end(resealing, at=self.clock.now()):
                await self._note(resealing)
            return None
        batch = await self.rows.batch(resealing, limit=_ROWS_AT_ONCE)
        fresh: list[tuple[SealedRow, tuple[bytes | None, ...]]] = []
        refused: list[DataKeyId] = []
        for number, row in enumerate(batch.rows):
            if number % _VALUES_IN_A_ROW == 0:
                await self.waiting.sleep(0)
            kept = list(row.kept)
            for value in row.due:
                try:
                    kept[value.column] = await self._anew(value, resealing.key_ids)
                except (CannotOpen, KeyMissing):
                    refused.append(value.data_key_id)
            if tuple(kept) != row.kept:
                fresh.append((row, tuple(kept)))
        return await self.rows.put(resealing, batch, fresh, refused=refused, ttl=CLAIM)

    async def _anew(self, value: DueValue, retired: Collection[DataKeyId]) -> bytes:
        anew = await self.vault.seal_anew(value.sealed, value.place)
        if data_key_of(anew) in retired:  # while the key source is away, a vault goes on so
            raise KeySourceUnavailable("the new data key does not open yet")
        return anew

    async def _note(self, resealing: Resealing) -> None:
        await self.audit.record(
            AuditEvent(
                type="data_keys.resealed",
                at=self.clock.now(),
                workspace_id=None,
                actor="system",
                detail={
                    "data_keys": len(resealing.key_ids),
                    "count": resealing.resealed,
                    "refused": resealing.refused,
                },
            )
        )
