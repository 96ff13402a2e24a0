"""`adapters.background.rounds`: rounds end when they are told to, and wait for their jobs."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from inspect import signature
from typing import Any

import pytest
from service.tests.support.fakes import FakeClock

from keyturn_service.adapters.background.rounds import Alarm, Rounds
from keyturn_service.domain.ids import RevocationId
from keyturn_service.ports import StoreUnavailable

ONE, TWO = RevocationId("rev_one"), RevocationId("rev_two")


async def turns(count: int) -> None:
    """Let the event loop go on."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("later", range(5))
async def test_who_is_woken_and_cancelled_at_once_ends(later: int) -> None:
    """A round is cancelled once, and waited for without an end: SIGTERM did nothing then."""
    alarm = Alarm()

    async def go_on() -> None:
        while True:
            await alarm.wait(60)

    going = asyncio.create_task(go_on())
    await turns(10)
    await alarm.revoke(ONE)
    await turns(later)
    going.cancel()
    await turns(10)

    assert going.cancelled()


async def test_a_wait_that_nobody_ends_is_over_in_time() -> None:
    """The next round finds by its due time what woke nobody."""
    await Alarm().wait(0.001)


class Due:
    """Two revocations that are due, once."""

    def __init__(self) -> None:
        self.due = [[ONE, TWO], []]

    async def claim_due(self, now: datetime, *, ttl: timedelta, limit: int) -> list[RevocationId]:
        """Return what is due."""
        del now, ttl, limit
        return self.due.pop(0)


async def test_a_job_that_fails_has_the_others_waited_for() -> None:
    """The round ends by that error, after the last of them: none goes on by itself."""
    ended = []

    async def revoke(revocation_id: RevocationId) -> None:
        if revocation_id == ONE:
            raise StoreUnavailable("away")
        await turns(5)
        ended.append(revocation_id)

    given: dict[str, Any] = dict.fromkeys(signature(Rounds).parameters)
    given |= {"revocations": Due(), "revoke_grant": revoke, "clock": FakeClock()}
    with pytest.raises(StoreUnavailable, match="away"):
        await Rounds(**given).revoke_due()

    assert ended == [TWO]
