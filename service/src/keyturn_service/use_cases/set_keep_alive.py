"""Say whether a connection is kept alive."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import AuditLog, Clock, Connections


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKeepAlive:
    """Keep a connection alive while idle, or let it die."""

    connections: Connections
    audit: AuditLog
    clock: Clock

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        actor: str,
        *,
        keep_alive: bool,
    ) -> Connection:
        """Return the connection as it stands now.

        Raises:
            NotFound: there is no such connection in the workspace.
        """
        connection = await self.connections.get(workspace_id, connection_id)
        if connection is None:
            raise NotFound("connection")
        await self.audit.record(
            AuditEvent(
                type="connection.keep_alive_set",
                at=self.clock.now(),
                workspace_id=workspace_id,
                actor=actor,
                connection_id=connection_id,
                detail={"keep_alive": keep_alive},
            )
        )
        await self.connections.set_keep_alive(
            connection_id, keep_alive=keep_alive, now=self.clock.now()
        )
        return replace(connection, keep_alive=keep_alive)
