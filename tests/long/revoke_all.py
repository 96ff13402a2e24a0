"""A revoke-all of many grants by two replicas on PostgreSQL, one of which is killed half-way.

`python -m tests.long.revoke_all --count 10000` makes the grants, opens an incident, kills one of
the replicas, waits until the other has ended all, and prints how long that took and what the
org's journal says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import asyncpg
from tests.fault.crash_world import CrashWorld, crash_world, second_replica
from tests.fault.many_grants import SWITCHES, connect_many
from tests.support.postgres import running_postgres

_REVOKE: Final = {"path": "/services/oauth2/revoke"}
_WITHIN: Final = 1800.0  # seconds
_UNDER_WAY: Final = 16  # at a replica that is killed, at most
# The database waits before it counts, so that it is not asked all the time.
_LEFT: Final = "SELECT count(*) FROM pg_sleep(0.1), incident_grants WHERE due_at IS NOT NULL"


def revoke_all(folder: Path, count: int) -> dict[str, Any]:
    """Return what came of it; times in seconds."""
    with running_postgres(fsync=True) as server:
        url = server.create_database()
        with crash_world(folder, database_url=url, switches=SWITCHES) as east:
            connect_many(east, count)
            (folder / "west").mkdir()
            west = second_replica(east, folder / "west")
            with closing(west.http), closing(west.control):
                try:
                    return _measured(east, west, url, count)
                finally:
                    west.kill()


def _measured(east: CrashWorld, west: CrashWorld, database_url: str, count: int) -> dict[str, Any]:
    since = west.next_entry()
    west.start()
    east.start(kill_at="incidents.ended:before")
    west.incident("open", "--reason", "a rehearsal")
    _until_left(database_url, count // 2)
    east.arm.touch()
    killed = east.wait_until_dead()
    _until_left(database_url, 0)
    opened_at, ended = asyncio.run(_moments(database_url))
    half, nearly = ended[count // 2 - 1], ended[-_UNDER_WAY - 1]
    asked = west.control.get("/journal", params={**_REVOKE, "since": since}).json()["entries"]
    return {
        "grants": count,
        "killed_with": killed,
        "seconds_until": {
            "the first was ended": round(ended[0] - opened_at, 1),
            "half was ended, by two replicas": round(half - opened_at, 1),
            f"{_UNDER_WAY} were left": round(nearly - opened_at, 1),
            "all were ended": round(ended[-1] - opened_at, 1),
        },
        "ended_a_second_by_two": round(count / 2 / (half - ended[0])),
        "ended_a_second_by_one": round((count / 2 - _UNDER_WAY) / (nearly - half)),
        "told": west.incident("status")["result"]["incidents"][0]["grants"],
        **_journal(asked),
    }


async def _moments(database_url: str) -> tuple[float, list[float]]:
    """Return when the incident was opened and when each grant was ended, in order; in seconds."""
    connection = await asyncpg.connect(database_url)
    try:
        opened_at = await connection.fetchval("SELECT opened_at / 1e6 FROM incidents")
        rows = await connection.fetch("SELECT ended_at / 1e6 FROM incident_grants ORDER BY 1")
        return float(opened_at), [float(row[0]) for row in rows]
    finally:
        await connection.close()


def _journal(entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Count what the org saw."""
    asked: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    for entry in entries:
        asked[entry["token_ref"]] += 1
        ended[entry["token_ref"]] += entry["status"] == 200
    return {
        "ended_by_the_org": sum(1 for times in ended.values() if times),
        "ended_twice": sum(1 for times in ended.values() if times > 1),
        "asked_twice": sum(1 for ref, times in asked.items() if times > 1 and ended[ref]),
    }


def _until_left(database_url: str, most: int) -> None:
    """Wait until no more than so many grants are left to be ended."""

    async def work() -> None:
        connection = await asyncpg.connect(database_url)
        try:
            give_up = time.monotonic() + _WITHIN
            while await connection.fetchval(_LEFT) > most:
                if time.monotonic() > give_up:
                    raise TimeoutError("it did not come about")
        finally:
            await connection.close()

    asyncio.run(work())


def main() -> None:
    """Run it, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(revoke_all(Path(folder), count), indent=1))


if __name__ == "__main__":
    main()
