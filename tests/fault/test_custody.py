"""What happens to an answer when disk, database or replica fail at the wrong moment.

PostgreSQL, one replica or two, all through HTTP. Where a lease would have to be waited out for
its minute, its row is ended instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.fault.crash_world import CrashWorld, crash_world, second_replica
from tests.support.postgres import Server, running_postgres

ORG = "Northwind"
REFRESH = {"grant_type": "refresh_token"}
KILLED = -9
_PATIENCE = 40.0  # seconds


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with running_postgres(fsync=True) as server:
        yield server


@pytest.fixture
def world(server: Server, tmp_path: Path) -> Iterator[CrashWorld]:
    """A world with a database of its own."""
    with crash_world(tmp_path, database_url=server.create_database()) as world:
        yield world


@pytest.fixture
def database(world: CrashWorld) -> Server:
    """The world's database."""
    return Server(url=world.settings["database_url"])


def _connected(world: CrashWorld) -> str:
    """Connect, and let the access token end."""
    world.start()
    connection = world.connect(ORG)
    world.stop()
    return connection


def _expired(world: CrashWorld, **how: str) -> int:
    """Start the replica on an access token that has ended, armed; return the next entry."""
    world.start(**how)
    world.advance("PT3H")
    since = world.next_entry()
    world.arm.touch()
    return since


def _until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "it did not come about"


@contextmanager
def _away(server: Server, database: Server) -> Iterator[None]:
    """Have the database refuse everybody, and end who is connected."""
    name = urlsplit(database.url).path[1:]
    server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    theirs = f"FROM pg_stat_activity WHERE datname = '{name}'"
    server.execute(f"SELECT pg_terminate_backend(pid) {theirs}")
    try:
        yield
    finally:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def _refreshes(world: CrashWorld, since: int) -> list[Any]:
    return [entry["status"] for entry in world.refreshes(since)]


def _in_the_background(world: CrashWorld, connection: str) -> Future[httpx2.Response]:
    pool = ThreadPoolExecutor(1)
    asking = pool.submit(world.token, connection)
    pool.shutdown(wait=False)
    return asking


def _types(world: CrashWorld, connection: str) -> list[str]:
    return [event["type"] for event in world.events(connection)]


def test_an_answer_that_another_replica_found_missing_is_settled_by_its_own_spool(
    world: CrashWorld, database: Server, tmp_path: Path
) -> None:
    """East dies with the answer on its spool; west may only wait; east comes back and delivers."""
    connection = _connected(world)
    since = _expired(world, kill_at="tokens.replace:before")
    with pytest.raises(httpx2.TransportError):
        world.token(connection)
    assert world.wait_until_dead() == KILLED
    world.arm.unlink()
    database.execute("UPDATE refresh_leases SET ends_at = 0")
    (tmp_path / "west").mkdir()
    west = second_replica(world, tmp_path / "west")
    west.start()
    try:
        found = west.token(connection)
        assert (found.status_code, found.json()["code"]) == (409, "connection_uncertain")
        assert west.connection(connection)["state"] == "uncertain"
        west.advance("PT5M")
        assert west.token(connection).json()["code"] == "connection_uncertain"
        assert _refreshes(world, since) == [200], "west presents nothing, however long it waits"

        world.start()

        assert west.connection(connection)["state"] == "active"
        served = [one.token(connection) for one in (world, west)]
        assert [one.status_code for one in served] == [200, 200]
        assert {one.json()["generation"] for one in served} == {2}
        assert _refreshes(world, since) == [200]
        types = _types(west, connection)
        assert types.index("token.outcome_unknown") < types.index("token.stored")
        assert "token.decided_to_present_again" not in types
    finally:
        west.kill()
        west.http.close()
        west.control.close()


def test_an_answer_outlives_a_database_that_goes_away(
    world: CrashWorld, server: Server, database: Server
) -> None:
    """It stays on the spool; nobody gets the token before it is stored; it is delivered later."""
    connection = _connected(world)
    since = _expired(world, pause_at="spool.put:after")
    asking = _in_the_background(world, connection)
    _until(world.paused.exists)
    with _away(server, database):
        world.arm.unlink()
        world.paused.unlink()
        refused = asking.result(_PATIENCE)
        assert refused.status_code == 503
        assert refused.json()["code"] in {"store_unavailable", "audit_unavailable"}
        assert "access_token" not in refused.text
        assert len(list((world.folder / "data" / "spool" / "undelivered").iterdir())) == 1
    database.execute("UPDATE refresh_leases SET ends_at = 0")

    _until(lambda: world.token(connection).status_code == 200)

    assert world.token(connection).json()["generation"] == 2
    assert _refreshes(world, since) == [200]
    _until(lambda: not list((world.folder / "data" / "spool" / "undelivered").iterdir()))
    assert "token.stored" in _types(world, connection)


def test_nothing_is_presented_while_the_database_is_away(
    world: CrashWorld, server: Server, database: Server
) -> None:
    """No audit and no intent, no call; the next one after it is as if nothing had been."""
    connection = _connected(world)
    since = _expired(world)
    with _away(server, database):
        refused = world.token(connection)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1

    assert _refreshes(world, since) == []
    _until(lambda: world.token(connection).status_code == 200)
    assert _refreshes(world, since) == [200]


def test_a_full_disk_costs_no_token_that_is_in_our_hands(world: CrashWorld) -> None:
    """The answer cannot be spooled; it goes to the database at once, and the log says so."""
    connection = _connected(world)
    since = _expired(world, full_at="spool.put:before")

    served = world.token(connection)

    assert (served.status_code, served.json()["generation"]) == (200, 2)
    assert _refreshes(world, since) == [200]
    assert "spool_failed" in (world.folder / "replica.log").read_text()


def test_a_full_disk_and_a_lost_replica_are_not_guessed_about(
    world: CrashWorld, database: Server
) -> None:
    """Neither spool nor database has the answer: uncertain, and serving nobody a guess."""
    connection = _connected(world)
    since = _expired(world, full_at="spool.put:before", kill_at="tokens.replace:before")
    with pytest.raises(httpx2.TransportError):
        world.token(connection)
    assert world.wait_until_dead() == KILLED
    world.arm.unlink()
    database.execute("UPDATE refresh_leases SET ends_at = 0")

    world.start()

    assert world.connection(connection)["state"] == "uncertain"
    assert world.token(connection).json()["code"] == "connection_uncertain"
    assert _refreshes(world, since) == [200]


def test_a_slow_answer_is_waited_for_by_all(world: CrashWorld) -> None:
    """Twenty callers wait for the one request, and get its token."""
    connection = _connected(world)
    since = _expired(world)
    world.fault("slow", match=REFRESH, options={"delay": "PT3S"})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: world.token(connection), range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["generation"] for answer in answers} == {2}
    assert _refreshes(world, since) == [200]


def test_a_replica_that_is_told_to_stop_keeps_what_is_under_way(
    world: CrashWorld, database: Server
) -> None:
    """Longer than it serves its callers: the org has rotated, and nobody else has the answer."""
    connection = _connected(world)
    since = _expired(world)
    world.fault("slow", match=REFRESH, options={"delay": "PT9S"})

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(world.token, connection)
        _until(lambda: database.value("SELECT count(*) FROM attempts"))
        world.stop()
        assert asked.exception() is not None or not asked.result().is_success
    world.start()

    assert world.token(connection).json()["generation"] == 2
    assert _refreshes(world, since) == [200]
    assert "token.outcome_unknown" not in {event["type"] for event in world.events(connection)}


def test_no_session_of_the_database_is_held_while_an_answer_is_awaited(
    world: CrashWorld, database: Server
) -> None:
    """A hundred slow orgs would take every session of the pool, and with it every read."""
    connection = _connected(world)
    since = _expired(world)
    world.fault("slow", match=REFRESH, options={"delay": "PT4S"})
    held = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND xact_start < now() - interval '1 second'"
    )

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(world.token, connection)
        counted = []
        while not asked.done():
            counted.append(database.value(held))

    assert asked.result().status_code == 200
    assert len(counted) > 20
    assert set(counted) == {0}
    assert _refreshes(world, since) == [200]


@pytest.mark.takes(40)
def test_an_answer_slower_than_the_time_out_is_not_asked_for_again(world: CrashWorld) -> None:
    """The caller is told to come back; then the outcome is unknown, and nothing is presented."""
    connection = _connected(world)
    since = _expired(world)
    world.fault("slow", match=REFRESH, options={"delay": "PT45S"})

    early = world.token(connection)

    assert (early.status_code, early.json()["code"]) == (503, "org_unavailable")
    _until(lambda: world.connection(connection)["state"] == "uncertain")
    late = world.token(connection)
    assert (late.status_code, late.json()["code"]) == (409, "connection_uncertain")
    assert len(_refreshes(world, since)) == 1
    [event] = [
        event for event in world.events(connection) if event["type"] == "token.outcome_unknown"
    ]
    assert event["detail"]["because"] == "answer lost"


def test_one_refusal_holds_off_every_caller_of_both_replicas(
    world: CrashWorld, tmp_path: Path
) -> None:
    """A quota: one request to the org, whoever asks; and the connection is as it was."""
    connection = _connected(world)
    since = _expired(world)
    world.fault("login_rate_exceeded", match=REFRESH)
    (tmp_path / "west").mkdir()
    west = second_replica(world, tmp_path / "west")
    west.start()
    try:
        first = world.token(connection)
        assert (first.json()["code"], first.json()["reason"]) == (
            "org_unavailable",
            "login_rate_exceeded",
        )
        with ThreadPoolExecutor(8) as pool:
            others = list(pool.map(lambda n: (world, west)[n % 2].token(connection), range(16)))
        assert {other.json()["reason"] for other in others} == {"login_rate_exceeded"}
        assert all(3000 < int(other.headers["retry-after"]) <= 3600 for other in others)
        assert _refreshes(world, since) == [400]
        assert west.connection(connection)["state"] == "active"

        west.advance("PT1H")

        assert west.token(connection).json()["generation"] == 2
    finally:
        west.kill()
        west.http.close()
        west.control.close()
