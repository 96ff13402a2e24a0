"""Have a grant ended at Salesforce."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, TokenSet
from keyturn_service.domain.ids import (
    ID_BYTES,
    AppId,
    ConnectionId,
    RevocationId,
    WorkspaceId,
    new_id,
)
from keyturn_service.domain.incident import Because
from keyturn_service.ports import (
    AuditLog,
    AuditUnavailable,
    Background,
    Clock,
    PendingGrant,
    Randomness,
    Revocation,
    RevocationReason,
    Revocations,
    ToRevoke,
)

_log = structlog.get_logger()


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
        tokens: Sequence[AccessToken | RefreshToken] | None,
        *,
        reason: RevocationReason,
        ends_connection: bool,
    ) -> None:
        """Keep the job with its tokens; where it ends the connection, that serves no more.

        None: they do not open. The job is over at once then, and an admin has to end the grant.
        """
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
        tokens: Sequence[AccessToken | RefreshToken] | None,
        *,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        app_id: AppId,
        reason: RevocationReason,
        ends_connection: bool,
    ) -> None:
        """Keep the job for a grant that became no connection."""
        revocation = self._revocation(
            login_url, workspace_id, connection_id, reason, ends_connection=ends_connection
        )
        type_, detail = _told(revocation, tokens)
        await self._note(revocation, app_id, type_, **detail)
        await self.revocations.add(revocation, tokens)
        if tokens is not None:
            await self.background.revoke(revocation.id)

    def superseded(self, before: Connection, tokens: TokenSet | None) -> ToRevoke:
        """Return the job that is to be kept with what takes the place of these tokens.

        Kept later, it would be lost with whoever dies in between, and the grant never ended.
        None: they do not open. `started` follows.
        """
        revocation = self._revocation(
            before.login_url, before.workspace_id, before.id, RevocationReason.SUPERSEDED
        )
        if tokens is None:
            return ToRevoke(revocation=revocation, tokens=None)
        token = tokens.refresh_token or tokens.access_token
        return ToRevoke(revocation=revocation, tokens=[token])

    def unconfirmed(self, grant: PendingGrant) -> ToRevoke:
        """Return the job that is to be kept with the end of a grant's session, as `superseded`."""
        revocation = self._revocation(
            grant.login_url,
            grant.workspace_id,
            grant.connection_id,
            RevocationReason.UNCONFIRMED,
        )
        tokens = [t for t in (grant.refresh_token, grant.access_token) if t is not None]
        return ToRevoke(revocation=revocation, tokens=tokens)

    def _revocation(
        self,
        login_url: Origin,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        reason: RevocationReason,
        *,
        ends_connection: bool = False,
    ) -> Revocation:
        return Revocation(
            id=RevocationId(new_id("rev", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=workspace_id,
            connection_id=connection_id,
            login_url=login_url,
            reason=reason,
            ends_connection=ends_connection,
            attempts=0,
            due_at=self.clock.now(),
        )

    async def started(self, job: ToRevoke, app_id: AppId) -> None:
        """Record and start a job that is kept.

        What it belongs to is done by then, so a record that fails is logged and stops nothing:
        the job is found by its due time.
        """
        revocation = job.revocation
        type_, detail = _told(revocation, job.tokens)
        try:
            await self._note(revocation, app_id, type_, **detail)
        except AuditUnavailable:
            _log.warning("revocation_not_recorded", revocation_id=revocation.id, event_type=type_)
        if job.tokens is not None:
            await self.background.revoke(revocation.id)

    async def _note(self, revocation: Revocation, app_id: AppId, type_: str, **detail: str) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=revocation.workspace_id,
                actor="system",
                connection_id=revocation.connection_id,
                detail={"revocation_id": revocation.id, **detail, "app_id": app_id},
            )
        )


def _told(
    revocation: Revocation, tokens: Sequence[AccessToken | RefreshToken] | None
) -> tuple[str, dict[str, str]]:
    """Return what the trail says of a new job."""
    if tokens is None:
        return "grant.left_to_admin", {"because": str(Because.DOES_NOT_OPEN)}
    return "grant.revocation_asked", {"reason": str(revocation.reason)}
