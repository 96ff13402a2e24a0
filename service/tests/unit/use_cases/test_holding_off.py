"""`use_cases.holding_off`: no hold-off is too long, no pause too short, whatever clocks say."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.values import START

from keyturn_service.domain.attempt import HoldOff
from keyturn_service.domain.ids import AttemptId
from keyturn_service.use_cases.holding_off import SKEW, HoldingOff, Pausing

ONE, TWO = AttemptId("att_one"), AttemptId("att_two")
NOTHING, SECOND, MINUTE = timedelta(0), timedelta(seconds=1), timedelta(minutes=1)
ASKED = HoldOff(until=START + MINUTE, length=MINUTE)


def test_a_hold_off_ends_when_it_was_said() -> None:
    """What is left of it, and nothing once it is over."""
    holding = HoldingOff()

    assert holding.rest(ONE, ASKED, START) == MINUTE
    assert holding.rest(ONE, ASKED, START + 10 * SECOND) == 50 * SECOND
    assert holding.rest(ONE, ASKED, START + MINUTE) == NOTHING
    assert holding.rest(ONE, ASKED, START + 9 * MINUTE) == NOTHING


@pytest.mark.parametrize("behind", [SECOND, 10 * MINUTE, 9000 * MINUTE])
def test_a_slow_clock_holds_nobody_off_for_longer(behind: timedelta) -> None:
    """It counts from when the replica first met it, and is over when that is over."""
    holding, now = HoldingOff(), START - behind

    rests = [holding.rest(ONE, ASKED, now + passed * SECOND) for passed in (0, 59, 60, 61, 600)]

    assert rests == [MINUTE, SECOND, NOTHING, NOTHING, NOTHING]


def test_a_clock_that_is_set_back_holds_nobody_off_for_longer() -> None:
    """From then on it is the length that was asked for at most."""
    holding = HoldingOff()
    assert holding.rest(ONE, ASKED, START + 30 * SECOND) == 30 * SECOND

    back = START - 10 * MINUTE

    assert holding.rest(ONE, ASKED, back) == MINUTE
    assert holding.rest(ONE, ASKED, back + MINUTE) == NOTHING


def test_each_hold_off_counts_by_itself() -> None:
    """Another attempt, or the same one that ended anew, is held off for its own time."""
    holding, now = HoldingOff(), START - 10 * MINUTE
    assert holding.rest(ONE, ASKED, now) == MINUTE

    anew = HoldOff(until=ASKED.until + MINUTE, length=MINUTE)

    assert holding.rest(TWO, ASKED, now + MINUTE) == MINUTE
    assert holding.rest(ONE, anew, now + MINUTE) == MINUTE
    assert holding.rest(ONE, ASKED, now + MINUTE) == NOTHING


def test_so_many_are_remembered_at_most() -> None:
    """The one met first is forgotten first, and counts from when it is met again."""
    holding, now = HoldingOff(most=1), START - 10 * MINUTE
    for one in (ONE, TWO):
        assert holding.rest(one, ASKED, now) == MINUTE

    assert holding.rest(TWO, ASKED, now + MINUTE) == NOTHING
    assert holding.rest(ONE, ASKED, now + MINUTE) == MINUTE


@pytest.mark.parametrize("ahead", [-9000 * MINUTE, -10 * MINUTE, NOTHING, SKEW])
def test_no_clock_that_is_wrong_makes_a_pause_shorter(ahead: timedelta) -> None:
    """It counts from when the replica first met it, by the machine's own clock."""
    pausing, now = Pausing(), START + ahead

    rests = [
        pausing.rest(ONE, ASKED, now=now + passed * SECOND, monotonic=5.0 + passed)
        for passed in (0, 59, 60, 61)
    ]

    assert rests == [MINUTE, SECOND, NOTHING, NOTHING]


def test_a_pause_that_is_over_by_any_clock_is_not_waited_for() -> None:
    """What ended long ago costs nobody another minute."""
    long_ago = START + MINUTE + SKEW

    assert Pausing().rest(ONE, ASKED, now=long_ago, monotonic=5.0) == NOTHING
    assert Pausing().rest(ONE, ASKED, now=long_ago - SECOND, monotonic=5.0) == MINUTE


def test_so_many_pauses_are_remembered_at_most() -> None:
    """The one met first is forgotten first, and counts from when it is met again."""
    pausing = Pausing(most=1)
    for one in (ONE, TWO):
        pausing.rest(one, ASKED, now=START, monotonic=0.0)

    assert pausing.rest(TWO, ASKED, now=START, monotonic=60.0) == NOTHING
    assert pausing.rest(ONE, ASKED, now=START, monotonic=60.0) == MINUTE
