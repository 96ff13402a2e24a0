"""`domain.back_off`: what refuses again and again is asked less and less, and not all at once."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from keyturn_service.domain.back_off import LONGEST, backed_off
from keyturn_service.domain.ids import AttemptId


def _waits(first: int, name: str, times: int = 12) -> list[int]:
    before, waits = None, []
    for number in range(times):
        waits.append(backed_off(first, before=before, attempt_id=AttemptId(f"{name}{number}")))
        before = timedelta(seconds=waits[-1])
    return waits


@pytest.mark.parametrize("first", [1, 10])
def test_waits_grow_to_a_minute(first: int) -> None:
    """Each is up to twice the one before, and none is longer than a minute."""
    waits = _waits(first, "att_")

    assert waits[0] == first
    for before, wait in pairwise(waits):
        assert min(1.5 * before, 45) <= wait <= min(2 * before, 60)
    assert min(waits[-4:]) >= 45


def test_connections_that_were_refused_together_do_not_come_back_together() -> None:
    """Of a hundred, the waits are spread over a quarter of the time."""
    waits = {_waits(10, f"att_{name}_")[-1] for name in range(100)}

    assert len(waits) > 10


def test_a_wait_that_the_org_asked_for_does_not_make_others_longer() -> None:
    """An hour for a quota says nothing about what is refused then."""
    assert backed_off(10, before=timedelta(hours=1), attempt_id=AttemptId("att_one")) == 10
    assert backed_off(10, before=LONGEST, attempt_id=AttemptId("att_one")) > 10
