"""`domain.attempt`: which attempts an answer on the spool would still settle."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.values import START, attempt

from keyturn_service.domain.attempt import AttemptOutcome, HoldOff


@pytest.mark.parametrize("spool_answered", [False, True])
def test_an_open_attempt_waits_for_its_spool(*, spool_answered: bool) -> None:
    """Nobody has said how it ended."""
    assert attempt(outcome=None, spool_answered=spool_answered).waits_for_its_spool


def test_an_attempt_that_another_replica_found_waits_for_its_spool() -> None:
    """That replica could only note that it does not know."""
    assert attempt(outcome=AttemptOutcome.UNKNOWN, spool_answered=False).waits_for_its_spool
    assert not attempt(outcome=AttemptOutcome.UNKNOWN, spool_answered=True).waits_for_its_spool


@pytest.mark.parametrize("spool_answered", [False, True])
@pytest.mark.parametrize("outcome", [o for o in AttemptOutcome if o is not AttemptOutcome.UNKNOWN])
def test_an_attempt_that_ended_waits_for_nothing(
    outcome: AttemptOutcome, *, spool_answered: bool
) -> None:
    """What it was is known."""
    assert not attempt(outcome=outcome, spool_answered=spool_answered).waits_for_its_spool


def test_a_refusal_says_until_when_and_for_how_long_to_hold_off() -> None:
    """Both, since the clocks of replicas differ; most attempts hold nothing off."""
    later = START + timedelta(seconds=30)

    asked = attempt(ended_at=START, retry_at=later).hold_off

    assert asked == HoldOff(until=later, length=timedelta(seconds=30))
    assert attempt(ended_at=START).hold_off is None
    assert attempt(retry_at=START).hold_off is None


def test_a_hold_off_that_was_over_when_it_was_noted_is_none() -> None:
    """The refusal had lain on a spool for longer."""
    assert attempt(ended_at=START, retry_at=START).hold_off is None
