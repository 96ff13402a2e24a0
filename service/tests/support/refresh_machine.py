"""The refresh protocol as a state machine of hypothesis: what three replicas may do and suffer.

Real storage: a SQLite file that a link leads to, a spool folder for each replica; each replica's
clock is off by minutes. The judge (`Oracle`) is written from the design, the org (`StrictOrg`)
from Salesforce's documents. Each rule plays one move to its end or to where it is held, on a loop
that stands still between two moves: the same moves are the same story, so that hypothesis can
shorten one that breaks a rule. Each story has a world of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from service.tests.support.faulty import at_once
from service.tests.support.stepped import Process, Replica, SteppedWorld
from service.tests.support.stepped_ports import WINDOW
from service.tests.support.stepped_worlds import furnished_template, stepped_world
from service.tests.support.strict_org import Answering

OFFS = [timedelta(0), timedelta(minutes=9), timedelta(minutes=-9)]
DATABASE = ("away", "fails_before", "fails_after", "is_back")
MISHAPS = ("cut_off", "cut_off", "lose_disk", "disk_fills_up")
Move: TypeAlias = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Copy:
    """A copy of the database, and the spools of the replicas that ran when it was taken."""

    path: Path
    known: set[str]


@dataclass
class Story:
    """Replicas, disks, a database and an org, and what has happened to them so far.

    Each move is a method; one that is not possible now does nothing, so that a story stays one
    when moves of it are left out.
    """

    world: SteppedWorld
    held: dict[int, asyncio.Task[Any]] = field(default_factory=dict)
    aside: list[tuple[Replica, Path]] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)

    async def play(self, move: Move) -> None:
        """Make a move."""
        name, given = move
        await getattr(self, name)(*given)

    async def ask(self, which: int, calls: int | str | None) -> None:
        """Ask a replica for a token; it may be held in the middle of it."""
        await self._work(which, calls, self.world.ask)

    async def deliver(self, which: int, calls: int | str | None) -> None:
        """Let a replica look through its spool; it may be held in the middle of it."""
        await self._work(which, calls, lambda process: process.deliver())

    async def wake_up_late(self, which: int, calls: int | str | None) -> None:
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

    async def back_up(self) -> None:
        """Take a copy of the database; who runs has said within half a minute that it does."""
        known = await self._look(range(len(OFFS)))
        self.copies.append(Copy(self.world.copy(), known))

    async def fail_over(self, back: int, first: int, calls: int | str | None) -> None:
        """Put a copy in the place of the database; who runs notices within a second.

        One is the first to notice, and may be held in the middle of it.
        """
        if back >= len(self.copies):
            return
        copy = self.copies[-1 - back]
        await self.world.exchange(copy.path)
        self.world.clock.advance(seconds=1)
        if self.world.replicas[first].process is not None:
            await self._work(first, calls, nothing_more)
        noticed = await self._look(which for which in range(len(OFFS)) if which != first)
        noticed |= await self._look([first])
        for disk in self.world.folder.glob("disk-*"):
            if spool_of(disk) not in noticed | copy.known:
                self.world.oracle.unawaited.add(disk)

    async def _look(self, which: Iterable[int]) -> set[str]:
        """Let replicas look that run; return the spools of those that could."""
        seen: set[str] = set()
        for replica in [self.world.replicas[one] for one in which if one not in self.held]:
            process = replica.process
            if process is None or process.watch is None:
                continue
            await self.world.run(process, self.world.quietly(process.watch.look()))
            if process.watch.looked_at == self.world.clock.monotonic():
                seen.add(spool_of(replica.disk))
        return seen

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
        for _, aside in self.aside:
            if aside in self.world.oracle.given_up:
                await self.world.give_up_on(aside)  # an older database does not know
            else:
                await self.world.replica(disk=aside)  # a machine for each disk that survives
        await self.world.come_up()
        await self.world.calm()
        for replica in self.world.replicas:
            if replica.process is not None:
                await replica.process.cut()

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
            elif process.watch is not None and process.watch.is_due:
                await process.watch.look()
            await work(process)

        process.hold_after(calls)
        process.held.clear()
        task = await process.run(self.world.quietly(all_of_it(process)))
        self._see(which, process, task)

    def _see(self, which: int, process: Process, task: asyncio.Task[Any]) -> None:
        if task.done():
            task.result()
        elif process.held.is_set():
            self.held[which] = task


async def nothing_more(_process: Process) -> None:
    """Do nothing but what comes before all work."""


def spool_of(disk: Path) -> str:
    """Return the name that a disk's spool has, empty where there is none yet."""
    named = disk / "id"
    return named.read_text() if named.exists() else ""


REPLICA = st.sampled_from(range(len(OFFS)))
PLACES = (
    "leases.acquire",
    "tokens.begin_attempt",
    "spool.intend",
    "endpoint.present",
    WINDOW,
    "spool.put",
    "tokens.replace",
    "spool.delivered",
    "tokens.end_attempt",
    "leases.release",
    "epochs.accept",
    "epochs.begin",
    "epochs.expect",
    "epochs.replayed",
    "tokens.foresee",
)
HELD = st.none() | st.sampled_from(PLACES) | st.integers(0, 30)
"""Where a process is paused: nowhere, before a call of that name, or before the n-th call."""


class RefreshMachine(RuleBasedStateMachine):
    """Stories that hypothesis draws; `of` says where they happen."""

    folder: ClassVar[Path]
    template: ClassVar[Path]
    tally: ClassVar[Counter[str]]

    @classmethod
    def of(cls, folder: Path, template: Path) -> type[RefreshMachine]:
        """Return a machine with worlds in a folder, that counts what happened in them."""
        given = {"folder": folder, "template": template, "tally": Counter[str]()}
        return type("RefreshMachineHere", (cls,), given)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.to_close = contextlib.AsyncExitStack()
        self.broken = False
        world = stepped_world(self.folder, self.template, offs=OFFS, watches=True)
        self.story = Story(self._run(self.to_close.enter_async_context(world)))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def _play(self, name: str, *given: Any) -> None:
        try:
            self._run(self.story.play((name, given)))
        except BaseException:
            self.broken = True
            raise
        self.tally[name] += 1

    def teardown(self) -> None:
        """Let everything be calm, and judge; a story that is over already is not told on."""
        try:
            if not self.broken:
                self._run(self.story.end())
                self._run(self._count())
        finally:
            self._run(self.to_close.aclose())
            self._run(self.loop.shutdown_asyncgens())
            self.loop.close()

    async def _count(self) -> None:
        world = self.story.world
        self.tally["stories"] += 1
        self.tally["presented"] += len(world.org.presented)
        for type_ in ("token.replayed", "token.unaccounted", "token.decided_to_present_again"):
            self.tally[type_] += await world.oracle.world.count_events(type_)

    @initialize(certificate=st.sampled_from([False, False, True]))
    def begin(self, certificate: bool) -> None:  # noqa: FBT001 - hypothesis names it
        """Begin with a connection whose access token is over."""
        self._run(self.story.world.begin(certificate=certificate))

    @rule(which=REPLICA, held=HELD)
    def ask(self, which: int, held: int | str | None) -> None:
        """Ask a replica."""
        self._play("ask", which, held)

    @rule(which=REPLICA, held=HELD)
    def ask_for_a_new_one(self, which: int, held: int | str | None) -> None:
        """Ask a replica when the session at the org is over."""
        self._play("access_token_ends")
        self._play("ask", which, held)

    @rule(which=REPLICA, held=HELD)
    def deliver(self, which: int, held: int | str | None) -> None:
        """Let a replica look through its spool."""
        self._play("deliver", which, held)

    @precondition(lambda self: self.story.held)
    @rule(data=st.data(), held=HELD)
    def wake_up_late(self, data: st.DataObject, held: int | str | None) -> None:
        """Let a replica go on that was paused."""
        which = data.draw(st.sampled_from(sorted(self.story.held)), label="which")
        self._play("wake_up_late", which, held)

    @rule(seconds=st.sampled_from([20, 61, 130, 3700]))
    def time_passes(self, seconds: int) -> None:
        """Let time pass."""
        self._play("time_passes", seconds)

    @rule(answer=st.sampled_from(Answering))
    def org_will(self, answer: Answering) -> None:
        """Say what the org does with a refresh that comes."""
        self._play("org_will", answer)

    @rule(which=REPLICA, what=st.sampled_from(MISHAPS))
    def suffer(self, which: int, what: str) -> None:
        """Kill a replica, take its disk away, or have its disk full or sound again."""
        self._play(what, which)

    @rule(which=REPLICA, how=st.sampled_from(DATABASE), writes=st.integers(0, 7))
    def database_fails(self, which: int, how: str, writes: int) -> None:
        """Take the database away from a replica, give it back, or fail one of its commits."""
        if how == "is_back":
            self._play("database_is_back", which)
        else:
            self._play("database_fails", which, how, writes)

    @precondition(lambda self: self.story.aside)
    @rule(data=st.data())
    def put_old_disk_back(self, data: st.DataObject) -> None:
        """Have an old disk again."""
        number = data.draw(st.integers(0, len(self.story.aside) - 1), label="number")
        self._play("put_old_disk_back", number)

    @precondition(lambda self: self.story.aside)
    @rule()
    def declare_lost(self) -> None:
        """Declare all disks lost that are away."""
        self._play("declare_lost")

    @precondition(lambda self: len(self.story.copies) <= self.story.world.exchanges)
    @rule()
    def back_up(self) -> None:
        """Take a copy of the database, or have a standby that lags from now on."""
        self._play("back_up")

    @precondition(lambda self: self.story.copies)
    @rule(data=st.data(), first=REPLICA, held=HELD)
    def fail_over(self, data: st.DataObject, first: int, held: int | str | None) -> None:
        """Have an older database in the place of the one that is there."""
        back = data.draw(st.integers(0, len(self.story.copies) - 1), label="back")
        self._play("fail_over", back, first, held)

    @rule(which=REPLICA, held=HELD, first=REPLICA, held_there=HELD)
    def fail_over_after_a_refresh(
        self, which: int, held: int | str | None, first: int, held_there: int | str | None
    ) -> None:
        """Have a replica refresh what a copy does not know that is put in place then."""
        self._play("deliver", which, None)
        self._play("back_up")
        self.ask_for_a_new_one(which, held)
        self._play("fail_over", 0, first, held_there)

    @invariant()
    def grant_stands(self) -> None:
        """No grant is over whose latest token is on a disk: seen at once, not only at the end."""
        if hasattr(self.story.world, "oracle"):
            self.story.world.oracle.see_the_grant()


def explore(
    folder: Path, template: Path, *, stories: int, moves: int, anew: bool = False
) -> Counter[str]:
    """Play stories; return how often what happened in them. `anew` plays others each time.

    Raises:
        Violation: one broke a rule. Its shortest form that was found is shown.
    """
    machine = RefreshMachine.of(folder, template)
    profile = settings(max_examples=stories, stateful_step_count=moves, derandomize=not anew)
    run_state_machine_as_test(machine, settings=profile)
    return machine.tally


@contextlib.contextmanager
def furnished(folder: Path) -> Iterator[Path]:
    """Give the database that every world starts with; keep the log of thousands of failures out."""
    with pytest.MonkeyPatch.context() as patched, at_once(patched):
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        try:
            yield furnished_template(folder)
        finally:
            structlog.reset_defaults()


async def told(folder: Path, template: Path, stories: Sequence[Sequence[Move]]) -> None:
    """Play stories that are written down; replicas watch their database where it is exchanged.

    Raises:
        Violation: one broke a rule.
    """
    for moves in stories:
        watches = any(name == "fail_over" for name, _ in moves)
        async with stepped_world(folder, template, offs=OFFS, watches=watches) as world:
            await world.begin(certificate=False)
            story = Story(world)
            for move in moves:
                await story.play(move)
            await story.end()
            assert not world.oracle.in_window, "what nobody can see is in none of these"


# Held before the intent, and before the answer on the disk goes to the database.
_BEFORE_INTENT, _BEFORE_STORE = "tokens.begin_attempt", "tokens.replace"
_BOTH_RUN: Sequence[Move] = [("deliver", (0, None)), ("deliver", (1, None))]
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
# The database is exchanged for an older one, under what runs.
EXCHANGED: Sequence[Sequence[Move]] = (
    [  # who has refreshed since has lost its disk, too; the other has served what it brought
        *_BOTH_RUN,
        ("back_up", ()),
        ("ask", (0, None)),
        ("ask", (1, None)),
        ("lose_disk", (0,)),
        ("fail_over", (0, 1, None)),
        ("declare_lost", ()),
        *[("time_passes", (61,)), ("ask", (1, None))] * 3,
    ],
    [  # the older one is older than a spool whose disk is lost, and another has met it
        ("back_up", ()),
        *_BOTH_RUN,
        ("time_passes", (6,)),
        ("deliver", (1, None)),
        ("lose_disk", (0,)),
        ("fail_over", (0, 1, None)),
        ("declare_lost", ()),
        *[("time_passes", (61,)), ("ask", (1, None))] * 2,
    ],
    [  # a fail-over: one replica has refreshed since, the other is asked
        *_BOTH_RUN,
        ("back_up", ()),
        ("ask", (0, None)),
        ("fail_over", (0, 1, None)),
        *[("time_passes", (20,)), ("ask", (1, None))] * 2,
    ],
    [  # who has refreshed since was stopped meanwhile, and starts when the other was asked
        *_BOTH_RUN,
        ("back_up", ()),
        ("ask", (0, None)),
        ("cut_off", (0,)),
        ("fail_over", (0, 1, None)),
        *[("time_passes", (20,)), ("ask", (1, None))] * 2,
        ("ask", (0, None)),
        *[("time_passes", (20,)), ("ask", (1, None))] * 2,
    ],
    [  # who has refreshed since is paused with the answer in hand, and wakes up late
        *_BOTH_RUN,
        ("back_up", ()),
        ("ask", (0, "spool.put")),
        ("fail_over", (0, 1, None)),
        *[("time_passes", (20,)), ("ask", (1, None))] * 2,
        ("wake_up_late", (0, None)),
        *[("time_passes", (20,)), ("ask", (1, None))] * 2,
    ],
    [  # the same, and its clock is slow: it said what its spool needs as late as the others did
        *_BOTH_RUN,
        ("deliver", (2, None)),
        ("back_up", ()),
        ("ask", (2, "spool.put")),
        ("fail_over", (0, 0, None)),
        *[("time_passes", (20,)), ("ask", (0, None))] * 2,
        ("wake_up_late", (2, None)),
        *[("time_passes", (20,)), ("ask", (0, None))] * 2,
    ],
    [  # the older one knows no spool at all, and who has refreshed since was stopped meanwhile
        ("back_up", ()),
        *_BOTH_RUN,
        ("ask", (1, None)),
        ("time_passes", (6,)),
        ("deliver", (0, None)),
        ("cut_off", (1,)),
        ("fail_over", (0, 0, None)),
        *[("time_passes", (20,)), ("access_token_ends", ()), ("ask", (0, None))] * 2,
    ],
    [  # a decision to present again is on record in a database that is gone
        *_BOTH_RUN,
        ("back_up", ()),
        ("org_will", (Answering.HTML_UNDONE,)),
        ("org_will", (Answering.HTML_UNDONE,)),
        ("ask", (0, None)),
        ("time_passes", (61,)),
        ("ask", (0, None)),
        ("fail_over", (0, 0, None)),
        *[("time_passes", (61,)), ("ask", (0, None))] * 3,
    ],
    [  # an answer in between lay on a disk that is lost, the newest on one that is there
        *_BOTH_RUN,
        ("back_up", ()),
        ("ask", (1, None)),
        ("access_token_ends", ()),
        ("ask", (0, None)),
        ("lose_disk", (1,)),
        ("fail_over", (0, 0, None)),
        ("declare_lost", ()),
        *[("time_passes", (61,)), ("ask", (0, None))] * 3,
    ],
)
