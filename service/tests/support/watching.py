"""Replicas that watch for their database being exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from service.tests.support import fakes
from service.tests.support.faulty import FaultyDatabase

from keyturn_service.adapters.spool.last_mark import LastMark
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.epochs import SqlEpochs
from keyturn_service.adapters.sql.hot_reads import SqlServingReads
from keyturn_service.domain.ids import ConnectionId, SpoolId
from keyturn_service.ports import Awaited, Standing, StoreUnavailable
from keyturn_service.use_cases.watch_database import WatchDatabase

_EVERY: Final = 0.9  # seconds between two looks
_SAYS_EVERY: Final = 30.0  # seconds between two times that a spool says its keys


@dataclass
class EpochsTime:
    """When epochs began, by the world's clock; a database knows it, whoever asks."""

    clock: fakes.FakeClock
    began: dict[str, float] = field(default_factory=dict)

    def age(self, epoch: str) -> float:
        """Return the seconds since an epoch began."""
        return self.clock.monotonic() - self.began[epoch]


class EpochsByWorldClock(SqlEpochs):
    """The product's, but that an epoch is as old as the world's clock has it.

    What a replica has served is known on SQLite, too: on PostgreSQL it is remembered anyway.
    """

    def __init__(
        self,
        database: FaultyDatabase,
        audit: SqlAuditLog,
        serving: SqlServingReads,
        disk: Path,
        time: EpochsTime,
    ) -> None:
        super().__init__(database, audit, serving, LastMark(disk / "last-mark"))
        self.seen: dict[ConnectionId, int] = {}
        self._faulty = database
        self._time = time

    async def look(self) -> Standing:
        """Look, where the database is not away."""
        if self._faulty.away:
            raise StoreUnavailable("away")
        return await super().look()

    async def accept(self, standing: Standing) -> tuple[Mapping[ConnectionId, int], int]:
        """Go over to it, and return what was served before."""
        seen, self.seen = self.seen, {}
        _, lost = await super().accept(standing)
        return seen, lost

    async def begin(
        self, epoch: str, standing: Standing, spool_id: SpoolId, *, expects: bool
    ) -> str:
        """Name a new epoch, and note when."""
        self._time.began[epoch] = self._time.clock.monotonic() if expects else 0.0
        return await super().begin(epoch, standing, spool_id, expects=expects)

    async def awaited(self, epoch: str) -> Awaited:
        """Return who is waited for, and for how long."""
        found = await super().awaited(epoch)
        return replace(found, age=self._time.age(epoch))


@dataclass
class Watch:
    """What one process does about it: a look every second, and a word about its spool."""

    watch: WatchDatabase
    epochs: EpochsByWorldClock
    clock: fakes.FakeClock
    looked_at: float | None = None
    said_at: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether a second has passed since the last look that succeeded."""
        return self.looked_at is None or self.clock.monotonic() >= self.looked_at + _EVERY

    async def look(self) -> None:
        """Look, and say which keys the spool needs where that is due."""
        starts = self.looked_at is None
        await self.watch()
        self.looked_at = self.clock.monotonic()
        if starts:
            self.said_at = self.looked_at
        elif self.looked_at >= self.said_at + _SAYS_EVERY:
            await self.watch.say_spool_keys()
            self.said_at = self.clock.monotonic()

    def saw(self, connection_id: ConnectionId, generation: int) -> None:
        """A token of that generation was served."""
        seen = self.epochs.seen
        seen[connection_id] = max(generation, seen.get(connection_id, 0))
