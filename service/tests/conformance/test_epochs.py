"""`ports.Epochs`: which database this is, and who has replayed into it."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from service.tests.support.databases import Base
from service.tests.support.fakes import FakeClock
from service.tests.support.faulty import SpoolKeysByWorldClock
from service.tests.support.values import CONNECTION, SPOOL, START, api_key, event, hash_of
from sqlalchemy.engine import make_url
from tests.support.postgres import Server

from keyturn_service.adapters.spool.last_mark import LastMark
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.database import Database, identity_of
from keyturn_service.adapters.sql.epochs import SqlEpochs
from keyturn_service.adapters.sql.hot_reads import SqlServingReads
from keyturn_service.domain.ids import ConnectionId, SpoolId
from keyturn_service.ports import AuditUnavailable, Standing, StoreUnavailable

NEW = Standing(identity="somewhere", epoch=None, same=False)
OTHER = SpoolId("spool_other")


@pytest.fixture
def audit(base: Base) -> SqlAuditLog:
    """Return the audit of this run."""
    return base.audit_log()


@pytest.fixture
def last_mark(tmp_path: Path) -> LastMark:
    """Return what a run leaves to the next one."""
    return LastMark(tmp_path / "last-mark")


@pytest.fixture
async def epochs(base: Base, audit: SqlAuditLog, last_mark: LastMark) -> SqlEpochs:
    """Return the port, over a database whose epoch is named."""
    epochs = SqlEpochs(base.database, audit, base.stores.serving, last_mark)
    await epochs.begin("epoch_one", await epochs.look(), SPOOL, expects=False)
    return epochs


async def test_a_database_without_an_epoch_is_none_that_was_seen(
    base: Base, audit: SqlAuditLog, last_mark: LastMark
) -> None:
    """As a new installation, or one of an earlier release."""
    found = await SqlEpochs(base.database, audit, base.stores.serving, last_mark).look()

    assert (found.epoch, found.same) == (None, False)


async def test_the_same_database_is_the_same(epochs: SqlEpochs, audit: SqlAuditLog) -> None:
    """With all that this replica knows to be durable."""
    await audit.record(event())

    found = await epochs.look()

    assert (found.epoch, found.same) == ("epoch_one", True)


async def test_what_was_durable_and_is_gone_tells_of_an_older_database(
    base: Base, epochs: SqlEpochs, audit: SqlAuditLog
) -> None:
    """A dump that was read back in the same place; the chain goes on from its end there."""
    for _ in range(3):
        await audit.record(event())
    await base.execute("DELETE FROM audit_events WHERE writer = 'run_one' AND sequence > 1")

    found = await epochs.look()

    assert not found.same
    assert await epochs.accept(found) == ({}, 2)
    assert (await epochs.look()).same
    await audit.record(event())
    assert [one.sequence for one in await base.stores.audit_trail.chain("run_one")] == [1, 2]
    assert await epochs.accept(found) == ({}, 0)


async def test_what_was_on_its_way_when_the_database_was_exchanged_is_in_no_chain(
    base: Base, audit: SqlAuditLog
) -> None:
    """Its place was behind a record that is gone; its caller is told, and the next one fits."""
    for _ in range(3):
        await audit.record(event())
    on_its_way = audit.record(event())
    writing = asyncio.create_task(on_its_way)
    await asyncio.sleep(0)  # it has its place by now
    await asyncio.sleep(0)
    base.database.exchanged += 1

    with pytest.raises(AuditUnavailable):
        await writing
    await base.execute("DELETE FROM audit_events WHERE writer = 'run_one' AND sequence > 1")
    await audit.record(event())

    assert [one.sequence for one in await base.stores.audit_trail.chain("run_one")] == [1, 2]


async def test_another_replicas_name_stands(
    base: Base, epochs: SqlEpochs, last_mark: LastMark
) -> None:
    """Of two that see the same, one names it."""
    found = await epochs.look()

    database = Database(base.database.url)
    other = SqlEpochs(database, base.audit_log("run_two"), base.stores.serving, last_mark)
    names = await asyncio.gather(
        epochs.begin("epoch_two", found, SPOOL, expects=True),
        other.begin("epoch_three", found, OTHER, expects=True),
    )
    await database.close()

    assert len(set(names)) == 1
    assert (await epochs.look()).epoch == names[0]


async def test_what_the_run_before_knew_tells_of_an_older_database_at_a_start(
    base: Base, epochs: SqlEpochs, audit: SqlAuditLog, last_mark: LastMark
) -> None:
    """A snapshot put back in the same place is the same in all else; a new epoch ends it."""
    await epochs.remember()
    assert last_mark.read() is None  # nothing is durable yet
    await audit.record(event())
    await epochs.remember()
    kept = await SqlEpochs(base.database, base.audit_log("run_two"), *epochs_rest(epochs)).look()
    assert kept.same
    await base.execute("DELETE FROM audit_events WHERE writer = 'run_one'")
    later = base.audit_log("run_two")
    await later.record(event())
    restarted = SqlEpochs(base.database, later, *epochs_rest(epochs))

    found = [await restarted.look(), await restarted.look()]

    assert [(one.epoch, one.same) for one in found] == [("epoch_one", False)] * 2
    await restarted.begin("epoch_two", found[-1], SPOOL, expects=True)
    assert (await restarted.look()).same


async def test_what_was_seen_once_may_be_trimmed_later(
    base: Base, epochs: SqlEpochs, audit: SqlAuditLog
) -> None:
    """Of the run before, that is: it was there at this one's start."""
    await audit.record(event())
    await epochs.remember()
    restarted = SqlEpochs(base.database, base.audit_log("run_two"), *epochs_rest(epochs))
    assert (await restarted.look()).same

    await base.execute("DELETE FROM audit_events WHERE writer = 'run_one'")

    assert (await restarted.look()).same


def epochs_rest(epochs: SqlEpochs) -> tuple[SqlServingReads, LastMark]:
    """Return what two runs of one replica have in common."""
    return epochs.serving, epochs.last_mark


async def test_those_that_were_awaited_are_awaited_in_the_next_epoch(
    base: Base, epochs: SqlEpochs
) -> None:
    """Whoever finds the older database after another one did names one, too."""
    found = replace(await epochs.look(), same=False)
    await epochs.begin("epoch_two", found, SPOOL, expects=True)
    await epochs.expect("epoch_two", OTHER)
    await epochs.replayed("epoch_two", SPOOL)
    await base.stores.spool_keys.say("spool_new", {"kek": 0})

    found = replace(await epochs.look(), same=False)
    await epochs.begin("epoch_three", found, SpoolId("spool_new"), expects=True)

    assert (await epochs.awaited("epoch_three")).spools == ["spool_new", OTHER]


async def test_those_are_awaited_that_a_replica_has_met(base: Base, epochs: SqlEpochs) -> None:
    """An older database does not know them; whoever names its epoch, or joins it, does."""
    await base.stores.spool_keys.say(SPOOL, {"kek": 0})
    await base.stores.spool_keys.say(OTHER, {"kek": 0})
    await epochs.meet(SPOOL)
    await base.execute("DELETE FROM spool_keys")
    found = replace(await epochs.look(), same=False)

    await epochs.begin("epoch_two", found, SPOOL, expects=True)
    assert (await epochs.awaited("epoch_two")).spools == [SPOOL, OTHER]

    await base.execute("DELETE FROM spool_replays")
    await epochs.expect("epoch_two", SPOOL)
    assert (await epochs.awaited("epoch_two")).spools == [SPOOL, OTHER]
    await epochs.replayed("epoch_two", OTHER)
    await epochs.expect("epoch_two", SPOOL)
    assert (await epochs.awaited("epoch_two")).spools == [SPOOL]


async def test_those_are_awaited_that_ran_then(base: Base, epochs: SqlEpochs) -> None:
    """Until they have replayed, or were declared lost; not what had stopped long before."""
    clock = FakeClock()
    keys = SpoolKeysByWorldClock(base.database, clock)
    for spool, until_the_next in (("spool_stopped", 8), ("spool_a", 1), (OTHER, 51), (SPOOL, 0)):
        await keys.say(spool, {"kek": 0})
        clock.advance(minutes=until_the_next)
    found = replace(await epochs.look(), identity="elsewhere")
    await epochs.begin("epoch_two", found, SPOOL, expects=True)
    assert (await epochs.awaited("epoch_two")).spools == ["spool_a", SPOOL, OTHER]
    assert 0 <= (await epochs.awaited("epoch_two")).age < 60

    await epochs.replayed("epoch_two", SPOOL)
    await epochs.expect("epoch_two", SPOOL)
    await epochs.expect("epoch_two", SpoolId("spool_new"))
    await keys.forget("spool_a", at=START)

    assert (await epochs.awaited("epoch_two")).spools == ["spool_new", OTHER]


async def test_one_that_only_another_replica_knows_can_be_declared_lost(
    base: Base, epochs: SqlEpochs
) -> None:
    """A backup may be older than the spool: its replica has met who waits for it now."""
    found = replace(await epochs.look(), identity="elsewhere")
    await epochs.begin("epoch_two", found, SPOOL, expects=True)
    await epochs.replayed("epoch_two", SPOOL)
    await epochs.expect("epoch_two", OTHER)
    assert (await epochs.awaited("epoch_two")).spools == [OTHER]

    keys = SpoolKeysByWorldClock(base.database, FakeClock())
    assert not await keys.forget("spool_unknown", at=START)
    assert await keys.forget(OTHER, at=START)

    assert list((await epochs.awaited("epoch_two")).spools) == []


async def test_nobody_is_awaited_in_the_first_epoch(epochs: SqlEpochs) -> None:
    """It is as if it were old."""
    awaited = await epochs.awaited("epoch_one")

    assert list(awaited.spools) == []
    assert awaited.age > 3600


async def test_what_was_seen_later_is_behind(base: Base, epochs: SqlEpochs) -> None:
    """A connection that is not there is not behind: there is nothing to present."""
    await base.with_connection()
    gone = type(CONNECTION)("con_gone")

    assert await epochs.behind({CONNECTION: 1, gone: 7}) == []
    assert await epochs.behind({CONNECTION: 2}) == [CONNECTION]


async def test_what_was_remembered_is_seen_and_forgotten(base: Base, epochs: SqlEpochs) -> None:
    """Nothing of the database before is served."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))

    seen, _ = await epochs.accept(await epochs.look())

    assert seen == ({} if base.database.is_sqlite else {CONNECTION: 1})
    assert base.stores.serving.recall(CONNECTION, key_hash=hash_of("key")) is None
    assert (await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))).tokens is not None


@pytest.mark.parametrize("base", ["postgresql"], indirect=True)
async def test_what_was_seen_is_told_though_the_database_went_away_meanwhile(
    base: Base, epochs: SqlEpochs
) -> None:
    """However often; what was seen in between is told, too."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    found = await epochs.look()
    await base.break_it()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await epochs.accept(found)
    await base.mend_it()
    await base.with_connection(id=ConnectionId("con_two"))
    await base.stores.serving.read(ConnectionId("con_two"), key_hash=hash_of("key"))

    assert await epochs.accept(found) == ({CONNECTION: 1, "con_two": 1}, 0)
    assert await epochs.accept(found) == ({}, 0)


class Seen:
    """Serving reads that saw another generation each time."""

    def __init__(self, *generations: int) -> None:
        self.generations = list(generations)

    def forget(self) -> dict[ConnectionId, int]:
        """Return what was seen since."""
        return {CONNECTION: self.generations.pop(0)} if self.generations else {}


async def test_what_was_seen_is_told_by_the_next_where_one_was_cancelled(epochs: SqlEpochs) -> None:
    """The highest generation, whatever an older database said in between; and once."""
    epochs.serving = Seen(2, 1)  # type: ignore[assignment] - nothing else is asked of it
    found = await epochs.look()
    accepting = asyncio.create_task(epochs.accept(found))
    await asyncio.sleep(0)  # it has begun by now
    accepting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await accepting

    assert await epochs.accept(found) == ({CONNECTION: 2}, 0)
    assert await epochs.accept(found) == ({}, 0)


async def test_without_a_database_nothing_is_said(base: Base, epochs: SqlEpochs) -> None:
    """Whoever looks asks again later."""
    await base.break_it()
    try:
        with pytest.raises(StoreUnavailable):
            await epochs.look()
    finally:
        await base.mend_it()


async def test_another_file_is_refused_until_it_is_accepted(base: Base, epochs: SqlEpochs) -> None:
    """On SQLite; nothing is read from it or written to it by mistake."""
    if not base.database.is_sqlite:
        pytest.skip("a file of SQLite")
    await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    path = Path(base.database.url.database or "")
    copy = path.with_name("copy")
    await base.database.engine.dispose()
    shutil.copy(path, copy)
    copy.replace(path)

    for asking in (base.stores.seals.current(), base.stores.seals.take_off(at=START)):
        with pytest.raises(StoreUnavailable):
            await asking
    with pytest.raises(StoreUnavailable):
        await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    found = await epochs.look()
    await epochs.accept(found)

    assert not found.same
    assert await base.stores.seals.current() is None
    await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))


async def test_new_connections_to_another_database_are_refused(
    base: Base, epochs: SqlEpochs
) -> None:
    """On PostgreSQL; whichever kind of connection it is."""
    if base.database.is_sqlite:
        pytest.skip("connections of PostgreSQL")
    await base.stores.seals.current()
    base.database.url = base.database.url.set(database="postgres")

    with pytest.raises(StoreUnavailable):
        await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    with pytest.raises(StoreUnavailable):
        await epochs.look()  # there are no tables of ours


async def test_who_may_not_ask_the_server_is_told_the_database_alone(server: Server) -> None:
    """Where an administrator took the right away, the audit still tells of an older one."""
    url = server.create_database()
    name = f"guest_{time.monotonic_ns()}"
    server.execute(f"CREATE ROLE {name} LOGIN")
    as_guest = make_url(url).set(username=name).render_as_string(hide_password=False)

    told = await _identity(as_guest)
    server.value("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", url)
    untold = await _identity(as_guest)

    assert told.count("/") == 2
    assert untold == f"?/{told.rpartition('/')[2]}"


async def _identity(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return await identity_of(connection)
    finally:
        await connection.close()
