"""Disconnect a customer's org."""

from __future__ import annotations

from collections.abc import Sequence
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
    SealRefused,
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

        Where its tokens do not open it is so at once, and the grant is left to an admin.

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
            tokens = await self._tokens(connection_id)
            await self.end_grant(
                connection,
                tokens,
                reason=RevocationReason.DISCONNECTED,
                ends_connection=True,
            )
        finally:
            await self.leases.release(lease)
        if tokens is None:
            return await self.connections.get(workspace_id, connection_id) or connection
        return connection

    async def _tokens(
        self, connection_id: ConnectionId
    ) -> Sequence[AccessToken | RefreshToken] | None:
        """Return what is to be revoked; None where it does not open."""
        try:
            loaded = await self.store.load(connection_id)
        except SealRefused:
            return None
        if loaded is None:
            return []
        tokens = (loaded[1].refresh_token, loaded[1].access_token)
        return [token for token in tokens if token is not None]
