"""End a connect session whose grant nobody confirmed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import ConnectSession
from keyturn_service.ports import AuditLog, Clock, ConnectSessions, SealRefused
from keyturn_service.use_cases.end_grant import EndGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class DropUnconfirmed:
    """End the session, and have its grant revoked at Salesforce: both are kept, or neither."""

    sessions: ConnectSessions
    end_grant: EndGrant
    audit: AuditLog
    clock: Clock

    async def __call__(self, session: ConnectSession, problem: str = "session_expired") -> bool:
        """End a session that waits for its confirmation; False where somebody was first."""
        job = None
        with contextlib.suppress(SealRefused):  # nobody can put it in force, or end it, any more
            grant = await self.sessions.pending_grant(session.id)
            job = None if grant is None else self.end_grant.unconfirmed(grant)
        ended = session.failed(problem)
        if not await self.sessions.drop_pending(ended, unconfirmed=job):
            return False
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
        if job is not None:
            await self.end_grant.started(job, session.app_id)
        return True
