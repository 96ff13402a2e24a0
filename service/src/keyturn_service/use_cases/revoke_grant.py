"""End a grant at Salesforce."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn_core.errors import CoreError
from keyturn_core.oauth.revocation import read_revocation_answer, revocation_request
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import RevocationId
from keyturn_service.ports import (
    AuditLog,
    Clock,
    OrgUnreachable,
    Revocation,
    Revocations,
    TokenEndpoint,
)

CLAIM: Final = timedelta(seconds=30)  # a replica that dies is replaced after this
_LONGEST_PAUSE: Final = timedelta(hours=1)
REVOKE_PATH: Final = "/services/oauth2/revoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeGrant:
    """Carry out one revocation job; safe to run again."""

    revocations: Revocations
    endpoint: TokenEndpoint
    audit: AuditLog
    clock: Clock
    calls_seconds: float = 25.0  # all calls of a job end within a claim

    async def __call__(self, revocation_id: RevocationId) -> bool:
        """Revoke the job's tokens at Salesforce; True when the job is over.

        A token that Salesforce does not know any more counts as revoked.
        """
        opened = await self.revocations.open(revocation_id)
        if opened is None:
            return True
        revocation, tokens = opened
        try:
            async with asyncio.timeout(self.calls_seconds):
                for token in tokens:
                    body = revocation_request(token)
                    answer = await self.endpoint.post(revocation.login_url, REVOKE_PATH, body)
                    read_revocation_answer(answer)
        except (OrgUnreachable, TimeoutError, CoreError):
            await self._postpone(revocation)
            return False
        await self.revocations.done(revocation, problem=None)
        await self._note(revocation, "grant.revoked")
        return True

    async def _postpone(self, revocation: Revocation) -> None:
        pause = min(timedelta(seconds=2 ** min(revocation.attempts, 12)), _LONGEST_PAUSE)
        await self.revocations.postpone(revocation, due_at=self.clock.now() + pause)
        await self._note(revocation, "grant.revocation_postponed")

    async def _note(self, revocation: Revocation, type_: str) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=revocation.workspace_id,
                actor="system",
                connection_id=revocation.connection_id,
                detail={
                    "revocation_id": revocation.id,
                    "reason": revocation.reason,
                    "attempts": revocation.attempts + 1,
                },
            )
        )
