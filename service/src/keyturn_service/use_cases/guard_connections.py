"""Keep connections alive that nobody uses, and tell of those that will end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, Renewal
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.signing_key import active_key
from keyturn_service.ports import AuditLog, Clock, Connections, Seals, SigningKeys
from keyturn_service.use_cases.refresh_tokens import RefreshTokens

AT_ONCE: Final = 16
_CLAIM: Final = timedelta(seconds=30)  # a replica that dies is replaced after this
_AGAIN: Final = timedelta(hours=1)  # after a refresh that did not succeed
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardConnections:
    """The idle guardian: refresh what is due, and announce ends 30, 7 and 1 day ahead.

    Safe to run at any time and on every replica: who is late finds the generation replaced.
    Under the seal nothing is refreshed.
    """

    connections: Connections
    keys: SigningKeys
    seals: Seals
    refresh: RefreshTokens
    audit: AuditLog
    clock: Clock
    patience: float = 25.0  # seconds for one connection, less than its claim; others wait for it

    async def __call__(self) -> int:
        """Return how many connections were looked at."""
        looked = 0
        while await self.seals.current() is None:
            now = self.clock.now()
            due = await self.connections.claim_due(now, ttl=_CLAIM, limit=AT_ONCE)
            if not due:
                return looked
            await asyncio.gather(*(self._look_after(one, claim, now) for one, claim in due))
            looked += len(due)
        return looked

    async def _look_after(self, connection: Connection, claim: datetime, now: datetime) -> None:
        try:
            ends = await self._certificate_ends(connection)
            connection = await self._warned(connection, now, ends)
            due = connection.refresh_due()
            if due is not None and due <= now:
                generation = connection.generation
                connection = await self._refreshed(connection)
                if connection.generation > generation:
                    return  # it came with a time of its own
            due = _next(connection.due_by(certificate_ends=ends), now)
            await self.connections.looked_after(connection, claim=claim, due_at=due)
        except Exception as error:  # noqa: BLE001 - the others go on; it is due when the claim ends
            _log.warning(
                "connection_not_guarded", connection_id=connection.id, error=type(error).__name__
            )

    async def _refreshed(self, connection: Connection) -> Connection:
        """Return the connection as it stands after one try to refresh it.

        One that takes too long goes on by itself, and is looked at again like one that failed.
        """
        try:
            async with asyncio.timeout(self.patience):
                renewed, _ = await self.refresh(connection.id, refused=connection.generation)
        except (ConnectionCannotServe, TimeoutError) as refusal:
            code = getattr(refusal, "code", "too_slow")
            _log.info("not_kept_alive", connection_id=connection.id, code=code)
            found = await self.connections.get(connection.workspace_id, connection.id)
            return found or connection
        return renewed

    async def _certificate_ends(self, connection: Connection) -> datetime | None:
        """Return when the certificate ends that the connection hangs on."""
        if connection.renewal is not Renewal.JWT_BEARER:
            return None
        key = active_key(await self.keys.list(connection.workspace_id, connection.app_id))
        return None if key is None else key.not_after

    async def _warned(
        self, connection: Connection, now: datetime, certificate_ends: datetime | None
    ) -> Connection:
        """Tell the owner, once for all warnings that are due, and keep that at once.

        The refresh that may follow ends the claim, and so may the vendor: a warning that is still
        due then would be given again by whoever looks next.
        """
        ends, because = connection.dies(certificate_ends=certificate_ends)
        warnings = connection.warnings(certificate_ends=certificate_ends)
        if ends is None or not any(moment <= now for moment in warnings):
            return connection
        await self.audit.record(
            AuditEvent(
                type="connection.dies_soon",
                at=now,
                workspace_id=connection.workspace_id,
                actor="system",
                connection_id=connection.id,
                detail={"dies_at": ends.isoformat(), "dies_because": because},
            )
        )
        await self.connections.set_warned(connection.id, now)
        return replace(connection, warned_at=now)


def _next(due: datetime | None, now: datetime) -> datetime | None:
    """Return when to look again; what is still due has been tried just now."""
    return due if due is None else max(due, now + _AGAIN)
