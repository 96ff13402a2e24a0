"""Delete an API key."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import ApiKeyId, WorkspaceId
from keyturn_service.ports import ApiKeys, AuditLog, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteApiKey:
    """End an API key, and the proxy sessions opened with it."""

    keys: ApiKeys
    audit: AuditLog
    clock: Clock

    async def __call__(self, workspace_id: WorkspaceId, key_id: ApiKeyId, actor: str) -> None:
        """End the key.

        Raises:
            NotFound: there is no such key in the workspace, or no more.
        """
        now = self.clock.now()
        if not await self.keys.delete(workspace_id, key_id, at=now):
            raise NotFound("api_key")
        await self.audit.record(
            AuditEvent(
                type="api_key.deleted",
                at=now,
                workspace_id=workspace_id,
                actor=actor,
                detail={"api_key_id": key_id},
            )
        )
