"""Hand out a connection's access token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import structlog

from keyturn_core.salesforce.hosts import Origin, serves_api
from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import ConnectionInUse, TokenInForce
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import AuditLog, Clock, ServingReads, Uses
from keyturn_service.use_cases.admit import admit
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded, in_force

_MENDED_BY_AN_OPERATOR: Final = 60  # seconds: not sooner than somebody looks
_log = structlog.get_logger()


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """An access token on its way out, and for whom."""

    connection: ConnectionInUse
    tokens: TokenInForce
    api_key: ApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class GetAccessToken:
    """Check the key, find the token, renew it if need be, and record the read.

    A token that was read before is taken from memory, and the record of its read looks in the
    same moment whether nothing of it has changed: one trip instead of two, and no stale token.
    The caller will send the token to the instance URL that goes with it: to a My Domain, whatever
    the database says, or to one of `loopback`.
    """

    reads: ServingReads
    renew_if_needed: RenewIfNeeded
    audit: AuditLog
    uses: Uses
    clock: Clock
    loopback: frozenset[Origin]

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
        if rejected_generation is None:
            served = await self._remembered(connection_id, key_hash)
            if served is not None:
                return served
        serving = await self.reads.read(connection_id, key_hash=key_hash)
        now = self.clock.now()
        key, connection = admit(serving, Right.TOKENS_READ, now=now)
        connection, tokens = await self.renew_if_needed(
            connection,
            serving.tokens,
            ending=serving.ending,
            rejected_generation=rejected_generation,
        )
        if tokens is not serving.tokens:  # that took a while: the use may have been stopped
            serving = await self.reads.read(connection_id, key_hash=key_hash)
            now = self.clock.now()
            key, connection = admit(serving, Right.TOKENS_READ, now=now)
            tokens = in_force(
                connection, serving.tokens, ending=serving.ending, at_least=tokens.generation
            )
        served = await self._out(Served(connection=connection, tokens=tokens, api_key=key))
        await self.audit.record(_event("token.read", served, now))
        self.uses.note(connection.id, now)
        return served

    async def _remembered(self, connection_id: ConnectionId, key_hash: bytes) -> Served | None:
        """Return what is remembered, where the record of its read finds that it still stands.

        The record comes first, so it may tell of a token that is withheld: then a second one
        says so.
        """
        now = self.clock.now()
        serving = self.reads.recall(connection_id, key_hash=key_hash)
        if serving is None or serving.tokens is None or serving.basis is None:
            return None
        if not serving.tokens.serves(now):
            return None
        key, connection = admit(serving, Right.TOKENS_READ, now=now)
        served = await self._out(Served(connection=connection, tokens=serving.tokens, api_key=key))
        if await self.audit.record_on(_event("token.read", served, now), serving.basis):
            self.uses.note(connection.id, now)
            return served
        await self.audit.record(_event("token.withheld", served, now))
        return None

    async def _out(self, served: Served) -> Served:
        """See that the token is not sent by its reader to whoever can write the database."""
        origin = served.connection.instance_url
        if serves_api(origin) or origin in self.loopback:
            return served
        _log.error("host_serves_no_api", connection_id=served.connection.id, host=origin)
        await self.audit.record(_event("token.host_refused", served, self.clock.now()))
        raise ConnectionCannotServe("org_unavailable", retry_after=_MENDED_BY_AN_OPERATOR)


def _event(type_: str, served: Served, now: datetime) -> AuditEvent:
    return AuditEvent(
        type=type_,
        at=now,
        workspace_id=served.connection.workspace_id,
        actor=served.api_key.id,
        connection_id=served.connection.id,
        detail={"generation": served.tokens.generation},
    )
