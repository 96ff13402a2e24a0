"""What callers hear of a damaged database: over HTTP, from a whole service, on both databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.fault.crash_world import CrashWorld, crash_world
from tests.support.postgres import Server, running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CrashWorld]:
    """A world with a database of its own."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("server").create_database()
    with crash_world(tmp_path, database_url=url) as world:
        yield world


@pytest.fixture
def change(world: CrashWorld) -> Callable[[str], None]:
    """Write to the database behind the service's back."""

    def changing(statement: str) -> None:
        if world.settings["database_url"]:
            Server(url=world.settings["database_url"]).execute(statement)
            return
        path = Path(world.settings["data_dir"]) / "keyturn.sqlite"
        with closing(sqlite3.connect(path, timeout=30)) as database, database:
            database.execute(statement)

    return changing


def _refused(world: CrashWorld, connection: str) -> dict[str, str]:
    """Ask for the token; return what the audit says of it."""
    answer = world.token(connection)
    assert answer.status_code == 503, answer.text
    problem = answer.json()
    assert (problem["code"], problem["who"], problem["remedy"]) == (
        "seal_refused",
        "operator",
        "report",
    )
    assert answer.headers["retry-after"]
    assert "access_token" not in problem
    [event] = [one for one in world.events(connection) if one["type"] == "vault.seal_refused"]
    return dict(event["detail"])


def test_a_damaged_token_is_refused_and_said_where(
    world: CrashWorld, change: Callable[[str], None]
) -> None:
    """The caller hears who mends it, the audit names the row, and the service serves others."""
    world.start()
    connection, other = world.connect("Northwind"), world.connect("Larkfield")
    world.stop()  # a replica that has read a token remembers it, sealed, as it was

    change(
        "UPDATE token_sets SET access_token = (SELECT access_token FROM token_sets"  # noqa: S608
        f" WHERE connection_id = '{other}') WHERE connection_id = '{connection}'"
    )

    world.start()
    detail = _refused(world, connection)
    assert (detail["table"], detail["row"], detail["column"]) == (
        "token_sets",
        connection,
        "access_token",
    )
    assert world.token(other).status_code == 200
    assert "request_failed" not in (world.folder / "replica.log").read_text()


def test_a_damaged_refresh_token_is_never_presented(
    world: CrashWorld, change: Callable[[str], None]
) -> None:
    """Salesforce sees nothing of it: a wrong token presented could end the grant."""
    world.start()
    connection = world.connect("Northwind")
    since = world.next_entry()

    change(
        "UPDATE token_sets SET refresh_token = access_token"  # noqa: S608 - ours
        f" WHERE connection_id = '{connection}'"
    )
    world.advance("PT3H")

    detail = _refused(world, connection)
    assert detail["column"] == "refresh_token"
    assert world.refreshes(since) == []
