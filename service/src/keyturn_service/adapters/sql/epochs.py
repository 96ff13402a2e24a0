"""Which database this is, seen by connections of their own."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from keyturn_service.adapters.spool.last_mark import LastMark, Mark
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.database import (
    Database,
    file_identity,
    identity_of,
    postgres_connection,
    translated,
)
from keyturn_service.adapters.sql.hot_reads import SqlServingReads
from keyturn_service.adapters.sql.leases import clock_of
from keyturn_service.adapters.sql.tables import (
    connections,
    database_epochs,
    spool_keys,
    spool_replays,
)
from keyturn_service.domain.ids import ConnectionId, SpoolId
from keyturn_service.ports import Awaited, Standing

_STATEMENT_SECONDS: Final = 5
_RAN: Final = timedelta(minutes=2)  # several times the pace at which spools say their keys
_AT_ONCE: Final = 500
_LOST: Final = ""  # the key of a spool that is lost: see `spool_keys`
_LOOK: Final = (
    "SELECT (SELECT epoch FROM database_epochs), (SELECT identity FROM database_epochs),"
    " (SELECT hash FROM audit_events WHERE writer = {} AND sequence = {}),"
    " (SELECT hash FROM audit_events WHERE writer = {} AND sequence = {})"
)
_NONE: Final = Mark("", 0, b"")


@dataclass(slots=True)
class SqlEpochs:
    """`ports.Epochs`."""

    database: Database
    audit: SqlAuditLog
    serving: SqlServingReads
    last_mark: LastMark
    _before: Mark | None = field(default=None, init=False)  # of the run before, until it is met
    _looked: bool = field(default=False, init=False)
    _ran_here: set[str] = field(default_factory=set, init=False)  # spools that ran a moment ago
    _seen: dict[ConnectionId, int] = field(default_factory=dict, init=False)  # until it is told

    async def look(self) -> Standing:
        """Look by a new connection: an old one may lead to where the database was."""
        if not self._looked:
            self._before = await asyncio.to_thread(self.last_mark.read)
            self._looked = True
        marks = (self.audit.mark or _NONE, self._before or _NONE)
        asked = [value for mark in marks for value in (mark.writer, mark.sequence)]
        with translated():
            if self.database.is_sqlite:
                found = await asyncio.to_thread(_look_sqlite, self.database.url.database, asked)
            else:
                found = await _look_postgres(self.database.dsn, asked)
        now, epoch, then, *there = found
        same = now == then and there == [mark.hash or None for mark in marks]
        if same:
            self._before = None
        return Standing(identity=now, epoch=epoch, same=same)

    async def remember(self) -> None:
        """Keep on the disk what the database has to have at the next start."""
        if self.audit.mark is not None:
            await asyncio.to_thread(self.last_mark.keep, self.audit.mark)

    async def meet(self, spool_id: SpoolId) -> None:
        """Learn which spools run: an older database may not know them."""
        self._ran_here = set(await self._ran(spool_id))

    async def accept(self, standing: Standing) -> tuple[Mapping[ConnectionId, int], int]:
        """Go over to it: every connection is made anew, and nothing remembered is served."""
        for connection_id, generation in self.serving.forget().items():
            self._seen[connection_id] = max(generation, self._seen.get(connection_id, 0))
        await self.database.accept(standing.identity)
        lost = await self.audit.rejoin()
        seen, self._seen = self._seen, {}
        return seen, lost

    async def begin(
        self, epoch: str, standing: Standing, spool_id: SpoolId, *, expects: bool
    ) -> str:
        """Name a new epoch, unless somebody was first; return the one in force."""
        row = {
            "epoch": epoch,
            "identity": standing.identity,
            "began_at": clock_of(self.database) if expects else 0,
        }
        dialect = sqlite if self.database.is_sqlite else postgresql
        naming = dialect.insert(database_epochs).values(one=1, **row)
        before = database_epochs.c.epoch == (standing.epoch or "")
        ran = await self._expected(spool_id) if expects else []
        async with self.database.write() as writing:
            await writing.execute(
                naming.on_conflict_do_update(
                    index_elements=[database_epochs.c.one], set_=row, where=before
                )
            )
            in_force = (await writing.execute(select(database_epochs.c.epoch))).scalar_one()
            if in_force == epoch:
                await writing.execute(delete(spool_replays))
                rows = [{"spool_id": one, "epoch": epoch, "replayed": False} for one in ran]
                if rows:
                    await writing.execute(insert(spool_replays), rows)
        self._before = None
        return str(in_force)

    async def _expected(self, spool_id: SpoolId) -> Sequence[str]:
        """Return its own spool, those that ran, and those that another epoch waits for still."""
        asked = select(spool_replays.c.spool_id).where(spool_replays.c.replayed.is_(False))
        async with self.database.read() as reading:
            awaited = (await reading.execute(asked)).scalars().all()
        return sorted({spool_id, *awaited, *self._ran_here, *await self._ran(spool_id)})

    async def _ran(self, spool_id: SpoolId) -> Sequence[str]:
        """Return the spools that were there at the end of what the database knows."""
        asked = select(spool_keys.c.spool_id, func.max(spool_keys.c.seen_at)).where(
            spool_keys.c.key_id != _LOST
        )
        async with self.database.read() as reading:
            rows = (await reading.execute(asked.group_by(spool_keys.c.spool_id))).all()
        latest = max((seen for one, seen in rows if one != spool_id), default=None)
        return [one for one, seen in rows if latest is None or seen >= latest - _RAN]

    async def expect(self, epoch: str, spool_id: SpoolId) -> None:
        """Have everybody wait for the spool, and those that ran, unless replayed in that epoch."""
        dialect = sqlite if self.database.is_sqlite else postgresql
        row = {"epoch": epoch, "replayed": False}
        rows = [{"spool_id": one, **row} for one in sorted({spool_id, *self._ran_here})]
        async with self.database.write() as writing:
            await writing.execute(
                dialect.insert(spool_replays)
                .values(rows)
                .on_conflict_do_update(
                    index_elements=[spool_replays.c.spool_id],
                    set_=row,
                    where=spool_replays.c.epoch != epoch,
                )
            )

    async def replayed(self, epoch: str, spool_id: SpoolId) -> None:
        """Say that the database knows what the spool has."""
        async with self.database.write() as writing:
            await writing.execute(
                update(spool_replays)
                .where(spool_replays.c.spool_id == spool_id, spool_replays.c.epoch == epoch)
                .values(replayed=True)
            )

    async def awaited(self, epoch: str) -> Awaited:
        """Return who is waited for; not for a spool that was declared lost."""
        lost = select(spool_keys.c.spool_id).where(spool_keys.c.key_id == _LOST)
        asked = (
            select(spool_replays.c.spool_id)
            .where(
                spool_replays.c.epoch == epoch,
                spool_replays.c.replayed.is_(False),
                spool_replays.c.spool_id.not_in(lost),
            )
            .order_by(spool_replays.c.spool_id)
        )
        aged = select(clock_of(self.database) - database_epochs.c.began_at)
        async with self.database.read() as reading:
            spools = (await reading.execute(asked)).scalars().all()
            age = (await reading.execute(aged)).scalar() or 0
        return Awaited(spools=[SpoolId(one) for one in spools], age=age / 1_000_000)

    async def behind(self, seen: Mapping[ConnectionId, int]) -> Sequence[ConnectionId]:
        """Return which of these connections are kept with an older generation."""
        ids, found = list(seen), []
        for start in range(0, len(ids), _AT_ONCE):
            asked = select(connections.c.id, connections.c.generation).where(
                connections.c.id.in_(ids[start : start + _AT_ONCE])
            )
            async with self.database.read() as reading:
                rows = (await reading.execute(asked)).all()
            found += [ConnectionId(id_) for id_, kept in rows if kept < seen[ConnectionId(id_)]]
        return found


def _look_sqlite(path: str | None, asked: Sequence[str | int]) -> tuple[Any, ...]:
    there = sqlite3.connect(f"file:{path}?mode=rw", uri=True)  # never makes a new one
    with contextlib.closing(there) as connection:
        row = connection.execute(_LOOK.format("?", "?", "?", "?"), asked).fetchone()
        return file_identity(path or ""), *row


async def _look_postgres(dsn: str, asked: Sequence[str | int]) -> tuple[Any, ...]:
    connection = await postgres_connection(dsn, seconds=_STATEMENT_SECONDS)
    try:
        identity = await identity_of(connection)
        row = await connection.fetchrow(_LOOK.format("$1", "$2", "$3", "$4"), *asked)
        return identity, *row
    finally:
        connection.terminate()
