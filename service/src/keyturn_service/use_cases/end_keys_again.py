"""See that deleted API keys stay deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

import structlog

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import ApiKeyId, WorkspaceId
from keyturn_service.ports import ApiKeys, AuditLog, Clock

_UNDER_WAY: Final = timedelta(minutes=1)  # until then who deleted it may still be recording that
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndKeysAgain:
    """End API keys whose deletion is on record and whose rows somebody put back.

    Such a row is whole, with a code that holds; only the audit knows that it is over. So each
    deletion has to be on record: one whose record was lost with a process or an audit that was
    away is recorded here.
    """

    keys: ApiKeys
    audit: AuditLog
    clock: Clock

    async def __call__(self) -> int:
        """Return how many were ended. Of several replicas that look at once each may record it.

        Raises:
            StoreUnavailable: the database does not answer.
            AuditUnavailable: nothing more could be recorded, and nothing more was ended.
        """
        now = self.clock.now()
        found = await self.keys.against_records(deleted_before=now - _UNDER_WAY)
        for workspace_id, key_id in found.unrecorded:
            await self._record("api_key.deleted", workspace_id, key_id, "its record is missing")
        for workspace_id, key_id in found.brought_back:
            _log.error("api_key_brought_back", workspace_id=workspace_id)
            await self._record("api_key.brought_back", workspace_id, key_id, "its row was put back")
            await self.keys.delete(workspace_id, key_id, at=now)
        return len(found.brought_back)

    async def _record(
        self,
        type_: Literal["api_key.deleted", "api_key.brought_back"],
        workspace_id: WorkspaceId,
        key_id: ApiKeyId,
        because: str,
    ) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=workspace_id,
                actor="system",
                detail={"api_key_id": key_id, "because": because},
            )
        )
