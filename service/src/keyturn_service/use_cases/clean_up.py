"""Clean up what time has ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.signing_key import RETIRED_LIFE
from keyturn_service.ports import (
    AuditLog,
    Clock,
    ConnectSessions,
    IdempotencyKeys,
    ProxySessions,
    RevocationReason,
    SigningKeys,
    Spool,
)
from keyturn_service.use_cases.end_grant import EndGrant

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
    end_grant: EndGrant
    audit: AuditLog
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
        expired = session.failed("session_expired")
        if session.status is not SessionStatus.AWAITING_CONFIRMATION:
            await self.sessions.replace(expired)
            return
        grant = await self.sessions.drop_pending(expired)
        if grant is None:
            return
        await self.audit.record(
            AuditEvent(
                type="connect_session.unconfirmed",
                at=self.clock.now(),
                workspace_id=session.workspace_id,
                actor="system",
                connection_id=session.connection_id,
                detail={"connect_session_id": session.id},
            )
        )
        tokens = [t for t in (grant.refresh_token, grant.access_token) if t is not None]
        await self.end_grant(
            grant, tokens, reason=RevocationReason.UNCONFIRMED, ends_connection=False
        )
