"""Crash schedules in process: where a replica dies or is paused, times what else goes wrong.

Each schedule is one refresh over real storage (an SQLite file or a PostgreSQL, a spool folder for
each replica), with the product's own use cases and adapters; the org and the judge are
`service.tests.support`'s. A schedule says what the org answers, what the storage does, at which
awaited call the replica is killed or paused, what happens then, and what the org answers next.
After it everything is calm, and the judge says whether a connection was lost that could have been
kept.

A killed process leaves rows, disks and an org. Places between which none of them changed leave the
same state, and what follows is decided by it: such a state is gone on from once for each thing that
happens then. It is the same with what the org answers next, where nobody asked it again. Both
numbers are told: schedules, and the runs that decided them.

`python -m tests.fault.schedules --count N` plays N schedules, half on each database, in two
processes, and writes `build/crash-schedules.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
import uvloop
from service.tests.support.faulty import at_once
from service.tests.support.oracle import Violation
from service.tests.support.snapshots import Rows, Snapshot
from service.tests.support.stepped import Process, SteppedWorld
from service.tests.support.stepped_ports import WINDOW
from service.tests.support.stepped_worlds import (
    furnish_postgres,
    furnished_template,
    stepped_world,
)
from service.tests.support.strict_org import Answering
from tests.fault.tally import (
    AGAIN,
    PAUSES,
    SECOND,
    STORAGE,
    Course,
    Ended,
    Fault,
    Tally,
    Then,
)
from tests.support.postgres import running_postgres

REPORT: Final = Path("build/crash-schedules.json")
DEFAULT: Final = 10_000
DATABASES: Final = ("sqlite", "postgresql")
OFFS: Final = [timedelta(0), timedelta(minutes=7)]
_LEASE_OVER: Final = 61.0
_KILLS: Final = [then for then in Then if then not in PAUSES]
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one


def courses() -> list[Course]:
    """Return what one refresh may meet before it is cut short, in the order they are played.

    First those where at most one thing goes wrong beside, then the others.
    """
    found = [
        Course(answer=answer, storage=storage, certificate=certificate)
        for answer in Answering
        for storage in STORAGE
        for certificate in (False, True)
    ]
    return sorted(found, key=lambda one: one.faults)  # stable


ORDER: Final = {course: number // 2 for number, course in enumerate(courses())}
"""Which courses differ only in the certificate: those of the same number."""


@dataclass(frozen=True, kw_only=True)
class State:
    """What a process leaves that is killed at any of these places."""

    left: Snapshot
    digest: bytes
    places: list[tuple[int, str]]


@dataclass(kw_only=True)
class Start:
    """A connection in its second generation, whose access token is over, and an older backup."""

    left: Snapshot
    backup: Rows


@dataclass
class Player:
    """Plays schedules in one world, and counts."""

    world: SteppedWorld
    tally: Tally
    starts: dict[bool, Start] = field(default_factory=dict)
    known: dict[tuple[bytes, Then], list[Ended]] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    quiet: set[bytes] = field(default_factory=set)  # states after which nobody asks the org
    done: set[tuple[Course, bytes, Then]] = field(default_factory=set)
    met: set[tuple[str, Fault]] = field(default_factory=set)
    of_course: dict[Course, list[State]] = field(default_factory=dict)

    async def prepare(self) -> None:
        """Make what every schedule starts from, without and with a certificate."""
        world = self.world
        for certificate in (False, True):
            await world.begin(certificate=certificate)
            backup = await world.looking.rows(world.connection_id)
            process = await world.replicas[0].start()
            await world.run(process, process.recover())
            await world.run(process, world.ask(process))
            await process.cut()
            world.clock.advance(hours=3)
            self.starts[certificate] = Start(left=await Snapshot.of(world), backup=backup)

    async def states(self, course: Course) -> list[State]:
        """Go one refresh through, and return what each place of it leaves."""
        found: dict[bytes, State] = {}
        process = await self.begun(course)

        async def passing(place: str) -> None:
            left = await Snapshot.of(self.world)
            times = process.calls.count(place)
            place += f" ({times})" if times > 1 else ""
            digest = left.digest()
            state = found.setdefault(digest, State(left=left, digest=digest, places=[]))
            state.places.append((len(process.calls) - 1, place))

        process.passing = passing
        await process.run(self.world.ask(process))
        process.passing = None
        await process.cut()
        self.seen |= found.keys()
        self.tally.first_runs += 1
        return list(found.values())

    async def begun(self, course: Course) -> Process:
        """Start a replica that is about to be asked, with all that the course says."""
        world = self.world
        await self.starts[course.certificate].left.put_back(world)
        world.org.script.append(course.answer)
        process = await world.replicas[0].start()
        _spoil(process, course.storage)
        return process

    async def turn_of(
        self, turn: int, course: Course, *, quiet: bool = False, new: bool = False
    ) -> None:
        """Go on from each state of a course, in the ways that have this turn.

        Only from those states after which nobody asks the org again (`quiet`), or only where a
        place meets a fault for the first time (`new`).
        """
        if course not in self.of_course:
            self.of_course[course] = await self.states(course)
        number = ORDER[course]
        for index, state in enumerate(self.of_course[course]):
            if quiet and state.digest not in self.quiet:
                continue
            for then in _ways(course, turn, index + number):
                if not new or not self.met >= _cells(course, state, then):
                    await self.count(course, state, then)

    async def count(self, course: Course, state: State, then: Then) -> None:
        """Count all schedules that are killed in this state, or paused at one of its places."""
        if (course, state.digest, then) in self.done:
            return
        self.done.add((course, state.digest, then))
        self.met |= _cells(course, state, then)
        if then in PAUSES:
            for number, place in state.places:
                self._count(course, [place], then, await self._paused(course, number, then))
            return
        key = (state.digest, then)
        if key not in self.known:
            self.known[key] = await self._killed(course, state, then)
        self._count(course, [place for _, place in state.places], then, self.known[key])

    def _count(
        self, course: Course, places: Sequence[str], then: Then, ended: Sequence[Ended]
    ) -> None:
        for place in places:
            for one in ended:
                self.tally.note(course, place, then, one)

    async def _killed(self, course: Course, state: State, then: Then) -> list[Ended]:
        """Return how it ends for each next answer of the org."""
        ended: list[Ended] = []
        for second in SECOND:
            await state.left.put_back(self.world)
            left = len(self.world.org.script)
            self.world.org.script.append(second)
            one = await self._to_its_end(self._after_the_kill(course, then), second=second)
            ended.append(one)
            if one.asked <= left:  # nobody heard the second answer: the others end like this
                self.quiet.add(state.digest)
                return ended * len(SECOND)
        return ended

    async def _paused(self, course: Course, number: int, then: Then) -> list[Ended]:
        ended: list[Ended] = []
        for second in SECOND:
            process = await self.begun(course)
            self.world.org.script.append(second)
            task = await self.held(process, number)
            if task is None:  # the second answer came before its place, and led elsewhere
                self.tally.not_reached += 1
                continue
            one = await self._to_its_end(self._pause(process, task, then), second=second)
            ended.append(one)
            if one.asked <= 1:
                return ended * len(SECOND)
        return ended

    async def _to_its_end(
        self, story: contextlib.AbstractAsyncContextManager[None], *, second: Answering
    ) -> Ended:
        """Play a story, have everything calm, and return how it ended."""
        world = self.world
        asked = world.org.asked
        self.tally.played += 1
        try:
            async with story:
                for replica in world.replicas:
                    replica.database.mend()
                    replica.disk_full = False
                await world.calm(unclear=2)
            state, violation = str(await world.state()), ""
        except Violation as found:
            state, violation = "", f"{found} (then {second})"
        for replica in world.replicas:
            if replica.process is not None:
                await replica.process.cut()
        self.tally.presented += len(world.org.presented)
        return Ended(
            state=state,
            violation=violation,
            asked=world.org.asked - asked,
            uncertain=bool(await world.count_events("token.outcome_unknown")),
            in_window=world.oracle.in_window,
        )

    async def held(self, process: Process, number: int) -> asyncio.Task[Any] | None:
        """Ask, and return what is held at its place; None where it is not met."""
        process.hold_at = number
        task = await process.run(self.world.ask(process))
        if process.held.is_set():
            return task
        await process.cut()
        return None

    @contextlib.asynccontextmanager
    async def _pause(
        self, process: Process, task: asyncio.Task[Any], then: Then
    ) -> AsyncIterator[None]:
        world = self.world
        world.oracle.window_open = process.calls[-1] == WINDOW
        await self._take_over(patience=2 if then is Then.PAUSED_TWICE else 1)
        await process.resume(task)
        await process.cut()
        yield

    @contextlib.asynccontextmanager
    async def _after_the_kill(self, course: Course, then: Then) -> AsyncIterator[None]:
        world, first = self.world, self.world.replicas[0]
        match then:
            case Then.OTHER_FIRST:
                await self._take_over(patience=2)
            case Then.DISK_LOST:
                aside = first.lose_disk()
                await self._take_over(patience=1)
                await world.give_up_on(aside)
                await self._take_over(patience=2)
            case Then.DISK_LATE:
                aside = first.lose_disk()
                process = await first.start()
                await world.run(process, process.recover())
                await self._take_over(patience=2)
                await process.cut()
                first.put_back(aside)
            case Then.RESTORED:
                await world.looking.put_back(
                    world.connection_id, self.starts[course.certificate].backup
                )
                world.oracle.restored()
                world.clock.advance(seconds=_LEASE_OVER)
            case Then.RESTARTED:
                world.clock.advance(seconds=_LEASE_OVER)
            case _:
                process = await first.start()
                process.hold_at = AGAIN[then]
                await process.run(self._recovery(process))
                await process.cut()
                world.clock.advance(seconds=_LEASE_OVER)
        yield

    async def _take_over(self, *, patience: int) -> None:
        """Let the other replica be asked when the lease is over, and again."""
        world, other = self.world, self.world.replicas[1]
        process = other.process or await other.start()
        for _ in range(patience):
            world.clock.advance(seconds=_LEASE_OVER)
            await world.run(process, world.ask(process))
            await world.run(process, process.round())

    async def _recovery(self, process: Process) -> None:
        await process.recover()
        await self.world.ask(process)


def _spoil(process: Process, storage: str) -> None:
    replica = process.replica
    match storage.split():
        case ["disk", "full"]:
            process.full_from = "spool.intend"  # before it nothing is presented
        case ["database", "away", "after", "the", "call"]:
            process.away_from = "endpoint.present"
        case ["database", "away", "after", "the", "spool"]:
            process.away_from = "spool.put"
        case ["write", number, "fails"]:
            replica.database.fails_before = int(number)
        case ["write", number, "done,", *_]:
            replica.database.fails_after = int(number)


async def play_all(player: Player, *, count: int, part: int = 0, of: int = 1) -> None:
    """Count schedules of a part of all courses until there are as many as were asked for.

    Whatever was asked for: where nothing goes wrong beside, each state is gone on from in every
    way. Of the courses where one thing goes wrong, each is played with a certificate on one
    database and without on the other, each of its states gone on from in one way; and the other
    way round where a place would not meet its fault. Then come more ways for states after which
    nobody asks the org again, where one run stands for every next answer; then all the others.
    """
    await player.prepare()
    mine = [course for n, course in enumerate(courses()) if n // 2 % of == part]
    single = [course for course in mine if course.faults <= 1]
    first = player.tally.database == DATABASES[0]
    half = [
        course
        for n, course in enumerate(single)
        if course.faults == 0 or course.certificate is (n // 2 % 2 == first)
    ]
    for course in half:
        await player.turn_of(0, course)
    for course in single:
        await player.turn_of(0, course, new=True)
    gc.collect()
    for some, quiet in ((half, True), (single, False), (mine, False)):
        for turn in range(len(Then)):
            for course in some:
                if player.tally.schedules >= count:
                    return
                await player.turn_of(turn, course, quiet=quiet)
            gc.collect()


def _cells(course: Course, state: State, then: Then) -> set[tuple[str, Fault]]:
    """Return which places meet which faults."""
    return {(place, fault) for _, place in state.places for fault in course.met(then)}


def _ways(course: Course, turn: int, number: int) -> Sequence[Then]:
    """Return what happens in a state this time."""
    if course.faults == 0:
        return [*Then] if turn == 0 else ()
    if turn < len(_KILLS):
        return (_KILLS[(number + turn) % len(_KILLS)],)
    return ([*PAUSES][turn - len(_KILLS)],)


async def _played(
    folder: Path, template: Path | str, tally: Tally, *, count: int, part: int, of: int
) -> None:
    async with stepped_world(folder, template, offs=OFFS) as world:
        player = Player(world, tally)
        await play_all(player, count=count, part=part, of=of)
        tally.states = len(player.seen)


def play_part(database: str, url: str, *, count: int, part: int, of: int) -> Tally:
    """Play a part on one database in this process; for PostgreSQL an empty one is given."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()
    gc.disable()
    begun = time.process_time()
    tally = Tally(database=database)
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-schedules-", dir=in_memory()) as name,
        pytest.MonkeyPatch.context() as patched,
        at_once(patched),
    ):
        folder = Path(name)
        template: Path | str = url
        if url:
            furnish_postgres(url)
        else:
            (folder / "template").mkdir()
            template = furnished_template(folder / "template")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_played(folder / "world", template, tally, count=count, part=part, of=of))
    tally.cpu_seconds = time.process_time() - begun
    return tally


def in_memory() -> str | None:
    """Return a folder in memory, where the machine has one: real files, without a slow disk."""
    return str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None


def play(count: int, *, workers: int) -> list[Tally]:
    """Play on both databases; return what was counted on each."""
    each = -(-count // (len(DATABASES) * workers))
    whole = {name: Tally(database=name) for name in DATABASES}
    with (
        running_postgres() as server,
        ProcessPoolExecutor(max(workers, 2), mp_context=get_context("spawn")) as pool,
    ):
        parts = [
            pool.submit(
                play_part,
                name,
                server.create_database() if name == "postgresql" else "",
                count=each,
                part=part,
                of=workers,
            )
            for name in reversed(DATABASES)  # the slower one first
            for part in range(workers)
        ]
        for part in parts:
            tally = part.result()
            whole[tally.database].add(tally)
    return list(whole.values())


def main() -> int:
    """Play, print, and write the report; 1 where a rule did not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=DEFAULT)
    parser.add_argument("--workers", type=int, default=1, help="processes for each database")
    asked = parser.parse_args()
    begun = time.monotonic()
    tallies = play(asked.count, workers=asked.workers)
    seconds = time.monotonic() - begun
    report = {
        "asked": asked.count,
        "seconds": round(seconds),
        "databases": {tally.database: tally.told() for tally in tallies},
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    violations = [one for tally in tallies for one in tally.violations]
    for violation in violations[:20]:
        print(violation)
    for tally in tallies:
        print(tally.line())
    schedules = sum(tally.schedules for tally in tallies)
    print(
        f"crash schedules: {schedules:,} in {seconds:.0f} s ({schedules / seconds:.0f}/s),"
        f" {len(violations)} violations"
    )
    return 1 if violations or not all(tally.schedules for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
