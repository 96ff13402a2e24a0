"""`ports.RefreshLeases`: one holder at a time, by the database's own clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from service.tests.support.databases import Base, ForgetfulDatabase
from service.tests.support.fakes import FakeClock
from service.tests.support.values import CONNECTION, SPOOL
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.leases import SqlRefreshLeases
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import Lease, RefreshLeases, StoreUnavailable

LONG = timedelta(minutes=1)
OVER = timedelta(0)


async def test_a_lease_that_somebody_holds_is_not_given_again(base: Base) -> None:
    """Neither the holder's own replica nor another one gets it a second time."""
    async with base.replica("spool_two") as other:
        held = await base.stores.leases.acquire(CONNECTION, ttl=LONG)

        assert held is not None
        assert await base.stores.leases.acquire(CONNECTION, ttl=LONG) is None
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is None


async def test_leases_of_two_connections_do_not_meet(base: Base) -> None:
    """A lease claims one connection and no other."""
    assert await base.stores.leases.acquire(CONNECTION, ttl=LONG) is not None

    assert await base.stores.leases.acquire(ConnectionId("con_two"), ttl=LONG) is not None


async def test_of_many_that_ask_at_once_one_gets_the_lease(base: Base) -> None:
    """However many replicas ask at the same moment, one holds it."""
    async with base.replica("spool_two") as other:
        asked = [
            stores.leases.acquire(CONNECTION, ttl=LONG)
            for stores in (base.stores, other)
            for _ in range(8)
        ]
        given = [lease for lease in await asyncio.gather(*asked) if lease is not None]

    assert [lease.fence for lease in given] == [1]


async def test_the_fence_grows_with_every_lease(base: Base) -> None:
    """Given back or ended by time, the next lease has a greater number."""
    leases = base.stores.leases
    first = await leases.acquire(CONNECTION, ttl=OVER)
    second = await leases.acquire(CONNECTION, ttl=LONG)
    assert first is not None
    assert second is not None
    await leases.release(second)
    third = await leases.acquire(CONNECTION, ttl=LONG)

    assert third is not None
    assert [first.fence, second.fence, third.fence] == [1, 2, 3]


async def test_a_lease_ends_by_the_databases_clock(base: Base) -> None:
    """Moving our own clock by years ends nothing."""
    assert isinstance(base.clock, FakeClock)
    assert await base.stores.leases.acquire(CONNECTION, ttl=LONG) is not None

    base.clock.advance(days=1000)

    assert await base.stores.leases.acquire(CONNECTION, ttl=LONG) is None


async def test_a_lease_further_ahead_than_any_can_be_holds_nobody_off(base: Base) -> None:
    """It was made before the database's clock was put back, or was written by a stranger."""
    held = await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    assert held is not None
    await base.execute("UPDATE refresh_leases SET ends_at = ends_at + 7200000000")

    async with base.replica("spool_two") as other:
        taken = await other.leases.acquire(CONNECTION, ttl=LONG)

        assert taken is not None
        assert taken.fence > held.fence
        assert await base.stores.leases.acquire(CONNECTION, ttl=LONG) is None


async def test_the_database_says_how_long_a_lease_lasts(base: Base) -> None:
    """The end lies the asked time behind the database's now, not behind ours."""
    assert isinstance(base.clock, FakeClock)
    base.clock.advance(days=-1000)
    await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    now = (
        "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
        if base.database.is_sqlite
        else "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
    )

    [(left,)] = await base.rows(f"SELECT ends_at - {now} FROM refresh_leases")  # noqa: S608 - ours

    assert timedelta(seconds=30) < timedelta(microseconds=left) <= LONG


async def test_the_deadline_counts_from_before_the_database_was_asked(base: Base) -> None:
    """A database that answers late costs the holder time, never the others."""
    asked_at = base.clock.monotonic()

    lease = await base.stores.leases.acquire(CONNECTION, ttl=LONG)

    assert lease is not None
    assert lease.deadline == asked_at + LONG.total_seconds()


async def test_a_lease_given_back_is_free(base: Base) -> None:
    """Whoever asks next has it."""
    lease = await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    assert lease is not None

    await base.stores.leases.release(lease)

    async with base.replica("spool_two") as other:
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is not None


@pytest.mark.parametrize("side", ["lose_before_commit", "lose_after_commit"])
async def test_a_lease_is_given_back_though_the_database_was_cut_off(base: Base, side: str) -> None:
    """Once: nobody waits for a minute because one connection broke at the wrong moment."""
    lease = await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    assert lease is not None
    setattr(base.database, side, 1)

    await base.stores.leases.release(lease)

    async with base.replica("spool_two") as other:
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is not None


async def left(base: Base) -> Lease:
    """Take a lease, and try to give it back while the database is away."""
    lease = await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    assert lease is not None
    base.database.lose_before_commit = 2
    with pytest.raises(StoreUnavailable):
        await base.stores.leases.release(lease)
    return lease


async def test_a_lease_that_could_not_be_given_back_is_given_back_later(base: Base) -> None:
    """As soon as its own replica asks: no other waits for its end because of a restart."""
    leases = base.stores.leases
    lease = await left(base)

    async with base.replica("spool_two") as other:
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is None
        again = await leases.acquire(CONNECTION, ttl=LONG)
        assert again is not None
        assert again.fence > lease.fence
        assert await leases.acquire(CONNECTION, ttl=LONG) is None  # what it holds now it holds
        await leases.release(again)
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is not None
        assert await leases.acquire(CONNECTION, ttl=LONG) is None


async def test_a_lease_given_back_late_takes_nobody_elses(base: Base) -> None:
    """An older database counts its fences again: there the same one may be another's."""
    leases = base.stores.leases
    lease = await left(base)
    await base.execute("DELETE FROM refresh_leases")
    async with base.replica("spool_two") as other:
        taken = await other.leases.acquire(CONNECTION, ttl=LONG)
        assert taken is not None
        assert taken.fence == lease.fence

        assert await leases.acquire(CONNECTION, ttl=LONG) is None


async def test_a_lease_that_was_over_gives_back_no_other(base: Base) -> None:
    """Neither the next one of its own replica, nor, in an older database, one of the same fence."""
    leases = base.stores.leases
    first = await leases.acquire(CONNECTION, ttl=OVER)
    second = await leases.acquire(CONNECTION, ttl=LONG)
    assert first is not None
    assert second is not None
    await leases.release(first)
    assert await leases.acquire(CONNECTION, ttl=LONG) is None
    await base.execute("UPDATE refresh_leases SET fence = :fence", fence=first.fence)
    await leases.release(first)
    assert await leases.acquire(CONNECTION, ttl=LONG) is None
    await base.execute("UPDATE refresh_leases SET fence = :fence", fence=second.fence)

    await leases.release(second)

    async with base.replica("spool_two") as other:
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is not None


async def test_a_caller_that_goes_away_while_it_is_given_one_leaves_it(base: Base) -> None:
    """Whatever of the taking was done: nobody waits for the end of what nobody has."""
    if base.database.is_sqlite:
        pytest.skip("its driver goes on with a transaction whose caller went away")
    leases = base.stores.leases
    for turns in range(40):
        taking = asyncio.create_task(leases.acquire(CONNECTION, ttl=LONG))
        for _ in range(turns):
            await asyncio.sleep(0)
        if taking.done():
            break
        taking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await taking
        again = await leases.acquire(CONNECTION, ttl=LONG)
        assert again is not None, f"cancelled after {turns} turns"
        await leases.release(again)


async def test_a_caller_that_goes_away_leaves_its_lease_to_the_next(base: Base) -> None:
    """Whatever of the giving back was done."""
    leases = base.stores.leases
    lease = await leases.acquire(CONNECTION, ttl=LONG)
    assert lease is not None
    giving = asyncio.create_task(leases.release(lease))
    await asyncio.sleep(0)
    giving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await giving

    assert await leases.acquire(CONNECTION, ttl=LONG) is not None


@pytest.mark.parametrize("side", ["lose_before_commit", "lose_after_commit"])
async def test_a_lease_whose_commit_was_not_told_is_free(base: Base, side: str) -> None:
    """Who asked is told that there is no database; nobody waits, and the fence still grows."""
    first = await base.stores.leases.acquire(CONNECTION, ttl=OVER)
    setattr(base.database, side, 1)

    with pytest.raises(StoreUnavailable):
        await base.stores.leases.acquire(CONNECTION, ttl=LONG)

    lease = await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    assert first is not None
    assert lease is not None
    assert lease.fence == first.fence + (2 if side == "lose_after_commit" else 1)


async def test_where_it_cannot_be_given_back_the_first_error_is_told(base: Base) -> None:
    """It ends by time then."""
    base.database.lose_after_commit = 2

    with pytest.raises(StoreUnavailable):
        await base.stores.leases.acquire(CONNECTION, ttl=LONG)

    assert base.database.lose_after_commit == 0


class Overtaken(ForgetfulDatabase):
    """A database where somebody takes the lease in place of one that was not committed."""

    lease: Lease | None = None
    leases: RefreshLeases

    @contextlib.asynccontextmanager
    async def write(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a transaction; where it is lost, the other one asks before its own task does."""
        try:
            async with super().write(patient=patient) as connection:
                yield connection
        except StoreUnavailable:
            self.lease = await self.leases.acquire(CONNECTION, ttl=LONG)
            raise


@pytest.mark.parametrize("by", ["itself", "another"])
async def test_what_somebody_else_took_meanwhile_is_not_given_back(base: Base, by: str) -> None:
    """It has the fence that the one which was not committed would have had."""
    database = Overtaken(base.database.url)
    leases = SqlRefreshLeases(database, SPOOL, base.clock)
    async with base.replica("spool_two") as other:
        database.leases = leases if by == "itself" else other.leases
        database.lose_before_commit = 1
        with pytest.raises(StoreUnavailable):
            await leases.acquire(CONNECTION, ttl=LONG)

        assert database.lease is not None
        assert database.lease.fence == 1
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is None
    await database.close()


async def test_a_lease_that_is_not_ours_any_more_is_left_alone(base: Base) -> None:
    """A late release does not free the next holder's lease."""
    late = await base.stores.leases.acquire(CONNECTION, ttl=OVER)
    assert late is not None
    async with base.replica("spool_two") as other:
        assert await other.leases.acquire(CONNECTION, ttl=LONG) is not None

        await base.stores.leases.release(late)

        assert await base.stores.leases.acquire(CONNECTION, ttl=LONG) is None


async def test_the_leases_of_earlier_runs_are_ended_once(base: Base) -> None:
    """A replica that starts ends its own dead leases, and nobody else's."""
    async with base.replica("spool_two") as other:
        await base.stores.leases.acquire(CONNECTION, ttl=LONG)
        await base.stores.leases.acquire(ConnectionId("con_two"), ttl=LONG)
        await other.leases.acquire(ConnectionId("con_three"), ttl=LONG)

        assert await base.stores.leases.release_earlier_runs() == 2
        assert await base.stores.leases.release_earlier_runs() == 0

        assert await other.leases.acquire(CONNECTION, ttl=LONG) is not None
        assert await base.stores.leases.acquire(ConnectionId("con_three"), ttl=LONG) is None


async def test_a_fence_is_not_lost_when_earlier_runs_are_ended(base: Base) -> None:
    """What an earlier run still writes is older than any new lease."""
    first = await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    await base.stores.leases.release_earlier_runs()

    second = await base.stores.leases.acquire(CONNECTION, ttl=LONG)

    assert first is not None
    assert second is not None
    assert second.fence > first.fence


async def test_without_a_database_there_is_no_lease(base: Base) -> None:
    """Asking fails, and says so; nobody goes on without a lease."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await base.stores.leases.acquire(CONNECTION, ttl=LONG)

    await base.mend_it()
    assert await base.stores.leases.acquire(CONNECTION, ttl=LONG) is not None
