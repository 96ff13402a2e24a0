"""Hand out a connection's access token."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, TokenSet
from keyturn_service.domain.errors import Forbidden, NotFound, Unauthorized
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import AuditLog, Clock, ServingReads, Uses
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An access token on its way out, and for whom."""

    connection: Connection
    tokens: TokenSet
    api_key: ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class GetAccessToken:
    """Check the key, find the tokens, renew them if need be, and record the read."""

    reads: ServingReads
    renew_if_needed: RenewIfNeeded
    audit: AuditLog
    uses: Uses
    clock: Clock

    async def __call__(
        self,
        connection_id: ConnectionId,
        *,
        key_hash: bytes,
        rejected_generation: int | None = None,
    ) -> Served:
        """Return the access token; its read is durable by then.

        Raises:
            Unauthorized: the key opens nothing.
            Forbidden: it may not read tokens.
            NotFound: there is no such connection in its workspace.
            ConnectionCannotServe: no token serves; the code says why.
            AuditUnavailable: the read could not be recorded, so no token leaves.
        """
        serving = await self.reads.read(connection_id, key_hash=key_hash)
        now = self.clock.now()
        key, connection = serving.api_key, serving.connection
        if key is None or not key.valid_at(now):
            raise Unauthorized
        if Right.TOKENS_READ not in key.rights:
            raise Forbidden(Right.TOKENS_READ)
        if connection is None or connection.workspace_id != key.workspace_id:
            raise NotFound("connection")
        connection, tokens = await self.renew_if_needed(
            connection,
            serving.tokens,
            ending=serving.ending,
            rejected_generation=rejected_generation,
        )
        await self.audit.record(
            AuditEvent(
                type="token.read",
                at=now,
                workspace_id=connection.workspace_id,
                actor=key.id,
                connection_id=connection.id,
                detail={"generation": tokens.generation},
            )
        )
        self.uses.note(connection.id, now)
        return Served(connection=connection, tokens=tokens, api_key=key)
