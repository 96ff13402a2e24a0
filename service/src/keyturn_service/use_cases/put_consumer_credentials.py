"""Put an app's consumer key and secret into the vault."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_core.secrets import ConsumerSecret
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import AppId, WorkspaceId
from keyturn_service.ports import Apps, AuditLog, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class PutConsumerCredentials:
    """Seal the consumer credentials; they are never read back over the API."""

    apps: Apps
    audit: AuditLog
    clock: Clock

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        app_id: AppId,
        actor: str,
        *,
        consumer_key: str,
        consumer_secret: ConsumerSecret,
    ) -> None:
        """Keep the credentials in place of what was there.

        Raises:
            NotFound: there is no such app in the workspace.
        """
        app = await self.apps.get(workspace_id, app_id)
        if app is None:
            raise NotFound("app")
        await self.audit.record(
            AuditEvent(
                type="app.consumer_credentials_put",
                at=self.clock.now(),
                workspace_id=workspace_id,
                actor=actor,
                detail={"app_id": app_id, "replaced": app.consumer_key is not None},
            )
        )
        await self.apps.put_consumer_credentials(
            app, consumer_key=consumer_key, consumer_secret=consumer_secret
        )
