"""Open the link of a connect session."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.app import App
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.errors import ConnectRefused, NotFound
from keyturn_service.ports import Apps, AuditLog, Clock, ConnectSessions, KeyedHash
from keyturn_service.use_cases.find_connect_session import FindConnectSession

_OPENABLE = frozenset({SessionStatus.OPEN, SessionStatus.AUTHORIZING})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLink:
    """Find the session that a link names. Opening does not use the link up.

    Mail scanners open links; only pressing Connect binds the session to a browser.
    """

    sessions: ConnectSessions
    apps: Apps
    find: FindConnectSession
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock

    async def __call__(self, link_secret: str) -> tuple[ConnectSession, App]:
        """Return the session and its app.

        Raises:
            NotFound: no session has this link.
            ConnectRefused: `session_expired`: it was used, or its time is over.
        """
        found = await self.sessions.by_link(self.hashes("connect_link", link_secret))
        if found is None:
            raise NotFound("connect_session")
        session = await self.find(found.workspace_id, found.id)
        if session.status not in _OPENABLE:
            raise ConnectRefused("session_expired")
        app = await self.apps.get(session.workspace_id, session.app_id)
        if app is None:
            raise NotFound("app")
        return session, app

    async def note_taken(self, session: ConnectSession) -> None:
        """Record that a browser opened a link on which another one had pressed Connect."""
        await self.audit.record(
            AuditEvent(
                type="connect_session.refused",
                at=self.clock.now(),
                workspace_id=session.workspace_id,
                actor="user",
                connection_id=session.reauthorizes,
                detail={
                    "connect_session_id": session.id,
                    "about": "another browser opened the link",
                },
            )
        )
