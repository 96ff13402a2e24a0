"""Disconnect a customer's org."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, ConnectionState
from keyturn_service.domain.errors import Conflict, NotFound
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import (
    AuditLog,
    Clock,
    Connections,
    RefreshLeases,
    RevocationReason,
    TokenStore,
    Waiting,
)
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.take_lease import take_lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """Stop serving at once, and end the grant at Salesforce in the background.

    It takes the refresh lease, so that no refresh brings a token after it looked.
    """

    connections: Connections
    store: TokenStore
    leases: RefreshLeases
    end_grant: EndGrant
    audit: AuditLog
    clock: Clock
    waiting: Waiting

    async def __call__(
        self, workspace_id: WorkspaceId, connection_id: ConnectionId, actor: str
    ) -> Connection:
        """Return the connection; it becomes `revoked` when Salesforce has ended the grant.

        Raises:
            NotFound: there is no such connection in the workspace.
            Conflict: it is not confirmed yet.
        """
        connection = await self.connections.get(workspace_id, connection_id)
        if connection is None:
            raise NotFound("connection")
        if connection.state is ConnectionState.REVOKED:
            return connection
        if connection.state is ConnectionState.PENDING:
            raise Conflict("connection_pending")
        await self.audit.record(
            AuditEvent(
                type="connection.disconnect_asked",
                at=self.clock.now(),
                workspace_id=workspace_id,
                actor=actor,
                connection_id=connection_id,
                detail={},
            )
        )
        lease = await take_lease(
            connection_id, leases=self.leases, clock=self.clock, waiting=self.waiting
        )
        try:
            loaded = await self.store.load(connection_id)
            tokens: list[AccessToken | RefreshToken] = []
            if loaded is not None:
                connection, token_set = loaded
                if token_set.refresh_token is not None:
                    tokens.append(token_set.refresh_token)
                tokens.append(token_set.access_token)
            await self.end_grant(
                connection, tokens, reason=RevocationReason.DISCONNECTED, ends_connection=True
            )
        finally:
            await self.leases.release(lease)
        return connection
