"""Many connections that nobody uses, through ninety days of an accelerated clock.

`python -m tests.long.ninety_days --count 10000` has two replicas on one PostgreSQL keep them alive
at the simulator, whose clock is moved on step by step, and prints what service and org say of it.
A step is over when nothing that fell due in it is left: each such connection has been given a
time to come, which the row says; one that could not be refreshed is due an hour later, and that
hour is waited for, too. The replicas' rounds run as they always do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import asyncpg
from tests.fault.crash_world import CrashWorld, crash_world, second_replica
from tests.fault.many_grants import SWITCHES, connect_many
from tests.support.postgres import running_postgres

from keyturn_service.domain.connection import FIXED_LIFETIME, IDLE_LIMIT, KEPT_BY, KEPT_FROM

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
DAYS: Final = 90
GIVEN_DAYS_AGO: Final = 304  # those with a fixed end: of 365 days, 61 are left
WARNED_AHEAD: Final = [30, 7, 1]
_REFRESH: Final = {"path": "/services/oauth2/token", "grant_type": "refresh_token"}
_WITHIN: Final = 600.0  # seconds, a step
# Whoever was looked after is due in an hour at the earliest; a claim ends after thirty seconds.
_CLAIMED_OR_DUE: Final = timedelta(minutes=50)
_RETRY: Final = timedelta(minutes=65)
_LEFT: Final = (
    "SELECT count(*) FROM pg_sleep(0.1), connections WHERE id = ANY($1::text[]) AND due_at <= $2"
)
_TRIED: Final = "SELECT id FROM connections WHERE id = ANY($1::text[]) AND due_at <= $2"
_STAND: Final = (
    "SELECT c.id, c.state, c.due_at, c.generation, l.owner, l.ends_at, l.fence FROM connections c"
    " LEFT JOIN refresh_leases l ON l.connection_id = c.id"
    " WHERE c.id = ANY($1::text[]) AND c.due_at <= $2"
)
_DUE: Final = "SELECT id, due_at FROM connections WHERE due_at <= $1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = 5_000
_ASKED_AT_THE_END: Final = 50  # of those kept alive


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The connections, by what is to become of them."""

    kept: Sequence[str]
    let_go: Sequence[str]
    fixed: Sequence[str]


@dataclass(kw_only=True)
class Passed:
    """What was seen while the days passed."""

    begun: datetime
    ended: datetime
    hours: Counter[int] = field(default_factory=Counter)  # in which something fell due
    looked_at_again: int = 0  # an hour later: nothing came, or an end was told and it is due soon
    asked: dict[str, int] = field(default_factory=dict)  # let go, then asked for: the status


def ninety_days(folder: Path, count: int, *, step: timedelta, replicas: int = 2) -> dict[str, Any]:
    """Return what came of it: a tenth is let go, a twentieth has a fixed end."""
    began = time.monotonic()
    with _started(folder, replicas) as (east, database_url):
        groups = _connected(east, count)
        seeded = time.monotonic()
        try:
            passed = asyncio.run(_pass(east, database_url, groups, step))
        except TimeoutError as error:
            error.add_note(f"not kept alive: {_not_kept(folder)}")
            raise
        swept = time.monotonic()
        return {
            "connections": count,
            "seconds": {
                "connecting": round(seeded - began, 1),
                "ninety days": round(swept - seeded, 1),
            },
            "let_go_asked": passed.asked,
            "looked_at_again": passed.looked_at_again,
            "not_kept_alive": _not_kept(folder),
            **_told(east, groups, passed, step),
            **_refreshed(east, groups, passed, step),
            "states": _states(east, groups),
            "let_go_asked_at_the_end": _asked(east, groups.let_go),
            "kept_asked_at_the_end": _asked(east, groups.kept[:: _every(len(groups.kept))]),
            "states_at_the_end": _states(east, groups),
        }


def _asked(world: CrashWorld, ids: Sequence[str]) -> dict[int, int]:
    """Ask for access tokens; return how often each status came."""
    return dict(Counter(world.token(one).status_code for one in ids))


def _not_kept(folder: Path) -> Mapping[str, int]:
    """Return how often a refresh that was due brought nothing, by what the replicas' logs say."""
    return Counter(
        line.get("code", line.get("error"))
        for log in folder.rglob("replica.log")
        for line in map(_logged, log.read_text().splitlines())
        if line.get("event") in {"not_kept_alive", "connection_not_guarded"}
    )


def _logged(line: str) -> Mapping[str, Any]:
    try:
        read = json.loads(line)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _every(count: int) -> int:
    return max(1, count // _ASKED_AT_THE_END)


@contextlib.contextmanager
def _started(folder: Path, replicas: int) -> Iterator[tuple[CrashWorld, str]]:
    """Give a world of so many replicas on one PostgreSQL, started."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_postgres())
        url = server.create_database()
        first = stack.enter_context(crash_world(folder, database_url=url, switches=SWITCHES))
        first.start()
        for number in range(1, replicas):
            own = folder / f"replica-{number}"
            own.mkdir()
            other = second_replica(first, own)
            stack.callback(other.http.close)
            stack.callback(other.control.close)
            stack.callback(other.kill)
            other.start()
        yield first, url


def _connected(world: CrashWorld, count: int) -> Groups:
    let_go, fixed = count // 10, count // 20
    ids = connect_many(world, count - fixed)
    for one in ids[:let_go]:
        changed = world.call("PATCH", f"/v1/connections/{one}", {"keep_alive": False})
        changed.raise_for_status()
    old = connect_many(world, fixed, first=len(ids), days_ago=GIVEN_DAYS_AGO)
    return Groups(kept=ids[let_go:], let_go=ids[:let_go], fixed=old)


async def _pass(world: CrashWorld, database_url: str, groups: Groups, step: timedelta) -> Passed:
    """Let the days pass; two of those let go are asked for, before 30 days are over and after."""
    begun = _now(world)
    passed = Passed(begun=begun, ended=begun)
    early, late, *_ = groups.let_go
    kept = frozenset(groups.kept)
    database = await asyncpg.connect(database_url)
    try:
        while passed.ended - begun < DAYS * DAY - timedelta(minutes=1):
            to = passed.ended + step
            rows = await database.fetch(_DUE, _micros(to))
            passed.hours.update(
                (_moment(row["due_at"]) - begun) // HOUR for row in rows if row["id"] in kept
            )
            advanced = _now(world, to=to)
            due = [row["id"] for row in rows]
            await _until_done(database, due, advanced + _CLAIMED_OR_DUE)
            while again := await database.fetch(
                _TRIED, due, _micros(later := _now(world) + _RETRY)
            ):
                passed.looked_at_again += len(again)
                advanced = _now(world, to=later)
                due = [row["id"] for row in again]
                await _until_done(database, due, advanced + _CLAIMED_OR_DUE)
            if to - begun < IDLE_LIMIT <= to + step - begun:
                passed.asked["before 30 days"] = world.token(early).status_code
            if to - step - begun < IDLE_LIMIT <= to - begun:
                passed.asked["after 30 days"] = world.token(late).status_code
            passed.ended = to
    finally:
        await database.close()
    return passed


async def _until_done(database: Any, due: Sequence[str], before: datetime) -> None:
    give_up = time.monotonic() + _WITHIN
    while left := await database.fetchval(_LEFT, due, _micros(before)):
        if time.monotonic() > give_up:
            rows = await database.fetch(_STAND, due, _micros(before))
            stand = [dict(row) for row in rows[:_ASKED_AT_THE_END]]
            raise TimeoutError(f"{left} connections were not looked after: {stand}")


def _now(world: CrashWorld, *, to: datetime | None = None) -> datetime:
    """Return the world's time, moved on to a moment if that is asked for."""
    now = datetime.fromisoformat(world.control.get("/clock").json()["now"])
    if to is None or to <= now:
        return now
    asked = {"advance": f"PT{(to - now).total_seconds():.6f}S"}
    moved = world.control.post("/clock", json=asked)
    moved.raise_for_status()
    return datetime.fromisoformat(moved.json()["now"])


def _journal(world: CrashWorld) -> Iterator[dict[str, Any]]:
    """Give the refreshes that the org saw."""
    since = 1
    while True:
        asked: dict[str, Any] = {**_REFRESH, "since": since, "limit": _PAGE}
        found = world.control.get("/journal", params=asked).json()
        yield from found["entries"]
        if len(found["entries"]) < _PAGE:
            return
        since = found["next"]


def _events(world: CrashWorld, type_: str) -> Iterator[dict[str, Any]]:
    """Give all audit events of a type, in order of time."""
    cursor = ""
    while True:
        path = f"/v1/audit-events?type={type_}&limit=200{cursor}"
        page = world.call("GET", path).json()
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def _connections(world: CrashWorld) -> Mapping[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        page = world.call("GET", f"/v1/connections?limit=200{cursor}").json()
        found |= {one["id"]: one for one in page["data"]}
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def _told(world: CrashWorld, groups: Groups, passed: Passed, step: timedelta) -> dict[str, Any]:
    """Return how many connections of each group were told of their end, and how many rightly."""
    told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in _events(world, "connection.dies_soon"):
        told[event["connection_id"]].append(event)
    ends = passed.begun - GIVEN_DAYS_AGO * DAY + FIXED_LIFETIME
    rightly = 0
    for one in groups.fixed:
        late = [
            _read(event["at"]) - (_read(event["detail"]["dies_at"]) - ahead * DAY)
            for event, ahead in zip(told[one], WARNED_AHEAD, strict=False)
        ]
        rightly += (
            len(told[one]) == len(WARNED_AHEAD)
            and all(timedelta(0) <= by <= step + HOUR for by in late)
            and {event["detail"]["dies_because"] for event in told[one]} == {"fixed_lifetime"}
            and all(abs(_read(event["detail"]["dies_at"]) - ends) < HOUR for event in told[one])
        )
    return {
        "fixed_ends": len(groups.fixed),
        "fixed_told_30_7_1_days_ahead": rightly,
        "others_told": sum(1 for one in (*groups.kept, *groups.let_go) if told[one]),
    }


def _refreshed(
    world: CrashWorld, groups: Groups, passed: Passed, step: timedelta
) -> dict[str, Any]:
    """Return what service and org say of refreshes, and whether they say the same."""
    at: defaultdict[str, list[datetime]] = defaultdict(list)
    for event in _events(world, "token.stored"):
        at[event["connection_id"]].append(_read(event["at"]))
    idle = {one: list(pairwise([passed.begun, *at[one], passed.ended])) for one in groups.kept}
    between = [later - earlier for some in idle.values() for earlier, later in some[:-1]]
    times = [len(at[one]) for one in groups.kept]
    by_step = Counter((moment - passed.begun) // step for one in groups.kept for moment in at[one])
    begin, end = KEPT_FROM, DAYS * DAY  # nothing is due before
    journal = list(_journal(world))
    presented = Counter(entry["token_ref"] for entry in journal)
    answered = Counter(entry["status"] for entry in journal)
    return {
        "let_go_refreshed": sum(len(at[one]) for one in groups.let_go),
        "times_refreshed": {"least": min(times), "most": max(times)},
        "policy_days": {"least": _days(KEPT_FROM), "most": _days(KEPT_BY + step + 6 * HOUR)},
        "days_between": {"least": _days(min(between)), "most": _days(max(between))},
        "longest_idle_days": _days(
            max(later - earlier for some in idle.values() for earlier, later in some)
        ),
        "refreshes_the_service_stored": sum(len(some) for some in at.values()),
        "refreshes_the_org_made": answered[200],
        "refusals_by_the_org": sum(answered.values()) - answered[200],
        "tokens_presented_twice": sum(1 for times in presented.values() if times > 1),
        "a_step": _spread(
            [by_step[number] for number in range(begin // step + 1, end // step + 1)]
        ),
        "an_hour": _spread([passed.hours[number] for number in range(begin // HOUR, end // HOUR)]),
    }


def _states(world: CrashWorld, groups: Groups) -> dict[str, dict[str, int]]:
    connections = _connections(world)
    return {
        name: dict(Counter(connections[one]["state"] for one in ids))
        for name, ids in asdict(groups).items()
    }


def _spread(counts: Sequence[int]) -> dict[str, float]:
    mean = sum(counts) / len(counts)
    return {"mean": round(mean, 1), "most": max(counts), "most/mean": round(max(counts) / mean, 2)}


def _days(length: timedelta) -> float:
    return round(length / DAY, 2)


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def main() -> None:
    """Run it, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--days-a-step", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = ninety_days(Path(folder), given.count, step=given.days_a_step * DAY)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
