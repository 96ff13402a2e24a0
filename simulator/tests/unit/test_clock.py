"""The world's clock, and the durations that move it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.clock import LONGEST, NotADuration, WorldClock, parse_duration, rfc3339
from orgsim.control.durations import iso_duration

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("PT2H", timedelta(hours=2)),
        ("P1DT30M", timedelta(days=1, minutes=30)),
        ("P2W", timedelta(weeks=2)),
        ("PT0.25S", timedelta(milliseconds=250)),
        ("-PT5M", timedelta(minutes=-5)),
        ("+P1D", timedelta(days=1)),
    ],
)
def test_a_duration_reads_as_iso_8601_has_it(text, length):
    """Weeks, days and smaller units, either way."""
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1Y", "P1M", "1H", "PT1H ", "pt1h", "P1DT", "PT1.5H", "P999999W"]
)
def test_what_is_no_duration_is_refused(text):
    """Years and months have no fixed length; a hundred years are the most."""
    with pytest.raises(NotADuration):
        parse_duration(text)


@given(st.timedeltas(min_value=-LONGEST, max_value=LONGEST))
def test_what_is_written_reads_the_same(length):
    """To the microsecond."""
    assert parse_duration(iso_duration(length)) == length


def test_the_clock_runs_with_the_machine_and_ahead_of_it():
    """By an offset that only grows."""
    machine = iter([NOON, NOON + timedelta(seconds=1)])
    clock = WorldClock(machine=lambda: next(machine))
    assert clock.now() == NOON
    clock.advance(timedelta(days=30))
    assert clock.now() == NOON + timedelta(days=30, seconds=1)


@pytest.mark.parametrize("by", [timedelta(seconds=-1), LONGEST + timedelta(days=1)])
def test_the_clock_does_not_go_back_or_leave_the_calendar(by):
    """And keeps its offset then."""
    clock = WorldClock(machine=lambda: NOON)
    with pytest.raises(NotADuration):
        clock.advance(by)
    assert clock.offset == timedelta()


def test_a_moment_is_written_in_utc():
    """With milliseconds and a Z."""
    assert rfc3339(NOON) == "2026-11-24T12:00:00.000Z"
