"""Forget attempts that nobody will ask about any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn_service.ports import Clock, TokenStore

_AT_ONCE: Final = 1000
_ATTEMPT_LIFE: Final = timedelta(days=70)  # a backup of 35 days, with the journal's 35 before it


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetAttempts:
    """Remove the attempts of generations that are long over. Safe to run at any time.

    There is one for each refresh, so a service that keeps connections alive would collect them
    without end.
    """

    store: TokenStore
    clock: Clock

    async def __call__(self) -> int:
        """Return how many were removed."""
        before = self.clock.now() - _ATTEMPT_LIFE
        removed, some = 0, _AT_ONCE
        while some == _AT_ONCE:
            some = await self.store.forget_attempts(ended_before=before, limit=_AT_ONCE)
            removed += some
        return removed
