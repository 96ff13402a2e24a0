"""End a connect session whose grant nobody confirmed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import structlog

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import ConnectSession
from keyturn_service.domain.ids import AppId, ConnectionId, ConnectSessionId, WorkspaceId
from keyturn_service.ports import (
    AuditLog,
    AuditUnavailable,
    Clock,
    ConnectSessions,
    SealRefused,
    ToRevoke,
)
from keyturn_service.use_cases.end_grant import EndGrant

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DropUnconfirmed:
    """End the session, and have its grant revoked at Salesforce: both are kept, or neither."""

    sessions: ConnectSessions
    end_grant: EndGrant
    audit: AuditLog
    clock: Clock

    async def __call__(self, session: ConnectSession, problem: str = "session_expired") -> bool:
        """End a session that waits for its confirmation; False where somebody was first."""
        job, _ = await self._job(session.id)
        if not await self.sessions.drop_pending(session.failed(problem), unconfirmed=job):
            return False
        await self._note(session.id, session.workspace_id, session.connection_id)
        if job is not None:
            await self.end_grant.started(job, session.app_id)
        return True

    async def unreadable(self, session_id: ConnectSessionId) -> bool:
        """End a session of which only the grant can be read; False where somebody was first."""
        job, app_id = await self._job(session_id)
        if not await self.sessions.abandon(session_id, unconfirmed=job):
            return False
        if job is not None and app_id is not None:
            of = job.revocation
            await self._note(session_id, of.workspace_id, of.connection_id)
            await self.end_grant.started(job, app_id)
        return True

    async def _job(self, session_id: ConnectSessionId) -> tuple[ToRevoke | None, AppId | None]:
        """Return what ends the session's grant, and its app."""
        with contextlib.suppress(SealRefused):  # nobody can put it in force, or end it, any more
            grant = await self.sessions.pending_grant(session_id)
            if grant is not None:
                return self.end_grant.unconfirmed(grant), grant.app_id
        return None, None

    async def _note(
        self,
        session_id: ConnectSessionId,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId | None,
    ) -> None:
        """Record what is done by now: a record that fails is logged and stops nothing."""
        event = AuditEvent(
            type="connect_session.unconfirmed",
            at=self.clock.now(),
            workspace_id=workspace_id,
            actor="system",
            connection_id=connection_id,
            detail={"connect_session_id": session_id},
        )
        try:
            await self.audit.record(event)
        except AuditUnavailable:
            _log.warning("unconfirmed_not_recorded", connect_session_id=session_id)
