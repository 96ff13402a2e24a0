"""`use_cases.forget_attempts`: an attempt goes seventy days after its end, of however many."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from service.tests.support.fakes import FakeClock
from service.tests.support.values import START

from keyturn_service.ports import TokenStore
from keyturn_service.use_cases.forget_attempts import ForgetAttempts


class Store:
    """Attempts that are over, by number."""

    def __init__(self, over: int) -> None:
        self.over = over
        self.asked: list[tuple[datetime, int]] = []

    async def forget_attempts(self, *, ended_before: datetime, limit: int) -> int:
        """Remove as many as are asked for."""
        self.asked.append((ended_before, limit))
        some = min(self.over, limit)
        self.over -= some
        return some


async def test_what_ended_seventy_days_ago_goes_a_thousand_at_once() -> None:
    """A full thousand may have left some."""
    store = Store(2500)
    forget = ForgetAttempts(store=cast("TokenStore", store), clock=FakeClock())

    assert await forget() == 2500

    assert store.asked == [(START - timedelta(days=70), 1000)] * 3


async def test_it_ends_where_nothing_is_left() -> None:
    """Also after a full thousand."""
    store = Store(1000)
    forget = ForgetAttempts(store=cast("TokenStore", store), clock=FakeClock())

    assert await forget() == 1000
    assert len(store.asked) == 2
    assert await forget() == 0
    assert len(store.asked) == 3
