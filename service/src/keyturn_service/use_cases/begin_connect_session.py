"""Begin a connect session: one attempt of one customer to connect."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NoReturn

from keyturn_core.salesforce.hosts import Environment, HostRefused, Origin, read_my_domain
from keyturn_service.domain.app import App
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import (
    LINK_LIFE,
    ConnectSession,
    Delivery,
    SessionStatus,
)
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import Conflict, ConnectRefused, NotFound
from keyturn_service.domain.ids import (
    ID_BYTES,
    AppId,
    ConnectionId,
    ConnectSessionId,
    CustomerId,
    WorkspaceId,
    new_id,
)
from keyturn_service.ports import (
    Apps,
    AuditLog,
    Clock,
    Connections,
    ConnectSessions,
    KeyedHash,
    Randomness,
)
from keyturn_service.use_cases.choose_app import choose_app

_LINK_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginConnectSession:
    """Make a link that lets one browser connect one customer's org, once."""

    sessions: ConnectSessions
    connections: Connections
    apps: Apps
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    randomness: Randomness
    loopback: frozenset[Origin]

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        actor: str,
        *,
        customer_id: CustomerId,
        return_url: str,
        app_id: AppId | None,
        environment: Environment | None,
        my_domain: str | None,
        delivery: Delivery,
        connection_id: ConnectionId | None,
        origin: str,
        life: timedelta = LINK_LIFE,
    ) -> tuple[ConnectSession, str]:
        """Return the session and its link; the link can be had only now.

        `origin` is the face of this service that the call came by: the link stays on it.
        `life` is how long the link can be used.

        Raises:
            NotFound: there is no such app or connection in the workspace.
            Conflict: the app must be named, or the connection cannot be reauthorized.
            ConnectRefused: the return URL or the host is refused.
        """
        app = await choose_app(self.apps, workspace_id, app_id)
        if not app.accepts_return_url(return_url):
            await self._refuse(workspace_id, actor, "return_url_refused", connection_id)
        login_url = None
        if my_domain is not None:
            try:
                login_url = read_my_domain(my_domain, loopback=self.loopback)
            except HostRefused:
                await self._refuse(workspace_id, actor, "host_refused", connection_id)
        if connection_id is not None:
            await self._check_reauthorization(workspace_id, connection_id, customer_id, app)
        now = self.clock.now()
        secret = _text(self.randomness.token_bytes(_LINK_BYTES))
        session = ConnectSession(
            id=ConnectSessionId(new_id("cs", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=workspace_id,
            app_id=app.id,
            customer_id=customer_id,
            return_url=return_url,
            delivery=delivery,
            environment=environment,
            login_url=login_url,
            reauthorizes=connection_id,
            origin=origin,
            link_hash=self.hashes("connect_link", secret),
            status=SessionStatus.OPEN,
            created_at=now,
            expires_at=now + life,
            authorization=None,
            org_id=None,
            org_name=None,
            user=None,
            confirmation_hash=None,
            confirmation_expires_at=None,
            connection_id=None,
            problem=None,
            version=1,
        )
        await self.audit.record(
            AuditEvent(
                type="connect_session.created",
                at=now,
                workspace_id=workspace_id,
                actor=actor,
                connection_id=connection_id,
                detail={"connect_session_id": session.id, "customer_id": customer_id},
            )
        )
        await self.sessions.add(session)
        return session, f"{origin}/connect/{secret}"

    async def _refuse(
        self, workspace_id: WorkspaceId, actor: str, code: str, connection_id: ConnectionId | None
    ) -> NoReturn:
        await self.audit.record(
            AuditEvent(
                type="connect_session.refused",
                at=self.clock.now(),
                workspace_id=workspace_id,
                actor=actor,
                connection_id=connection_id,
                detail={"about": "not begun", "problem": code},
            )
        )
        raise ConnectRefused(code)

    async def _check_reauthorization(
        self,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        customer_id: CustomerId,
        app: App,
    ) -> None:
        connection = await self.connections.get(workspace_id, connection_id)
        if connection is None or connection.customer_id != customer_id:
            raise NotFound("connection")
        if connection.app_id != app.id or connection.state is ConnectionState.PENDING:
            raise Conflict("connection_pending")
        if connection.state is ConnectionState.REVOKED:
            raise Conflict("connection_revoked")


def _text(random: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()
