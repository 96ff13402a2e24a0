"""Refresh leases: claims with an end by the database's own clock, and fences that only grow."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, literal_column, update
from sqlalchemy.dialects import postgresql, sqlite

from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.tables import refresh_leases
from keyturn_service.domain.ids import ConnectionId, SpoolId
from keyturn_service.ports import Clock, Lease, StoreUnavailable

_FREE = 0
_LONGEST: Final = 5 * 60 * 1_000_000
"""Microseconds: no lease is longer. One that is was made before the database's clock was put back,
or by another database, and holds nobody off; as of `claims`."""


@dataclass(frozen=True, slots=True)
class SqlRefreshLeases:
    """`ports.RefreshLeases`. The owner is the replica's spool, which one process holds."""

    database: Database
    owner: SpoolId
    clock: Clock
    _count: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)
    _left: dict[ConnectionId, list[Lease]] = field(default_factory=dict, init=False, repr=False)

    async def acquire(self, connection_id: ConnectionId, *, ttl: timedelta) -> Lease | None:
        """Take the lease, or return None where somebody holds it.

        Given back where its commit was not told. Whose it is then its end says, which has no other
        lease of this replica: its fence is somebody else's, too, where it was not committed. So is
        one, first of all, that could not be given back while the database was away.
        """
        await self._give_back_left(connection_id)
        asked_at = self.clock.monotonic()
        now = self._now()
        dialect = sqlite if self.database.is_sqlite else postgresql
        ends_at = now + (round(ttl.total_seconds() * 1_000_000) + next(self._count) % 1000)
        taking = dialect.insert(refresh_leases).values(
            connection_id=connection_id, fence=1, owner=self.owner, ends_at=ends_at
        )
        statement = taking.on_conflict_do_update(
            index_elements=[refresh_leases.c.connection_id],
            set_={
                "fence": refresh_leases.c.fence + 1,
                "owner": self.owner,
                "ends_at": ends_at,
            },
            where=(refresh_leases.c.ends_at <= now) | (refresh_leases.c.ends_at > now + _LONGEST),
        ).returning(refresh_leases.c.fence, refresh_leases.c.ends_at)
        lease = None
        try:
            async with self.database.write() as connection:
                taken = (await connection.execute(statement)).first()
                if taken is not None:
                    lease = Lease(
                        connection_id=connection_id,
                        fence=taken.fence,
                        deadline=asked_at + ttl.total_seconds(),
                        ends_at=taken.ends_at,
                    )
        except BaseException as error:
            if lease is not None:
                self._leave(lease)
                if isinstance(error, StoreUnavailable):
                    with contextlib.suppress(StoreUnavailable):
                        await self._give_back_left(connection_id)
            raise
        return lease

    async def release_earlier_runs(self) -> int:
        """End the leases that earlier runs of this replica held; return how many."""
        async with self.database.write() as connection:
            ended = await connection.execute(
                update(refresh_leases)
                .where(refresh_leases.c.owner == self.owner, refresh_leases.c.ends_at > _FREE)
                .values(ends_at=_FREE)
            )
        return ended.rowcount

    async def release(self, lease: Lease) -> None:
        """Give the lease back; nothing happens where it is not ours any more.

        Tried twice: where the connection to the database was cut, the next one is another, and
        nobody waits for the lease's end. Where the database is away for longer, or the caller goes
        away, it is given back when somebody asks for it here again.
        """
        self._leave(lease)
        try:
            await self._give_back_left(lease.connection_id)
        except StoreUnavailable:
            await self._give_back_left(lease.connection_id)

    def _leave(self, lease: Lease) -> None:
        self._left.setdefault(lease.connection_id, []).append(lease)

    async def _give_back_left(self, connection_id: ConnectionId) -> None:
        for lease in tuple(self._left.get(connection_id, ())):
            async with self.database.write() as connection:
                await connection.execute(
                    update(refresh_leases)
                    .where(
                        refresh_leases.c.connection_id == connection_id,
                        refresh_leases.c.fence == lease.fence,
                        refresh_leases.c.owner == self.owner,
                        refresh_leases.c.ends_at == lease.ends_at,
                    )
                    .values(ends_at=_FREE)
                )
            self._given_back(lease)

    def _given_back(self, lease: Lease) -> None:
        left = self._left.get(lease.connection_id, [])
        if lease in left:  # else another call has done it meanwhile
            left.remove(lease)
        if not left:
            self._left.pop(lease.connection_id, None)

    def _now(self) -> ColumnElement[int]:
        return clock_of(self.database)


def clock_of(database: Database) -> ColumnElement[int]:
    """Return the database's own clock, in microseconds."""
    text = (
        "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
        if database.is_sqlite
        else "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
    )
    return literal_column(text, BigInteger)
