"""Find a connect session as it stands now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import ConnectSessionId, WorkspaceId
from keyturn_service.ports import Clock, ConnectSessions


@dataclass(frozen=True, slots=True, kw_only=True)
class FindConnectSession:
    """Follow a connect session."""

    sessions: ConnectSessions
    clock: Clock

    async def __call__(
        self, workspace_id: WorkspaceId, session_id: ConnectSessionId
    ) -> ConnectSession:
        """Return the session, ended by time where its time is over.

        Raises:
            NotFound: there is no such session in the workspace.
        """
        session = await self.sessions.get(workspace_id, session_id)
        if session is None:
            raise NotFound("connect_session")
        return ended_by_time(session, self.clock)


def ended_by_time(session: ConnectSession, clock: Clock) -> ConnectSession:
    """Return the session as `expired` where its time is over."""
    status = session.status_at(clock.now())
    if status is session.status:
        return session
    return replace(session, status=SessionStatus.EXPIRED, problem="session_expired")
