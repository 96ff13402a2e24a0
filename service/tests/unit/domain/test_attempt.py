"""`domain.attempt`: which attempts an answer on the spool would still settle."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.values import START, attempt

from keyturn_service.domain.attempt import AttemptOutcome


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


def test_a_refusal_holds_off_until_the_moment_it_named() -> None:
    """What is left of it, and nothing once it is over; most attempts hold nothing off."""
    refused = attempt(ended_at=START, retry_at=START + timedelta(seconds=30))

    assert refused.hold_off(START + timedelta(seconds=10)) == timedelta(seconds=20)
    assert refused.hold_off(START + timedelta(seconds=30)) == timedelta(0)
    assert attempt(ended_at=START).hold_off(START) == timedelta(0)
    assert attempt(retry_at=START).hold_off(START) == timedelta(0)


def test_a_hold_off_is_never_longer_than_was_asked_for() -> None:
    """A replica whose clock is an hour behind waits the thirty seconds, not an hour."""
    refused = attempt(ended_at=START, retry_at=START + timedelta(seconds=30))

    assert refused.hold_off(START - timedelta(hours=1)) == timedelta(seconds=30)
