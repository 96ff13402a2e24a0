"""Stop all use of tokens on all replicas, and allow it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.ports import AuditLog, Clock, Seals, ServiceSeal


@dataclass(frozen=True, slots=True, kw_only=True)
class SealService:
    """Put the seal on and take it off.

    It is put on before that is recorded, and taken off after: where the audit cannot be
    written, stopping works and going on does not. Who asks again is recorded too, for nobody
    knows whether the first time was: each record says of which seal it is.
    """

    seals: Seals
    audit: AuditLog
    clock: Clock

    async def current(self) -> ServiceSeal | None:
        """Return the seal in force."""
        return await self.seals.current()

    async def put_on(self, actor: str, reason: str) -> tuple[ServiceSeal, bool]:
        """Return the seal in force, and whether it was put on just now.

        Raises:
            AuditUnavailable: it is on, but that could not be recorded.
        """
        seal = ServiceSeal(sealed_at=self.clock.now(), reason=reason)
        new = await self.seals.put_on(seal)
        if not new:
            seal = await self.seals.current() or seal
        await self._record(actor, "service.sealed", seal)
        return seal, new

    async def take_off(self, actor: str) -> ServiceSeal | None:
        """Return the seal that was taken off; None where none was on.

        Raises:
            AuditUnavailable: it could not be recorded, so the seal is still on.
        """
        seal = await self.seals.current()
        if seal is None:
            return None
        await self._record(actor, "service.unsealed", seal)
        await self.seals.take_off(at=self.clock.now())
        return seal

    async def _record(
        self, actor: str, type_: Literal["service.sealed", "service.unsealed"], seal: ServiceSeal
    ) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=None,
                actor=actor,
                detail={"reason": seal.reason, "sealed_at": seal.sealed_at.isoformat()},
            )
        )
