"""Crash schedules in process: ten thousand with each run; `make fault-long` plays more."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from service.tests.support.faulty import at_once
from service.tests.support.plants import PLANTS, Plant
from service.tests.support.snapshots import Snapshot
from service.tests.support.stepped_worlds import furnished_template, stepped_world
from service.tests.support.strict_org import Answering
from tests.fault.schedules import DATABASES, DEFAULT, OFFS, REPORT, Player, courses
from tests.fault.tally import SECOND, SOUND, STORAGE, Course, Fault, Tally, Then

PLAIN = Course(answer=Answering.WHOLE, storage=SOUND, certificate=False)


@pytest.mark.takes(85)
@pytest.mark.timeout(900)
def test_no_schedule_loses_what_could_be_kept() -> None:
    """Each schedule ended rightly, on both databases, and each place met each fault."""
    command = [sys.executable, "-m", "tests.fault.schedules"]

    played = subprocess.run(command, capture_output=True, text=True, check=False)

    print(played.stdout)
    assert played.returncode == 0, played.stdout + played.stderr
    told = json.loads(REPORT.read_text())["databases"]
    assert told.keys() == {*DATABASES}
    assert sum(one["schedules"] for one in told.values()) >= DEFAULT
    for one in told.values():
        assert one["violations"] == []
        assert {fault for row in one["table"].values() for fault in row} == {*Fault}
        assert [never for never in one["never"] if not never["why"]] == []


def test_all_courses_are_there_once_the_single_faults_first() -> None:
    """The product of answers, states of the storage, and certificates; nothing is skipped."""
    all_of_them = courses()

    assert len(all_of_them) == len({*all_of_them}) == len(Answering) * len(STORAGE) * 2
    assert [one.faults for one in all_of_them] == sorted(one.faults for one in all_of_them)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make the database that every world starts with."""
    with pytest.MonkeyPatch.context() as patched, at_once(patched):
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        yield furnished_template(tmp_path_factory.mktemp("template"))
        structlog.reset_defaults()


@asynccontextmanager
async def _player(folder: Path, template: Path) -> AsyncIterator[Player]:
    async with stepped_world(folder, template, offs=OFFS) as world:
        player = Player(world, Tally(database="sqlite"))
        await player.prepare()
        yield player


async def test_a_process_that_is_killed_leaves_the_state_that_was_taken_there(
    template: Path, tmp_path: Path
) -> None:
    """Each place by a run of its own, which ends there: the same state, so the same story."""
    async with _player(tmp_path / "world", template) as player:
        taken = {
            number: state.left.digest()
            for state in await player.states(PLAIN)
            for number, _ in state.places
        }
        for number, digest in taken.items():
            process = await player.begun(PLAIN)
            assert await player.held(process, number) is not None
            await process.cut()
            assert (await Snapshot.of(player.world)).digest() == digest, process.calls[-1]

    assert len(taken) > len({*taken.values()}) > len(taken) / 4


async def test_a_schedule_stands_for_every_next_answer_that_nobody_asked_for(
    template: Path, tmp_path: Path
) -> None:
    """Before the call the next answer is met; after the answer was stored nobody asks."""
    async with _player(tmp_path / "world", template) as player:
        [first, *_, last] = await player.states(PLAIN)
        await player.count(PLAIN, last, Then.RESTARTED)
        runs, schedules = player.tally.played, player.tally.schedules
        await player.count(PLAIN, first, Then.RESTARTED)

    assert (runs, schedules) == (1, len(last.places) * len(SECOND))
    assert player.tally.schedules == schedules + len(first.places) * len(SECOND)


def _that_find(plant: Plant) -> tuple[Course, Then]:
    """Return a course and what happens then, a state of which finds the fault."""
    lost = Course(answer=Answering.LOST, storage=SOUND, certificate=False)
    match plant.__name__:
        case "no_fence_and_no_deadline":
            return lost, Then.PAUSED
        case "replays_a_lost_answer":
            return lost, Then.RESTARTED
        case "does_not_wait_for_the_other_spool":
            return PLAIN, Then.OTHER_FIRST
        case _:
            return PLAIN, Then.AGAIN_5


@pytest.mark.timeout(120)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found(
    plant: Plant, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can fail: schedules that the product passes, played above, find each of these."""
    course, then = _that_find(plant)

    async def violations() -> list[str]:
        async with _player(tmp_path / "world", template) as player:
            plant(monkeypatch)
            for state in await player.states(course):
                await player.count(course, state, then)
                if player.tally.violations:
                    break
            return player.tally.violations

    [first, *_] = asyncio.run(violations())
    assert re.search(PLANTS[plant], first)
