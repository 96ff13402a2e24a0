"""A mixed load on several replicas while processes, clocks and the database go wrong.

`python -m tests.long.mixed_load --seconds 600 --replicas 4` starts a PostgreSQL, orgs with
rotation in which reuse ends the grant, and replicas; lets sessions end all the time, has readers
and callers of the proxy at work, and disturbs: replicas are stopped and set going again (with
`--long-pauses` also for longer than an answer is waited for, and than a lease lasts), clocks are
off by up to ten minutes, database sessions are ended and their connections cut in the middle of a
statement or commit. Then everything is calm, each connection is used at each replica, and the
orgs' journal is held against the audit. It prints what happened, writes `build/mixed-load.json`,
and ends with 1 where a rule of design section 5 did not hold, or a disturbance had no effect.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fault.crash_world import CrashWorld, crash_world
from tests.long.disturbances import Cut, Happened
from tests.long.mixed_readers import Readers
from tests.long.mixed_world import ORGS, MixedReplica, MixedWorld, mixed_world
from tests.long.witness import KINDS, Verdict, judge
from tests.support.postgres import running_postgres

REPORT: Final = Path("build/mixed-load.json")
_REFRESH: Final = {"path": "/services/oauth2/token", "grant_type": "refresh_token"}
_SLOW: Final = {"name": "slow", "match": _REFRESH, "times": 0, "options": {"delay": "PT0.15S"}}
_SESSION: Final = "PT2H5M"  # more than the two hours of a session
_ENDS_EVERY: Final = 0.7  # seconds between the ends of all sessions
_OFF: Final = timedelta(minutes=10)
_STEP: Final = 0.08  # seconds between two disturbances, on average
_LONG_STEP: Final = 0.3
_SHORT: Final = (0.2, 2.0)  # seconds of a pause
_LONGER_THAN_ANSWER: Final = (32.0, 40.0)
_LONGER_THAN_LEASE: Final = (62.0, 70.0)
_CALMS_WITHIN: Final = 40.0
_STALE: Final = 5.0  # seconds; nobody holds a lease for so long when everything is calm
_TRIES: Final = 10
_OK: Final = 200


_BEYOND_LEASE: Final = "pause: longer than a lease"
EXPECTED: Final = frozenset(
    {
        "clock: fast",
        "clock: slow",
        "database: sessions ended by the server",
        "pause: in the middle of a refresh",
        "pause: short",
        *(f"org: {fault}" for fault in ("connection_reset", "status")),
        *(f"database: {cut}" for cut in Cut),
    }
)
EXPECTED_IN_LONG: Final = EXPECTED | {
    "pause: longer than an answer",
    _BEYOND_LEASE,
    "pause: in the window of design 5.1",
}


@dataclass(kw_only=True)
class Disturber:
    """Does one thing after the other that must not matter, and sees whether it came about."""

    world: MixedWorld
    random: Random
    long_pauses: bool
    step: float = _STEP
    happened: Happened = field(default_factory=Happened)
    _asleep: set[str] = field(default_factory=set)
    _sleepers: set[asyncio.Task[None]] = field(default_factory=set)
    _reset_at: dict[str, int] = field(default_factory=dict)

    async def go_on(self) -> None:
        """Disturb until cancelled."""
        while True:
            kinds: dict[Callable[[], Awaitable[None]], int] = {
                self.stop_one: 6,
                self.set_clock_off: 3,
                self.end_sessions: 1,
                self.cut: 6,
                self.have_org_refuse: 1,
                self.have_org_reset: 1,
            }
            if any(replica.plant == "sleeps_in_window" for replica in self.world.replicas):
                kinds[self.send_to_sleep] = 1
            [kind] = self.random.choices([*kinds], [*kinds.values()])
            await kind()
            await asyncio.sleep(self.random.uniform(0, 2 * self.step))

    def without_effect(self, kinds: frozenset[str]) -> list[str]:
        """Return which kinds have not happened yet, or have changed nothing."""
        for cut in Cut:
            met = sum(replica.road.done[cut] for replica in self.world.replicas)
            self.happened.felt[f"database: {cut}"] = met
        return self.happened.without_effect(kinds)

    async def calm(self) -> None:
        """Take back everything, and wait until what was stopped goes on."""
        for sleeper in self._sleepers:
            sleeper.cancel()
        await asyncio.gather(*self._sleepers, return_exceptions=True)
        for replica in self.world.replicas:
            (Path(replica.settings["data_dir"]) / "window").unlink(missing_ok=True)
            replica.send(signal.SIGCONT)
            replica.road.wanted = None
        self.world.clocks.off.clear()
        await self.world.control("DELETE", "/faults")

    async def stop_one(self) -> None:
        """Stop a replica, in the middle of a refresh where one comes; one goes on."""
        going = [one for one in self.world.replicas if not one.stopped]
        if len(going) < 2:
            return
        replica = self.random.choice(going)
        in_refresh = await self.world.until_under_way(replica, seconds=0.5)
        kind, length = "short", self.random.uniform(*_SHORT)
        if self.long_pauses and not self._asleep and self.random.random() < 0.3:
            self._asleep.add(replica.name)
            kind, length = "longer than an answer", self.random.uniform(*_LONGER_THAN_ANSWER)
            if self.happened.made[f"pause: {kind}"] > self.happened.made[_BEYOND_LEASE]:
                kind, length = "longer than a lease", self.random.uniform(*_LONGER_THAN_LEASE)
        replica.send(signal.SIGSTOP)
        await asyncio.sleep(0.02)
        under_way = in_refresh and await self.world.under_way(replica)
        self.happened.note(f"pause: {kind}", felt=replica.state() == "T")
        self.happened.note("pause: in the middle of a refresh", felt=under_way)
        self._later(length, self._go_on(replica))

    async def _go_on(self, replica: MixedReplica) -> None:
        replica.send(signal.SIGCONT)
        self._asleep.discard(replica.name)

    def _later(self, seconds: float, work: Awaitable[None]) -> None:
        async def wait() -> None:
            try:
                await asyncio.sleep(seconds)
            finally:
                await work

        task = asyncio.create_task(wait())
        self._sleepers.add(task)
        task.add_done_callback(self._sleepers.discard)

    async def set_clock_off(self) -> None:
        """Set a replica's clock off by up to ten minutes, and see that it went along."""
        replica = self.random.choice(self.world.replicas)
        off = self.random.choice([-_OFF, _OFF, timedelta(0), self.random.uniform(-1, 1) * _OFF])
        before = self.world.clocks.off.get(replica.name, timedelta(0))
        self.world.clocks.off[replica.name] = off
        kind = "fast" if off > before else "slow"
        if abs(off - before) < timedelta(minutes=1) or replica.stopped:
            return
        self._later(0.6, self._see_clock(replica, off, f"clock: {kind}"))

    async def _see_clock(self, replica: MixedReplica, off: timedelta, kind: str) -> None:
        for _ in range(_TRIES):
            if replica.stopped or self.world.clocks.off.get(replica.name) != off:
                return  # something else has happened meanwhile
            shown = await _clock_of(self.world, replica)
            if shown is not None:
                wrong = abs(shown - self.world.clocks.now(replica.name))
                self.happened.note(kind, felt=wrong < timedelta(minutes=1))
                return
            await asyncio.sleep(self.step)

    async def end_sessions(self) -> None:
        """End some sessions at the database."""
        ended = await self.world.end_backends(self.random.randint(1, 4))
        self.happened.note("database: sessions ended by the server", felt=ended > 0)

    async def cut(self) -> None:
        """Have a replica's next statement about an attempt, or its commit, cut off."""
        replica = self.random.choice(self.world.replicas)
        cut = self.random.choice([*Cut])
        replica.road.wanted = cut
        self.happened.made[f"database: {cut}"] += 1

    async def have_org_refuse(self) -> None:
        """Have an org say "not now" to a refresh."""
        await self._fault("status", times=1, options={"status": 503})

    async def have_org_reset(self) -> None:
        """Have a connection to an org end before anything is done, once for a token.

        A token whose outcome was unknown twice is given up, as designed.
        """
        connection, org = self.random.choice([*self.world.connections.items()])
        asked = "SELECT generation FROM connections WHERE id = $1"
        generation = await self.world.database.fetchval(asked, connection)
        if self._reset_at.get(connection, 0) + 1 < generation:
            self._reset_at[connection] = generation
            await self._fault("connection_reset", times=1, match=_REFRESH | {"org_id": org})

    async def send_to_sleep(self) -> None:
        """Have a replica stopped between its look at the deadline and the first byte."""
        [replica] = [one for one in self.world.replicas if one.plant == "sleeps_in_window"]
        if replica.stopped or self._asleep:
            return
        mark = Path(replica.settings["data_dir"]) / "window"
        mark.touch()
        give_up = time.monotonic() + 5
        while mark.exists() and time.monotonic() < give_up:
            await asyncio.sleep(0.01)
        mark.unlink(missing_ok=True)
        await asyncio.sleep(0.05)
        asleep = replica.state() == "T"
        self.happened.note("pause: in the window of design 5.1", felt=asleep)
        if asleep:
            replica.stopped = True
            self._asleep.add(replica.name)
            self._later(self.random.uniform(*_LONGER_THAN_LEASE), self._go_on(replica))

    async def _fault(self, name: str, **asked: Any) -> None:
        """Set a fault, before the slowness that meets every refresh: the first one meets it."""
        self.happened.made[f"org: {name}"] += 1
        await self.world.control("DELETE", "/faults")
        await self.world.control("POST", "/faults", json={"name": name, "match": _REFRESH, **asked})
        await self.world.control("POST", "/faults", json=_SLOW)


async def _clock_of(world: MixedWorld, replica: MixedReplica) -> datetime | None:
    """Return a replica's time of day, by something that it makes; None where it cannot now."""
    body = {"customer_id": "clock", "return_url": "http://127.0.0.1:9/settings"}
    with contextlib.suppress(Exception):
        async with (
            asyncio.timeout(5),
            world.http.post(
                f"{replica.url}/v1/connect-sessions", json=body, headers=world.key
            ) as answer,
        ):
            return datetime.fromisoformat((await answer.json())["created_at"])
    return None


@dataclass(kw_only=True)
class Outcome:
    """All that a run found."""

    seconds: float
    verdict: Verdict
    happened: Happened
    told: dict[str, int]
    faults: dict[str, int]
    takeovers: int
    problems: list[str]

    def report(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "seconds": round(self.seconds, 1),
            "tokens": self.verdict.tokens,
            "presentations": self.verdict.presentations,
            "presented twice": self.verdict.twice,
            "decisions": self.verdict.decisions,
            "window": {
                "ended after the lease": self.verdict.late,
                "presented twice": self.verdict.twice_in_window,
            },
            "found open by another replica": self.takeovers,
            "disturbances": self.happened.table(),
            "faults at the org": self.faults,
            "readers were told": self.told,
            "problems": self.problems,
        }


async def run(
    crash: CrashWorld,
    *,
    seconds: float,
    plants: Sequence[str | None],
    orgs: int = len(ORGS),
    readers: int = 8,
    seed: int = 1,
    long_pauses: bool = False,
) -> Outcome:
    """Run the load for so many seconds, and on until each disturbance had effect; judge it."""
    random = Random(seed)  # noqa: S311 - a load, not a secret
    async with mixed_world(crash, plants, orgs=orgs) as world:
        disturber = Disturber(
            world=world,
            random=random,
            long_pauses=long_pauses,
            step=_LONG_STEP if long_pauses else _STEP,
        )
        use = Readers(world, random)
        await world.control("POST", "/faults", json=_SLOW)
        working: list[asyncio.Task[Any]] = []
        working.append(asyncio.create_task(_end_sessions_again_and_again(world)))
        working += [asyncio.create_task(use.read()) for _ in range(readers)]
        working += [asyncio.create_task(use.call()) for _ in range(readers // 2)]
        working.append(asyncio.create_task(disturber.go_on()))
        begun = time.monotonic()
        enough: asyncio.Task[Any] = asyncio.create_task(
            _enough(disturber, EXPECTED_IN_LONG if long_pauses else EXPECTED, seconds)
        )
        done, _ = await asyncio.wait({enough, *working}, return_when=asyncio.FIRST_COMPLETED)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for task in done - {enough}:
            task.result()  # one of them failed
        without_effect = enough.result()
        await disturber.calm()
        problems = await _see_that_all_serve(world, Readers(world, random))  # no wait is left over
        await world.advance(_SESSION)
        problems += await _see_that_all_serve(world, Readers(world, random))  # by a refresh each
        problems += [*dict.fromkeys(use.lost), *dict.fromkeys(use.wrong)]
        journal = await world.journal()
        verdict = judge(journal, await _audit(world), world.connections)
        faults = Counter(entry["fault"] for entry in journal if entry["fault"] is not None)
        return Outcome(
            seconds=time.monotonic() - begun,
            verdict=verdict,
            happened=disturber.happened,
            told=dict(use.told.most_common()),
            faults=dict(faults),
            takeovers=await _takeovers(world),
            problems=[
                *problems,
                *verdict.violations,
                *(f"had no effect: {kind}" for kind in without_effect),
            ],
        )


async def _enough(disturber: Disturber, kinds: frozenset[str], seconds: float) -> list[str]:
    """Wait so many seconds, and longer on a slow machine; return what had no effect even so."""
    await asyncio.sleep(seconds)
    give_up = time.monotonic() + max(60, seconds)
    while True:
        met = Counter(entry["fault"] for entry in await disturber.world.journal())
        for fault in ("connection_reset", "status"):
            disturber.happened.felt[f"org: {fault}"] = met[fault]
        missing = disturber.without_effect(kinds)
        if not missing or time.monotonic() > give_up:
            return missing
        await asyncio.sleep(0.5)


async def _end_sessions_again_and_again(world: MixedWorld) -> None:
    while True:
        await world.advance(_SESSION)
        await asyncio.sleep(_ENDS_EVERY)


async def _see_that_all_serve(world: MixedWorld, use: Readers) -> list[str]:
    """Use each connection at each replica, by token and by proxy; return what does not serve."""
    give_up = time.monotonic() + _CALMS_WITHIN
    problems = []
    for connection in world.connections:
        for replica in world.replicas:
            while time.monotonic() < give_up and not use.lost:
                if (await use.proxied(replica, connection)) == _OK:
                    break
                await _end_leases_nobody_holds(world)
                await world.advance("PT1M")  # what is uncertain is decided after a minute
                await asyncio.sleep(0.3)
            held = await use.token(replica, connection)
            if held is None or await use.use(held) != _OK:
                problems.append(f"{connection} does not serve at {replica.name}: {dict(use.told)}")
        asked = "SELECT state FROM connections WHERE id = $1"
        state = await world.database.fetchval(asked, connection)
        if state != "active":
            problems += [f"{connection} is {state}", *await _story(world, connection)]
    return problems + use.lost


async def _story(world: MixedWorld, connection: str) -> list[str]:
    """Tell what the audit has of a connection's latest token."""
    rows = await world.database.fetch(
        "SELECT writer, sequence, type, detail FROM audit_events WHERE connection_id = $1"
        " AND (type LIKE 'token.%' OR type LIKE 'connection.%')"
        " AND type NOT IN ('token.read', 'token.withheld') ORDER BY at DESC LIMIT 12",
        connection,
    )
    return [
        f"{row['writer'][-4:]} {row['sequence']} {row['type']} {row['detail']}"
        for row in reversed(rows)
    ]


async def _end_leases_nobody_holds(world: MixedWorld) -> None:
    """End leases whose release did not reach the database, instead of waiting for a minute.

    Everything is calm, so a lease that is older than a call lasts is nobody's.
    """
    await world.database.execute(
        "UPDATE refresh_leases SET ends_at = 0 WHERE ends_at <"
        " (extract(epoch FROM clock_timestamp()) + 60 - $1) * 1000000",
        _STALE,
    )


async def _audit(world: MixedWorld) -> dict[str, list[dict[str, Any]]]:
    """Return what the audit has on record of each connection's tokens, in order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for connection in world.connections:
        rows = await world.database.fetch(
            "SELECT type, detail FROM audit_events WHERE connection_id = $1"
            " AND type = ANY($2::text[]) ORDER BY at",
            connection,
            [*KINDS],
        )
        found[connection] = [
            {"type": row["type"], "detail": json.loads(row["detail"])} for row in rows
        ]
    return found


async def _takeovers(world: MixedWorld) -> int:
    """Count attempts of one replica that another one found open when the lease had ended."""
    asked = (
        "SELECT count(*) FROM audit_events WHERE type = 'token.outcome_unknown'"
        " AND detail LIKE '%another replica%'"
    )
    return int(await world.database.fetchval(asked))


def main() -> int:
    """Run, print, and write the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--orgs", type=int, default=len(ORGS))
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long-pauses", action="store_true")
    parser.add_argument("--plant", choices=["no_fencing"], help="a fault that has to be found")
    asked = parser.parse_args()
    plants: list[str | None] = [asked.plant] * asked.replicas
    if asked.long_pauses and asked.plant is None:
        plants[-1] = "sleeps_in_window"
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-mixed-") as name,
        running_postgres() as server,
        crash_world(Path(name), database_url=server.create_database()) as crash,
    ):
        outcome = asyncio.run(
            run(
                crash,
                seconds=asked.seconds,
                plants=plants,
                orgs=asked.orgs,
                readers=asked.readers,
                seed=asked.seed,
                long_pauses=asked.long_pauses,
            )
        )
    REPORT.parent.mkdir(exist_ok=True)
    said = json.dumps(outcome.report(), indent=1)
    REPORT.write_text(said + "\n")
    print(said)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
