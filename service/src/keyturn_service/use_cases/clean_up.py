"""Clean up what time has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.ids import ConnectSessionId
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
_FORGOTTEN_AT_ONCE: Final = 1000
_log = structlog.get_logger()
_IDEMPOTENCY_LIFE: Final = timedelta(hours=24)
_JOURNAL_LIFE: Final = timedelta(days=35)  # the longest age of a backup; design.md 5.9
_SESSION_LIFE: Final = 2 * _JOURNAL_LIFE  # a journal 35 days back may name those of such a backup


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """End overdue connect sessions, and forget what is over. Safe to run at any time.

    A session that cannot be ended now keeps nothing else from its end, and is tried again.
    """

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
        ended, after = 0, None
        while overdue := await self.sessions.overdue(now, after=after, limit=_AT_ONCE):
            for session in overdue:
                ended += await self._is_ended(session)
            after = _id(overdue[-1])  # however many cannot be ended, the others are reached
        await self.idempotency.purge(now - _IDEMPOTENCY_LIFE)
        await self.proxy_sessions.purge(now)
        await self.signing_keys.forget_retired(now - RETIRED_LIFE)
        await self.spool.purge(now - _JOURNAL_LIFE)
        await self._forget_sessions(now - _SESSION_LIFE)
        return ended

    async def _forget_sessions(self, created_before: datetime) -> None:
        some = _FORGOTTEN_AT_ONCE
        while some == _FORGOTTEN_AT_ONCE:
            some = await self.sessions.forget(
                created_before=created_before, limit=_FORGOTTEN_AT_ONCE
            )

    async def _is_ended(self, session: ConnectSession | ConnectSessionId) -> bool:
        try:
            await self._end(session)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be ended
            _log.warning(
                "connect_session_not_ended",
                connect_session_id=_id(session),
                error=type(error).__name__,
            )
            return False
        return True

    async def _end(self, session: ConnectSession | ConnectSessionId) -> None:
        """End a session; what was not confirmed is revoked at Salesforce."""
        if not isinstance(session, ConnectSession):
            await self.drop_unconfirmed.unreadable(session)
        elif session.status is SessionStatus.AWAITING_CONFIRMATION:
            await self.drop_unconfirmed(session)
        else:
            await self.sessions.replace(session.failed("session_expired"))


def _id(session: ConnectSession | ConnectSessionId) -> ConnectSessionId:
    return session.id if isinstance(session, ConnectSession) else session
