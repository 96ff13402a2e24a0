"""The audit cannot be written: no token leaves, nothing is proxied, and it passes by itself.

The faults are made from outside: another session's lock, a table that is gone, and a disk that
takes no more. For the last one a limit of file sizes (`RLIMIT_FSIZE`) stands in, as a full file
system needs root: the kernel refuses the very write that makes a file longer.
"""

from __future__ import annotations

import contextlib
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx2
import pytest
from tests.fault.crash_world import CrashWorld, crash_world
from tests.support.postgres import Server, own_postgres

_BOUND: Final = 25.0  # seconds: two statements, one after the other, that wait 10 each
_PATIENCE: Final = 30.0
_DATA: Final = "/services/data/v62.0/limits"
_FULL_AT: Final = 16 * 1024 * 1024  # bytes; a segment of the write-ahead log still fits
_JUNK: Final = (
    "INSERT INTO audit_events (writer, sequence, type, actor, at, detail, previous, hash)"
    " SELECT 'junk', {first} + n, 'junk', 'junk', 0, repeat('x', {size}), '', ''"
    " FROM generate_series(1, {count}) n"
)


class Sqlite:
    """Faults of a file."""

    def __init__(self, world: CrashWorld) -> None:
        self._world = world
        self._path = Path(world.settings["data_dir"]) / "keyturn.sqlite"

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Somebody else writes, and does not end."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    @contextmanager
    def failing(self) -> Iterator[None]:
        """The table is gone."""
        with self._connected() as connection:
            connection.execute("ALTER TABLE audit_events RENAME TO away")
            try:
                yield
            finally:
                connection.execute("ALTER TABLE away RENAME TO audit_events")

    @contextmanager
    def full(self) -> Iterator[None]:
        """No file grows; somebody reads, so that the log of what was written has to."""
        with self._connected() as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM audit_events").fetchone()
            with _no_file_beyond(self._pid(), self._log().stat().st_size):
                yield

    def _pid(self) -> int:
        assert self._world.replica is not None
        return self._world.replica.pid

    def _log(self) -> Path:
        return self._path.with_name("keyturn.sqlite-wal")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=30)) as connection:
            yield connection


class Postgres:
    """Faults of a server."""

    def __init__(self, world: CrashWorld, server: Server) -> None:
        self._url = world.settings["database_url"]
        self._server = server

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Another session holds a lock on the table, until it is ended."""
        holding = "LOCK TABLE audit_events IN EXCLUSIVE MODE; SELECT pg_sleep(600)"
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(self._held, f"BEGIN; {holding}")
            locks = "SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted"
            at_table = f"{locks} AND relation = 'audit_events'::regclass"
            _until(lambda: self._value(at_table))
            try:
                yield
            finally:
                self._value(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
                )
                held.result(_PATIENCE)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """The table is gone."""
        self._value("ALTER TABLE audit_events RENAME TO away")
        try:
            yield
        finally:
            self._value("ALTER TABLE away RENAME TO audit_events")

    @contextmanager
    def full(self) -> Iterator[None]:
        """The table's file is as long as a file may be; it passes when there is room in it."""
        self._value("ALTER TABLE audit_events SET (autovacuum_enabled = false)")
        first = 0
        for size, count in ((1500, 1000), (1500, 10), (1, 1000), (1, 100), (1, 10), (1, 1)):
            with contextlib.suppress(asyncpg.PostgresError):
                while True:
                    self._value(_JUNK.format(first=first, count=count, size=size))
                    first += count
        yield
        self._value("DELETE FROM audit_events WHERE writer = 'junk'")
        self._value("VACUUM audit_events")

    def _held(self, statement: str) -> None:
        with contextlib.suppress(asyncpg.PostgresError):  # it is ended
            Server(url=self._url).execute(statement)

    def _value(self, statement: str) -> Any:
        return self._server.value(statement, self._url)


@contextmanager
def _no_file_beyond(pid: int, size: int) -> Iterator[None]:
    """Have a process make no file longer than that."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def _until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "it did not come about"


class Served:
    """A vendor's ways to use a connection, each served."""

    def __init__(self, world: CrashWorld, faults: Sqlite | Postgres) -> None:
        self.world = world
        self.faults = faults
        self._connection = world.connect("Northwind")
        opened = world.call("POST", f"/v1/connections/{self._connection}/proxy-sessions")
        self._session = str(opened.raise_for_status().json()["session_id"])
        self.secret = str(self.ways()[0]().raise_for_status().json()["access_token"])

    def ways(self) -> list[Callable[[], httpx2.Response]]:
        """Return a read, a call through the connection's path, and one by a proxy session."""
        world, path = self.world, f"/v1/connections/{self._connection}"
        headers = {"Authorization": f"Bearer {self._session}"}
        return [
            lambda: world.call("POST", f"{path}/access-token"),
            lambda: world.call("GET", f"{path}/salesforce{_DATA}"),
            lambda: world.http.get(f"{world.url}{_DATA}", headers=headers),
        ]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Give a connection that is in use, on a database of each kind."""
    folder = tmp_path_factory.mktemp("audit-faults")
    with contextlib.ExitStack() as to_close:
        if request.param == "sqlite":
            world = to_close.enter_context(crash_world(folder))
            world.start()
            yield Served(world, Sqlite(world))
            return
        server = to_close.enter_context(own_postgres(longest_file=_FULL_AT))
        url = server.create_database()
        world = to_close.enter_context(crash_world(folder, database_url=url))
        world.start()
        yield Served(world, Postgres(world, server))


@pytest.mark.parametrize("fault", ["blocked", "failing", "full"])
def test_without_the_audit_no_token_leaves_and_nothing_is_proxied(
    served: Served, fault: str
) -> None:
    """Each caller is told so within bounds; the org sees no call; afterwards all is served."""
    making: AbstractContextManager[None] = getattr(served.faults, fault)()
    since = served.world.next_entry()
    with making, ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        refused = list(pool.map(lambda way: way(), served.ways()))
        took = time.monotonic() - began
        entries = served.world.control.get("/journal", params={"since": since}).json()["entries"]

    assert [one.status_code for one in refused] == [503, 503, 503]
    assert {_code(one) for one in refused} <= {"audit_unavailable", "store_unavailable"}
    assert took < _BOUND
    assert entries == []
    for answer in refused:
        assert served.secret not in answer.text + str(answer.headers)
    for way in served.ways():
        _until(lambda way=way: way().status_code == 200)  # type: ignore[misc]


def _code(answer: httpx2.Response) -> str:
    return str(answer.headers.get("keyturn-problem") or answer.json()["code"])
