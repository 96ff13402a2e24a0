"""Clean up what time has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.signing_key import RETIRED_LIFE
from keyturn_service.ports import (
    Clock,
    ConnectSessions,
    IdempotencyKeys,
    ProxySessions,
    SigningKeys,
    Spool,
)
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed

_AT_ONCE: Final = 200
_IDEMPOTENCY_LIFE: Final = timedelta(hours=24)
_JOURNAL_LIFE: Final = timedelta(days=35)  # the longest age of a backup; design.md 5.9


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """End overdue connect sessions, and forget what is over. Safe to run at any time."""

    sessions: ConnectSessions
    idempotency: IdempotencyKeys
    proxy_sessions: ProxySessions
    signing_keys: SigningKeys
    spool: Spool
    drop_unconfirmed: DropUnconfirmed
    clock: Clock

    async def __call__(self) -> int:
        """Return how many connect sessions were ended."""
        now = self.clock.now()
        overdue = await self.sessions.overdue(now, limit=_AT_ONCE)
        for session in overdue:
            await self._end(session)
        await self.idempotency.purge(now - _IDEMPOTENCY_LIFE)
        await self.proxy_sessions.purge(now)
        await self.signing_keys.forget_retired(now - RETIRED_LIFE)
        await self.spool.purge(now - _JOURNAL_LIFE)
        return len(overdue)

    async def _end(self, session: ConnectSession) -> None:
        """End a session; what was not confirmed is revoked at Salesforce."""
        if session.status is SessionStatus.AWAITING_CONFIRMATION:
            await self.drop_unconfirmed(session)
        else:
            await self.sessions.replace(session.failed("session_expired"))
