"""A PostgreSQL that falls silent: nothing waits for it without an end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from service.tests.support.databases import Base
from sqlalchemy import text

from keyturn_service.adapters.sql.database import (
    Database,
    PostgresConnection,
    postgres_connection,
)
from keyturn_service.adapters.sql.lines import PostgresLine
from keyturn_service.ports import StoreUnavailable

pytestmark = pytest.mark.parametrize("base", ["postgresql"], indirect=True)
ALL = 8  # connections of a pool
PATIENCE = 20
_MOST_PARTS = 12
SHORT = 0.3
SLOW = text("SELECT pg_sleep(0.6)")


class Way:
    """A way to the database on which what is open may fall silent.

    This machine takes what is sent all the same: the system does not notice.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.left: int | None = (
            None  # parts that the first connection sends yet; None: as many as it likes
        )
        self.fell = False
        self.carrying: set[asyncio.Task[None]] = set()
        self.ends: list[asyncio.StreamWriter] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what comes from either end."""
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        first = not self.ends
        self.ends += [writer, far_writer]
        for source, sink, counts in (
            (reader, far_writer, first),
            (far_reader, writer, False),
        ):
            self.carrying.add(asyncio.create_task(self.carry(source, sink, counts=counts)))

    async def carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        """Carry what comes from one end to the other."""
        while part := await source.read(65_536):
            if counts and self.left is not None:
                if self.left == 0:
                    self.fall_silent()
                    await asyncio.sleep(0)  # where this one ends
                self.left -= 1
            sink.write(part)
        sink.close()

    def fall_silent(self) -> None:
        """Carry nothing more on what is open; that is not closed."""
        self.fell = True
        for task in self.carrying:
            task.cancel()
        self.carrying.clear()
        self.left = None  # what comes later is another connection

    async def close(self) -> None:
        """Close both ends of every connection."""
        self.fall_silent()
        for end in self.ends:
            end.transport.abort()
        await asyncio.gather(*self.carrying, return_exceptions=True)


@pytest.fixture
async def way(base: Base) -> AsyncIterator[tuple[Way, Database]]:
    """Give a way to the database, and a database at its other end that waits for a moment."""
    async with _way(base) as both:
        yield both


@contextlib.asynccontextmanager
async def _way(base: Base) -> AsyncIterator[tuple[Way, Database]]:
    way = Way(base.database.url.port or 5432)
    listening = await asyncio.start_server(way.take, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    database = Database(base.database.url.set(host="127.0.0.1", port=port, query={}))
    database.seconds = SHORT
    yield way, database
    async with asyncio.timeout(PATIENCE):
        await database.close()
    listening.close()
    await way.close()


async def ask(database: Database) -> object:
    """Ask something."""
    async with database.read() as reading:
        return (await reading.execute(text("SELECT 1"))).scalar()


async def fill(database: Database) -> None:
    """Have as many connections as there may be."""

    async def hold(all_there: asyncio.Barrier) -> None:
        async with database.read(patient=True):
            await all_there.wait()

    all_there = asyncio.Barrier(ALL)
    await asyncio.gather(*(hold(all_there) for _ in range(ALL)))


async def test_the_pool_recovers_from_connections_that_fell_silent(
    way: tuple[Way, Database],
) -> None:
    """Each is given up and not used again; new ones serve."""
    line, database = way
    await fill(database)
    line.fall_silent()

    async with asyncio.timeout(PATIENCE):
        ended = await asyncio.gather(*(ask(database) for _ in range(ALL)), return_exceptions=True)
        assert {type(one) for one in ended} == {StoreUnavailable}
        assert await asyncio.gather(*(ask(database) for _ in range(ALL))) == [1] * ALL


class _Failed(Exception):
    """What goes on in a transaction fails."""


async def read(database: Database) -> None:
    """Ask something."""
    async with database.read() as reading:
        await reading.execute(text("SELECT 1"))


async def write(database: Database) -> None:
    """Write something."""
    async with database.write() as writing:
        await writing.execute(text("SELECT pg_current_xact_id()"))


async def fail_reading(database: Database) -> None:
    """Ask something, and fail."""
    async with database.read() as reading:
        await reading.execute(text("SELECT 1"))
        raise _Failed


async def fail_writing(database: Database) -> None:
    """Write something, and fail."""
    async with database.write() as writing:
        await writing.execute(text("SELECT pg_current_xact_id()"))
        raise _Failed


@pytest.mark.parametrize("work", [read, write, fail_reading, fail_writing])
@pytest.mark.parametrize("ended_by", ["its limit", "its caller"])
async def test_a_silence_at_any_part_is_not_waited_for(
    base: Base, work: Callable[[Database], Awaitable[None]], ended_by: str
) -> None:
    """The ping, the beginning, a statement, the end; the pool has its connection back."""

    async def silent_after(parts: int) -> bool:
        async with _way(base) as (way, database):
            with contextlib.suppress(_Failed):
                await work(database)
            database.seconds = SHORT if ended_by == "its limit" else None
            way.left = parts
            asked = asyncio.create_task(work(database))
            if ended_by == "its caller":
                await asyncio.wait({asked}, timeout=SHORT)
                asked.cancel()
            ended = (await asyncio.gather(asked, return_exceptions=True))[0]
            if not way.fell:
                assert isinstance(ended, _Failed | None)
                return False
            expected = StoreUnavailable if ended_by == "its limit" else asyncio.CancelledError
            assert isinstance(ended, expected), (parts, ended)
            assert database._writer.pool.checkedout() == 0
            assert await ask(database) == 1
            return True

    async with asyncio.timeout(PATIENCE):
        fell = await asyncio.gather(*(silent_after(parts) for parts in range(_MOST_PARTS)))
    assert 4 <= sum(fell) < _MOST_PARTS


async def test_who_waits_for_a_silent_one_is_told_as_well(way: tuple[Way, Database]) -> None:
    """All connections are in use; nobody waits for longer than for a statement."""
    line, database = way
    await fill(database)
    line.fall_silent()

    async with asyncio.timeout(PATIENCE):
        asked = (ask(database) for _ in range(3 * ALL))
        ended = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(one) for one in ended} == {StoreUnavailable}


async def test_a_slow_statement_is_given_up_unless_it_is_patient(
    way: tuple[Way, Database],
) -> None:
    """Patient is what goes through as many rows as there are."""
    _, database = way

    with pytest.raises(StoreUnavailable):
        async with database.write() as writing:
            await writing.execute(SLOW)
    with pytest.raises(StoreUnavailable):
        async with database.read() as reading:
            await reading.execute(SLOW)
    async with database.write(patient=True) as writing:
        await writing.execute(SLOW)
    async with database.read(patient=True) as reading:
        await reading.execute(SLOW)
    assert await ask(database) == 1


async def test_a_transaction_that_waits_for_a_lock_is_given_up_whole(
    way: tuple[Way, Database], base: Base
) -> None:
    """It leaves nothing at the server that would carry it out later."""
    _, database = way
    renamed = text("UPDATE workspaces SET name = 'Later'")
    async with base.database.write() as holding:
        await holding.execute(text("LOCK TABLE workspaces IN EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailable):
            async with database.write() as writing:
                await writing.execute(renamed)

    async with base.database.read() as reading:
        names = (await reading.execute(text("SELECT name FROM workspaces"))).scalars().all()
    assert "Later" not in names


async def test_limits_begin_with_serving(base: Base) -> None:
    """Migrations before, and commands, take the time that they need."""
    database = Database(base.database.url)
    assert (database.seconds, database.patient_seconds) == (None, None)

    database.serve()

    assert database.seconds is not None
    assert database.patient_seconds is not None
    assert database.seconds < 25 < database.patient_seconds


async def test_what_hangs_ends_when_another_database_is_gone_over_to(
    way: tuple[Way, Database],
) -> None:
    """Nobody waits for the one that was there before, and the new one serves."""
    line, database = way
    database.seconds = None
    await fill(database)
    all_there, silent = asyncio.Barrier(ALL // 2 + 1), asyncio.Event()

    async def hang() -> None:
        async with database.read() as reading:
            await all_there.wait()
            await silent.wait()
            await reading.execute(text("SELECT 1"))

    hanging = [asyncio.create_task(hang()) for _ in range(ALL // 2)]
    await all_there.wait()
    line.fall_silent()
    silent.set()

    async with asyncio.timeout(1):
        await database.accept(database._identity or "")
        ended = await asyncio.gather(*hanging, return_exceptions=True)

    assert {type(one) for one in ended} == {StoreUnavailable}
    assert await ask(database) == 1


async def test_a_line_whose_statement_could_not_be_prepared_is_made_again(
    way: tuple[Way, Database],
) -> None:
    """Else it would be used with the statement of the one before."""
    _, database = way
    database.seconds = None
    hot = PostgresLine(database, "SELECT n FROM {asked}", [("what", "text")])
    whole, hot._statement = hot._statement, "SELECT nothing_there"
    with pytest.raises(StoreUnavailable):
        await hot.rows([("a",)])

    assert hot._connection.is_closed()
    hot._statement = whole
    assert [tuple(row) for row in await hot.rows([("a",)])] == [(1,)]


async def test_one_of_several_hosts_is_enough(base: Base) -> None:
    """For the pool and for a connection of its own; the first one takes nobody."""
    url = base.database.url
    several = {"host": "127.0.0.1,127.0.0.1", "port": f"1,{url.port}"}
    database = Database(url._replace(host=None, port=None, query=several))

    assert await ask(database) == 1
    line = PostgresLine(database, "SELECT n FROM {asked}", [("what", "text")])
    assert [tuple(row) for row in await line.rows([("a",)])] == [(1,)]
    await database.close()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"database": "nosuch"}, 'database "nosuch" does not exist'),
        ({"query": {"sslmode": "require"}}, "SSL"),
        ({"query": {"sslmode": "odd"}}, "sslmode"),
    ],
)
async def test_why_nobody_is_let_in_is_told(
    base: Base, changed: dict[str, Any], words: str
) -> None:
    """By a connection of the pool and by one of its own."""
    url = base.database.url
    if "query" in changed:
        changed = {"query": {**url.query, **changed["query"]}}
    database = Database(url.set(**changed))
    with pytest.raises(StoreUnavailable, match=words):
        await ask(database)
    line = PostgresLine(database, "SELECT n FROM {asked}", [("what", "text")])
    with pytest.raises(StoreUnavailable, match=words):
        await line.rows([("a",)])
    await database.close()


async def test_the_system_looks_after_each_connection(way: tuple[Way, Database]) -> None:
    """Its other end may be gone without a word; then the server lets go of its locks."""
    _, database = way
    database.seconds = None
    single = await postgres_connection(database.dsn, seconds=5)
    async with database.read() as reading:
        raw = await reading.get_raw_connection()
        pooled = raw.driver_connection
        idle = (
            await reading.execute(text("SHOW idle_in_transaction_session_timeout"))
        ).scalar_one()
        for one in (single, pooled):
            assert isinstance(one, PostgresConnection)
            line = one._transport.get_extra_info("socket")
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
    assert idle == "1min"
    single.terminate()


async def test_a_statement_of_a_single_connection_is_given_up(way: tuple[Way, Database]) -> None:
    """Also the first ones, which say where it leads."""
    line, database = way
    single = await postgres_connection(database.dsn, seconds=SHORT)
    line.fall_silent()

    with pytest.raises(TimeoutError):
        await single.fetchval("SELECT 1")
    single.terminate()
