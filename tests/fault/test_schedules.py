"""Crash schedules in process: some of all of them with each run; `make fault-long` plays more."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from service.tests.support.strict_org import Answering
from tests.fault.schedules import DEFAULT, REPORT, SECOND, STORAGE, Schedule, Schedules, Then


@pytest.mark.timeout(600)  # some five schedules a second and core, when nothing runs beside
def test_no_schedule_loses_what_could_be_kept() -> None:
    """Each schedule that was played ended rightly, and the report says how many those were."""
    command = [sys.executable, "-m", "tests.fault.schedules"]

    played = subprocess.run(command, capture_output=True, text=True, check=False)

    print(played.stdout)
    assert played.returncode == 0, played.stdout + played.stderr
    told = json.loads(REPORT.read_text())
    assert told["violations"] == []
    assert told["played"] + told["not_reached"] == DEFAULT
    assert told["ends"].keys() == {"active", "reauthorization_required"}


def test_the_schedules_are_spread_and_none_comes_twice() -> None:
    """A part of them is taken evenly from all, the two halves apart."""
    schedules = Schedules({(Answering.WHOLE, False): 18, (Answering.LOST, True): 16})

    halves = [list(schedules.spread(500, part=part, of=2)) for part in (0, 1)]

    assert len({*halves[0], *halves[1]}) == 500
    assert {one.then for one in halves[0]} == set(Then)
    assert {one.storage for one in halves[1]} == set(STORAGE)
    assert len(schedules) == 34 * len(Then) * len(STORAGE) * len(SECOND)


def test_every_schedule_is_one_of_its_place() -> None:
    """The last one of all is there, and says where it is."""
    schedules = Schedules({(Answering.WHOLE, False): 3})

    last = schedules[len(schedules) - 1]

    assert isinstance(last, Schedule)
    assert last.place == 2
    assert replace(last, place=0) in {schedules[number] for number in range(len(STORAGE) * 36)}
