"""A revoke-all whose replica is killed half-way: another one ends it, and none is ended twice."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.fault.crash_world import CrashWorld, crash_world, second_replica
from tests.fault.many_grants import SWITCHES, connect_many
from tests.support.evidence import Evidence, read_evidence
from tests.support.postgres import Server, running_postgres

from keyturn_service.use_cases.revoke_all import AT_ONCE

GRANTS = 60
DONE = {"waiting": 0, "failed": 0, "admin": 0, "revoked": GRANTS}
KILLED = -9
_PATIENCE = 60.0  # seconds
REASON = "a laptop with a database dump is gone"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with running_postgres(fsync=True) as server:
        yield server


def _until(holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < give_up, "it did not come about"


def _revocations(world: CrashWorld, since: int) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"path": "/services/oauth2/revoke", "since": since}
    return list(world.control.get("/journal", params=asked).json()["entries"])


def _ended(world: CrashWorld, since: int) -> int:
    entries = _revocations(world, since)
    return len({entry["token_ref"] for entry in entries if entry["status"] == 200})


def _states(world: CrashWorld) -> Counter[str]:
    listed = world.call("GET", "/v1/connections?limit=200").json()["data"]
    return Counter(one["state"] for one in listed)


def _killed_half_way(world: CrashWorld) -> int:
    """Open an incident, and have the replica killed in the middle of it; return the next entry."""
    since = world.next_entry()
    assert world.incident("open", "--reason", REASON)["status"] == 0
    world.start(kill_at="incidents.ended:before")
    _until(lambda: len(_revocations(world, since)) > GRANTS // 4)
    world.arm.touch()
    assert world.wait_until_dead() == KILLED
    world.arm.unlink()
    return since


def _let_claims_end(world: CrashWorld, url: str) -> None:
    """Do as if the thirty seconds were over for which the dead replica had claimed its work."""
    ends = (
        "UPDATE refresh_leases SET ends_at = 0",
        "UPDATE incident_grants SET claimed_until = 0",
    )
    if url:
        for statement in ends:
            Server(url=url).execute(statement)
        return
    path = Path(world.settings["data_dir"]) / "keyturn.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        for statement in ends:
            connection.execute(statement)


def _check_ended_once(world: CrashWorld, since: int) -> None:
    """Asked again was what was under way when the replica was killed, and nothing else."""
    entries = _revocations(world, since)
    ended = Counter(entry["token_ref"] for entry in entries if entry["status"] == 200)
    assert len(ended) == GRANTS
    assert set(ended.values()) == {1}, "none twice"
    others = [entry for entry in entries if entry["status"] != 200]
    assert {entry["error"] for entry in others} == {"invalid_token"}
    asked = Counter(entry["token_ref"] for entry in entries)
    assert 0 < len([ref for ref in ended if asked[ref] > 1]) <= AT_ONCE


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.takes(30)
@pytest.mark.timeout(300)
def test_a_revoke_all_that_is_killed_half_way_is_ended_by_another_replica(
    kind: str, server: Server, tmp_path: Path
) -> None:
    """On SQLite by the replica that is started again, on PostgreSQL by one beside it."""
    url = server.create_database() if kind == "postgresql" else ""
    with crash_world(tmp_path, database_url=url, switches=SWITCHES) as world:
        connections = connect_many(world, GRANTS)
        since = _killed_half_way(world)
        assert _ended(world, since) < GRANTS
        other = world
        _let_claims_end(world, url)
        if kind == "postgresql":
            (tmp_path / "west").mkdir()
            other = second_replica(world, tmp_path / "west")
        try:
            other.start()
            _until(lambda: _ended(other, since) == GRANTS)
            found = _report(other, tmp_path)

            assert found.incident["grants"] == DONE
            _check_ended_once(other, since)
            assert _states(other) == {"reauthorization_required": GRANTS}
            assert other.token(connections[0]).json()["code"] == "sealed"
            _check_report(other, found, connections)
        finally:
            if other is not world:
                other.kill()
                other.http.close()
                other.control.close()


def _report(world: CrashWorld, folder: Path) -> Evidence:
    """Return the first evidence of an incident that is over."""
    for number in range(10):
        out = folder / f"evidence-{number}"
        said = world.incident("report", "--out", str(out))
        assert said["status"] == 0, said
        if said["result"]["done"]:
            assert said["warnings"] == []
            return read_evidence(out)
    raise AssertionError("it did not come about")


def _check_report(world: CrashWorld, found: Evidence, connections: list[str]) -> None:
    """Each connection is in it with a link of its own, each presentation with a record."""
    assert sorted(found.connections) == sorted(found.links) == connections
    assert {one["outcome"] for one in found.connections.values()} == {"revoked"}
    urls = {one["url"] for one in found.links.values()}
    assert len(urls) == GRANTS
    types = Counter(record["type"] for record in found.records)
    assert types["incident.opened"] == types["service.sealed"] == 1
    asked = {r["connection_id"] for r in found.records if r["type"] == "grant.revocation_asked"}
    assert asked == set(connections)
    assert types["grant.revoked"] >= GRANTS - AT_ONCE
    canary = world.said["canary"].encode()
    files = list(found.folder.iterdir())
    assert [path.name for path in files if canary in path.read_bytes()] == []
