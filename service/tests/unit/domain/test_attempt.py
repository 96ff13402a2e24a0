"""`domain.attempt`: which attempts an answer on the spool would still settle."""

from __future__ import annotations

import pytest
from service.tests.support.values import attempt

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
