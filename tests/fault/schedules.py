"""Crash schedules in process: where a replica dies or is paused, times what else goes wrong.

Each schedule is one refresh over a real SQLite file and real spool folders, with the product's own
use cases and adapters; the org and the judge are `service.tests.support`'s. A schedule says what
the org answers, what the storage does, at which awaited call the replica is killed or paused,
what happens then, and what the org answers next. After it everything is calm, and the judge says
whether a connection was lost that could have been kept.

`python -m tests.fault.schedules --count N` plays N of all schedules, evenly spread over them, in
two processes, and writes `build/crash-schedules.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from enum import StrEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import pytest
import structlog
import uvloop
from service.tests.support.faulty import at_once
from service.tests.support.oracle import Violation
from service.tests.support.stepped import (
    WINDOW,
    Process,
    SteppedWorld,
    furnished_template,
    stepped_world,
)
from service.tests.support.strict_org import Answering

STORIES_A_WORLD: Final = 100  # then a new database: its tables stay as short as they are at first
WRITES: Final = 7  # transactions of one refresh, from the lease to the record of the read
REPORT: Final = Path("build/crash-schedules.json")
DEFAULT: Final = 400
_LEASE_OVER: Final = 61.0
_PRIME: Final = 7_368_787


class Then(StrEnum):
    """What happens to the replica at its place, and who comes after it."""

    RESTARTED = "killed, restarted"
    OTHER_FIRST = "killed, another replica is asked first"
    PAUSED = "paused until another replica has taken over"
    PAUSED_TWICE = "paused while another replica is asked for minutes"
    AGAIN_2 = "killed, killed again at call 2 of its recovery"
    AGAIN_5 = "killed, killed again at call 5 of its recovery"
    AGAIN_9 = "killed, killed again at call 9 of its recovery"
    DISK_LOST = "killed, its disk lost and declared so"
    DISK_LATE = "killed, its disk away until another replica was asked for minutes"


_AGAIN: Final = {Then.AGAIN_2: 2, Then.AGAIN_5: 5, Then.AGAIN_9: 9}
_PAUSES: Final = frozenset({Then.PAUSED, Then.PAUSED_TWICE})
STORAGE: Final = (
    "sound",
    "disk full",
    "database away after the call",
    "database away after the spool",
    *(f"write {n} fails" for n in range(WRITES)),
    *(f"write {n} done, and not told" for n in range(WRITES)),
)
SECOND: Final = (Answering.WHOLE, Answering.LOST, Answering.NOT_NOW, Answering.BUSY_UNDONE)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One story: a place among the awaited calls of a refresh, and all that goes wrong."""

    place: int
    then: Then
    answer: Answering
    storage: str
    certificate: bool
    second: Answering


@dataclass
class Tally:
    """What was played, and how it ended."""

    played: int = 0
    not_reached: int = 0
    seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    presented: int = 0
    in_window: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count another one in."""
        self.played += other.played
        self.not_reached += other.not_reached
        self.ends += other.ends
        self.kinds += other.kinds
        self.presented += other.presented
        self.in_window += other.in_window
        self.violations += other.violations


async def play(world: SteppedWorld, schedule: Schedule) -> tuple[bool, str]:
    """Play one schedule; return whether its place was reached, and how the connection ended.

    Raises:
        Violation: a rule of the design did not hold.
    """
    await world.begin(certificate=schedule.certificate)
    world.org.script.extend([schedule.answer, schedule.second])
    first = world.replicas[0]
    process = await first.start()
    _spoil(process, schedule.storage)
    process.hold_at = schedule.place
    task = await process.run(world.ask(process))
    reached = process.held.is_set()
    world.oracle.window_open = reached and process.calls[-1] == WINDOW and schedule.then in _PAUSES
    if schedule.then in _PAUSES:
        await _take_over(world, patience=2 if schedule.then is Then.PAUSED_TWICE else 1)
        if reached:
            await process.resume(task)
        await process.cut()
    else:
        await process.cut()
        await _after_the_kill(world, schedule)
    first.database.mend()
    first.disk_full = False
    await world.calm(unclear=2)
    if first.process is not None:
        await first.process.cut()
    return reached, str(await world.state())


def _spoil(process: Process, storage: str) -> None:
    replica = process.replica
    match storage.split():
        case ["disk", "full"]:
            replica.disk_full = True
        case ["database", "away", "after", "the", "call"]:
            process.away_from = "endpoint.present"
        case ["database", "away", "after", "the", "spool"]:
            process.away_from = "spool.put"
        case ["write", number, "fails"]:
            replica.database.fails_before = int(number)
        case ["write", number, "done,", *_]:
            replica.database.fails_after = int(number)


async def _take_over(world: SteppedWorld, *, patience: int) -> None:
    """Let the other replica be asked when the lease is over, and again."""
    other = await _other(world)
    for _ in range(patience):
        world.clock.advance(seconds=_LEASE_OVER)
        await world.run(other, world.ask(other))
        await world.run(other, other.deliver())


async def _after_the_kill(world: SteppedWorld, schedule: Schedule) -> None:
    first = world.replicas[0]
    first.database.mend()
    first.disk_full = False
    match schedule.then:
        case Then.OTHER_FIRST:
            await _take_over(world, patience=2)
        case Then.DISK_LOST:
            aside = first.lose_disk()
            await _take_over(world, patience=1)
            world.give_up_on(aside)
            await _take_over(world, patience=2)
        case Then.DISK_LATE:
            aside = first.lose_disk()
            process = await first.start()
            await world.run(process, process.deliver.recover())
            await _take_over(world, patience=2)
            await process.cut()
            first.put_back(aside)
        case Then.RESTARTED:
            world.clock.advance(seconds=_LEASE_OVER)
        case _:
            process = await first.start()
            process.hold_at = _AGAIN[schedule.then]
            await process.run(_recovery(world, process))
            await process.cut()
            world.clock.advance(seconds=_LEASE_OVER)


async def _recovery(world: SteppedWorld, process: Process) -> None:
    await process.deliver.recover()
    await world.ask(process)


async def _other(world: SteppedWorld) -> Process:
    other = world.replicas[1]
    if other.process is None:
        await other.start()
    assert other.process is not None
    return other.process


async def places(world: SteppedWorld, answer: Answering, *, certificate: bool) -> int:
    """Count the places between the awaited calls of one ask that is answered like that."""
    await world.begin(certificate=certificate)
    world.org.script.append(answer)
    process = await world.replicas[0].start()
    await world.run(process, world.ask(process))
    met = len(process.calls)
    await process.cut()
    return met


class Schedules(Sequence[Schedule]):
    """All schedules, of all places that were met."""

    def __init__(self, met: dict[tuple[Answering, bool], int]) -> None:
        self._ways = [
            (storage, then, second) for storage in STORAGE for then in Then for second in SECOND
        ]
        self._blocks = [(key, places * len(self._ways)) for key, places in met.items()]

    def __len__(self) -> int:
        return sum(size for _, size in self._blocks)

    def __getitem__(self, index: Any) -> Any:
        """Return one schedule."""
        for (answer, certificate), size in self._blocks:
            if index < size:
                place, way = divmod(index, len(self._ways))
                storage, then, second = self._ways[way]
                return Schedule(
                    place=place,
                    then=then,
                    answer=answer,
                    storage=storage,
                    certificate=certificate,
                    second=second,
                )
            index -= size
        raise IndexError

    def spread(self, count: int, *, part: int, of: int) -> Iterator[Schedule]:
        """Return one part of `count` schedules, none twice, evenly from all of them."""
        total = len(self)
        assert math.gcd(_PRIME, total) == 1
        for number in range(part, min(count, total), of):
            yield self[number * _PRIME % total]


async def play_all(
    folder: Path, template: Path, *, count: int, part: int = 0, of: int = 1
) -> Tally:
    """Play a part of `count` schedules; a violation is noted, and the next one is played."""
    tally = Tally()
    met = {}
    offs = [timedelta(0), timedelta(minutes=7)]
    async with stepped_world(folder, template, offs=offs) as world:
        for answer in Answering:
            for certificate in (False, True):
                met[answer, certificate] = await places(world, answer, certificate=certificate)
    todo = iter(Schedules(met).spread(count, part=part, of=of))
    begun = time.monotonic()
    ended = False
    while not ended:
        async with stepped_world(folder, template, offs=offs) as world:
            for _ in range(STORIES_A_WORLD):
                schedule = next(todo, None)
                if schedule is None:
                    ended = True
                    break
                if not await _count(world, schedule, tally):
                    break  # what a violation left is not a good start for the next one
        gc.collect()
    tally.seconds = time.monotonic() - begun
    return tally


async def _count(world: SteppedWorld, schedule: Schedule, tally: Tally) -> bool:
    try:
        reached, end = await play(world, schedule)
    except Violation as violation:
        said = {name: str(value) for name, value in asdict(schedule).items()}
        tally.violations.append(f"{violation}: {json.dumps(said)}")
        tally.played += 1
        tally.ends["a violation"] += 1
        return False
    tally.in_window += world.oracle.in_window
    tally.presented += len(world.org.presented)
    if reached:
        tally.played += 1
        tally.ends[end] += 1
        tally.kinds[schedule.then] += 1
    else:
        tally.not_reached += 1
    return True


def play_part(count: int, part: int, of: int) -> Tally:
    """Play a part in this process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()
    gc.disable()
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-schedules-") as name,
        pytest.MonkeyPatch.context() as patched,
        at_once(patched),
    ):
        folder = Path(name)
        (folder / "template").mkdir()
        template = furnished_template(folder / "template")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(play_all(folder / "world", template, count=count, part=part, of=of))


def main() -> int:
    """Play, print, and write the report; 1 where a rule did not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=DEFAULT)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    begun = time.monotonic()
    whole = Tally()
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        parts = [
            pool.submit(play_part, asked.count, part, asked.workers)
            for part in range(asked.workers)
        ]
        for part in parts:
            whole.add(part.result())
    whole.seconds = time.monotonic() - begun
    REPORT.parent.mkdir(exist_ok=True)
    rate = whole.played / whole.seconds
    REPORT.write_text(json.dumps({**vars(whole), "rate": rate}, indent=1) + "\n")
    for violation in whole.violations[:20]:
        print(violation)
    ends = ", ".join(f"{number:,} {end}" for end, number in whole.ends.most_common())
    print(f"ended: {ends}; {whole.presented:,} presentations, {whole.in_window} in the window")
    print(
        f"crash schedules: {whole.played:,} in {whole.seconds:.0f} s ({rate:.0f}/s),"
        f" {len(whole.violations)} violations"
    )
    return 1 if whole.violations or not whole.played else 0


if __name__ == "__main__":
    sys.exit(main())
