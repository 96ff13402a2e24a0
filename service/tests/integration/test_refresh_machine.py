"""The refresh protocol as a state machine: what three replicas may do and suffer, in any order.

Real storage: one SQLite file, a spool folder for each replica; each replica's clock is off by
minutes. The judge (`Oracle`) is written from the design, the org (`StrictOrg`) from Salesforce's
documents. Stories are drawn from a seed, one move after the other, among those that are possible
then; of one that breaks a rule, the moves that do not matter are left out before it is shown.
Most stories that come of drawing without regard to what is possible are about nothing: that is
why this is no `RuleBasedStateMachine`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest
import structlog
from service.tests.support.faulty import at_once
from service.tests.support.oracle import Violation
from service.tests.support.plants import PLANTS, Plant
from service.tests.support.stepped import (
    WINDOW,
    Process,
    Replica,
    SteppedWorld,
)
from service.tests.support.stepped_worlds import furnished_template, stepped_world
from service.tests.support.strict_org import Answering

OFFS = [timedelta(0), timedelta(minutes=9), timedelta(minutes=-9)]
WEIGHTS = {
    "ask": 6,
    "deliver": 2,
    "wake_up_late": 6,
    "cut_off": 3,
    "time_passes": 4,
    "access_token_ends": 2,
    "org_will": 3,
    "database_fails": 2,
    "database_is_back": 1,
    "disk_fills_up": 1,
    "lose_disk": 1,
    "put_old_disk_back": 2,
    "declare_lost": 1,
}
MOVES_A_STORY = 14
STORIES_A_WORLD = 40
DATABASE = ("away", "fails_before", "fails_after")
Move: TypeAlias = tuple[str, tuple[Any, ...]]


@dataclass
class Story:
    """Replicas, disks, a database and an org, and what has happened to them so far.

    Each move is a method; one that is not possible now does nothing, so that a story stays one
    when moves of it are left out.
    """

    world: SteppedWorld
    held: dict[int, asyncio.Task[Any]] = field(default_factory=dict)
    aside: list[tuple[Replica, Path]] = field(default_factory=list)

    def draw(self, random: Random) -> Move:
        """Draw a move among those that are possible."""
        possible = dict(WEIGHTS)
        if not self.held:
            del possible["wake_up_late"]
        if not self.aside:
            del possible["put_old_disk_back"], possible["declare_lost"]
        [name] = random.choices([*possible], [*possible.values()])
        which = random.choice([0, 0, 1, 1, 2])
        held = random.choice(sorted(self.held)) if self.held else which
        calls = random.choice([None, random.randrange(22), random.randrange(22)])
        given: dict[str, tuple[Any, ...]] = {
            "ask": (which, calls),
            "deliver": (which, calls),
            "wake_up_late": (held, calls),
            "cut_off": (held,),
            "time_passes": (random.choice([20, 61, 61, 61, 130, 3700]),),
            "access_token_ends": (),
            "org_will": (random.choice([*Answering]),),
            "database_fails": (which, random.choice(DATABASE), random.randrange(8)),
            "put_old_disk_back": (random.randrange(max(1, len(self.aside))),),
            "declare_lost": (),
        }
        return name, given.get(name, (which,))

    async def play(self, move: Move) -> None:
        """Make a move."""
        name, given = move
        await getattr(self, name)(*given)

    async def ask(self, which: int, calls: int | str | None) -> None:
        """Ask a replica for a token; it may be held in the middle of it."""
        await self._work(which, calls, self.world.ask)

    async def deliver(self, which: int, calls: int | None) -> None:
        """Let a replica look through its spool; it may be held in the middle of it."""
        await self._work(which, calls, lambda process: process.deliver())

    async def wake_up_late(self, which: int, calls: int | None) -> None:
        """Let a replica go on that was paused."""
        process = self.world.replicas[which].process
        if which not in self.held or process is None:
            return
        if process.calls[-1] == WINDOW:
            self.world.oracle.window_open = True
        task = self.held.pop(which)
        await process.resume(task, hold_after=calls)
        self._see(which, process, task)

    async def cut_off(self, which: int) -> None:
        """Kill a replica: its tasks and memory are gone, its disk stays."""
        self.held.pop(which, None)
        process = self.world.replicas[which].process
        if process is not None:
            await process.cut()

    async def lose_disk(self, which: int) -> None:
        """Take a replica's disk away; it may come back, unless it is declared lost."""
        await self.cut_off(which)
        replica = self.world.replicas[which]
        if replica.disk.exists():
            self.aside.append((replica, replica.lose_disk()))

    async def put_old_disk_back(self, number: int) -> None:
        """Have an old disk again, whatever was decided meanwhile."""
        if number >= len(self.aside):
            return
        replica, aside = self.aside.pop(number)
        await self.lose_disk(replica.number)
        replica.put_back(aside)

    async def declare_lost(self) -> None:
        """Declare all disks lost that are away, as an operator does."""
        for _, aside in self.aside:
            await self.world.give_up_on(aside)

    async def org_will(self, answer: Answering) -> None:
        """Say what the org does with a refresh that comes."""
        self.world.org.script.append(answer)

    async def database_fails(self, which: int, how: str, writes: int) -> None:
        """Take the database away from a replica, or fail one of its commits."""
        setattr(self.world.replicas[which].database, how, True if how == "away" else writes)

    async def database_is_back(self, which: int) -> None:
        """Give the database back."""
        self.world.replicas[which].database.mend()

    async def disk_fills_up(self, which: int) -> None:
        """Let a replica's disk be full, or have room again."""
        replica = self.world.replicas[which]
        replica.disk_full = not replica.disk_full

    async def time_passes(self, seconds: int) -> None:
        """Let time pass, by the database's clock too."""
        self.world.clock.advance(seconds=seconds)

    async def access_token_ends(self) -> None:
        """Let the session at the org be over, so that the next ask needs a refresh."""
        self.world.clock.advance(hours=3)

    async def end(self) -> None:
        """Let everything be calm, and judge."""
        for which in range(len(OFFS)):
            await self.cut_off(which)
        self.world.clock.advance(seconds=61)
        for replica, aside in reversed(self.aside):
            if aside not in self.world.oracle.given_up:
                await self.world.work_quietly(replica)  # its disk has a word to say, too
                replica.put_back(aside)
                await self.world.work_quietly(replica)
        await self.world.calm()
        for which in range(len(OFFS)):
            await self.cut_off(which)

    async def _work(
        self, which: int, calls: int | str | None, work: Callable[[Process], Any]
    ) -> None:
        if which in self.held:
            return
        replica = self.world.replicas[which]
        process, starts = replica.process, replica.process is None
        if process is None:
            process = await replica.start()

        async def all_of_it(process: Process) -> None:
            if starts:
                await process.recover()
            await work(process)

        process.hold_at = len(process.calls) + calls if isinstance(calls, int) else calls
        process.held.clear()
        task = await process.run(self.world.quietly(all_of_it(process)))
        self._see(which, process, task)

    def _see(self, which: int, process: Process, task: asyncio.Task[Any]) -> None:
        if task.done():
            task.result()
        elif process.held.is_set():
            self.held[which] = task


class Explorer:
    """Plays stories from seeds, many in one world."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self.template = template
        self.killed = self.woken = self.presented = self.moves = 0

    async def explore(self, seeds: Sequence[int]) -> None:
        """Play a story for each seed.

        Raises:
            Violation: a story broke a rule; the shortest form of it that was found.
        """
        for first in range(0, len(seeds), STORIES_A_WORLD):
            async with stepped_world(self.folder, self.template, offs=OFFS) as world:
                for seed in seeds[first : first + STORIES_A_WORLD]:
                    found = await self._drawn(world, seed)
                    if found is not None:
                        break
                else:
                    continue
            raise await self._shortened(*found)

    async def _drawn(
        self, world: SteppedWorld, seed: int
    ) -> tuple[Violation, list[Move], bool] | None:
        random = Random(seed)  # noqa: S311 - a story, not a secret
        certificate = random.random() < 0.3
        await world.begin(certificate=certificate)
        story = Story(world)
        moves: list[Move] = []
        try:
            for _ in range(MOVES_A_STORY):
                moves.append(story.draw(random))
                await story.play(moves[-1])
            await story.end()
        except Violation as violation:
            return violation, moves, certificate
        names = [name for name, _ in moves]
        self.moves += len(moves)
        self.killed += names.count("cut_off") + names.count("lose_disk")
        self.woken += names.count("wake_up_late")
        self.presented += len(world.org.presented)
        return None

    async def tell(self, stories: Sequence[Sequence[Move]]) -> None:
        """Play stories that are written down.

        Raises:
            Violation: one broke a rule.
        """
        for moves in stories:
            found = await self._again(moves, certificate=False)
            if found is not None:
                raise found

    async def _shortened(
        self,
        violation: Violation,
        moves: list[Move],
        certificate: bool,  # noqa: FBT001
    ) -> Violation:
        """Return the violation with as few moves as it takes."""
        number = 0
        while number < len(moves):
            fewer = moves[:number] + moves[number + 1 :]
            again = await self._again(fewer, certificate=certificate)
            if again is None or str(again) != str(violation):
                number += 1
            else:
                moves = fewer
        told = "\n".join(f"  {name}{given}" for name, given in moves)
        return Violation(f"{violation}\ncertificate: {certificate}\n{told}")

    async def _again(self, moves: Sequence[Move], *, certificate: bool) -> Violation | None:
        async with stepped_world(self.folder, self.template, offs=OFFS) as world:
            await world.begin(certificate=certificate)
            story = Story(world)
            try:
                for move in moves:
                    await story.play(move)
                await story.end()
            except Violation as violation:
                return violation
        return None


# Held before the intent, and before the answer on the disk goes to the database.
_BEFORE_INTENT, _BEFORE_STORE = "tokens.begin_attempt", "tokens.replace"
TOLD: Sequence[Sequence[Move]] = (
    [  # an answer on the disk of a replica that is dead, while another is asked for minutes
        ("ask", (0, _BEFORE_STORE)),
        ("cut_off", (0,)),
        *[("time_passes", (130,)), ("ask", (1, None))] * 3,
    ],
    [  # a replica that wakes up with its intent not written, when another has an answer in hand
        ("ask", (0, _BEFORE_INTENT)),
        ("time_passes", (61,)),
        ("ask", (1, _BEFORE_STORE)),
        ("wake_up_late", (0, None)),
    ],
    [  # the only replica dies with an answer on its disk
        ("ask", (0, _BEFORE_STORE)),
        ("cut_off", (0,)),
        ("time_passes", (61,)),
        *[("ask", (0, None)), ("time_passes", (130,))] * 3,
    ],
    [("org_will", (Answering.LOST,)), ("ask", (0, None))],
    [  # a disk that is declared lost and turns up before the token is presented again
        ("ask", (0, _BEFORE_STORE)),
        ("lose_disk", (0,)),
        ("time_passes", (61,)),
        ("declare_lost", ()),
        ("put_old_disk_back", (0,)),
        *[("ask", (0, None)), ("time_passes", (61,))] * 3,
    ],
    [  # a token presented again by a replica whose clock is slow, after one whose clock is fast
        ("ask", (1, "endpoint.present")),
        ("lose_disk", (1,)),
        ("time_passes", (61,)),
        ("ask", (2, None)),
        ("declare_lost", ()),
        ("time_passes", (61,)),
        ("ask", (2, _BEFORE_STORE)),
        ("cut_off", (2,)),
        *[("time_passes", (61,)), ("ask", (0, None))] * 2,
    ],
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the database that every world starts with."""
    with pytest.MonkeyPatch.context() as patched, at_once(patched), quiet():
        yield furnished_template(tmp_path_factory.mktemp("template"))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the log of thousands of failures out of the output."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def explorer(template: Path, tmp_path: Path) -> Explorer:
    """Return an explorer that has played nothing yet."""
    return Explorer(tmp_path / "world", template)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("half", [0, 1])
def test_no_story_breaks_a_rule_of_the_protocol(explorer: Explorer, half: int) -> None:
    """Whatever happens in whatever order: nothing twice, nothing lost, and it comes to rest."""
    asyncio.run(explorer.explore(range(half, 2 * STORIES, 2)))

    assert explorer.presented > STORIES
    assert explorer.killed > STORIES
    assert explorer.woken > STORIES / 4


STORIES = 50


async def test_no_told_story_breaks_a_rule(explorer: Explorer) -> None:
    """The stories that find what is planted find nothing in the product."""
    await explorer.tell(TOLD)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found(
    plant: Plant, explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can fail: the told stories, which the product passes, find each of these."""
    plant(monkeypatch)

    with pytest.raises(Violation, match=PLANTS[plant]):
        asyncio.run(explorer.tell(TOLD))
