"""See that deleted API keys stay deleted."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.ports import ApiKeys, AuditLog, Clock

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndKeysAgain:
    """End API keys whose deletion is on record and whose rows somebody put back.

    Such a row is whole, with a code that holds; only the audit knows that it is over. A deletion
    is recorded after it was committed, so a record without it cannot be.
    """

    keys: ApiKeys
    audit: AuditLog
    clock: Clock

    async def __call__(self) -> int:
        """Return how many were ended. Several replicas may look at once: one of them records.

        Raises:
            StoreUnavailable: the database does not answer.
            AuditUnavailable: a key was ended, but that could not be recorded.
        """
        ended = 0
        for workspace_id, key_id in await self.keys.brought_back():
            now = self.clock.now()
            if not await self.keys.delete(workspace_id, key_id, at=now):
                continue
            ended += 1
            _log.error("api_key_brought_back", workspace_id=workspace_id)
            await self.audit.record(
                AuditEvent(
                    type="api_key.brought_back",
                    at=now,
                    workspace_id=workspace_id,
                    actor="system",
                    detail={"api_key_id": key_id},
                )
            )
        return ended
