"""Have a grant ended at Salesforce."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection
from keyturn_service.domain.ids import (
    ID_BYTES,
    AppId,
    ConnectionId,
    RevocationId,
    WorkspaceId,
    new_id,
)
from keyturn_service.ports import (
    AuditLog,
    Background,
    Clock,
    PendingGrant,
    Randomness,
    Revocation,
    RevocationReason,
    Revocations,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndGrant:
    """Keep a revocation as a job that is tried until it is done, and start it."""

    revocations: Revocations
    background: Background
    audit: AuditLog
    clock: Clock
    randomness: Randomness

    async def __call__(
        self,
        of: Connection | PendingGrant,
        tokens: Sequence[AccessToken | RefreshToken],
        *,
        reason: RevocationReason,
        ends_connection: bool,
    ) -> None:
        """Keep the job with its tokens; where it ends the connection, that serves no more."""
        connection_id = of.id if isinstance(of, Connection) else of.connection_id
        await self.of_host(
            of.login_url,
            tokens,
            workspace_id=of.workspace_id,
            connection_id=connection_id,
            app_id=of.app_id,
            reason=reason,
            ends_connection=ends_connection,
        )

    async def of_host(
        self,
        login_url: Origin,
        tokens: Sequence[AccessToken | RefreshToken],
        *,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        app_id: AppId,
        reason: RevocationReason,
        ends_connection: bool,
    ) -> None:
        """Keep the job for a grant that became no connection."""
        now = self.clock.now()
        revocation = Revocation(
            id=RevocationId(new_id("rev", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=workspace_id,
            connection_id=connection_id,
            login_url=login_url,
            reason=reason,
            ends_connection=ends_connection,
            attempts=0,
            due_at=now,
        )
        await self.audit.record(
            AuditEvent(
                type="grant.revocation_asked",
                at=now,
                workspace_id=workspace_id,
                actor="system",
                connection_id=connection_id,
                detail={"revocation_id": revocation.id, "reason": reason, "app_id": app_id},
            )
        )
        await self.revocations.add(revocation, tokens)
        await self.background.revoke(revocation.id)
