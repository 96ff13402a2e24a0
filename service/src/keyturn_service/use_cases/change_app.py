"""Change an app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.scopes import Scope
from keyturn_service.domain.app import App
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import AppId, WorkspaceId
from keyturn_service.ports import Apps, AuditLog, Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeApp:
    """Change what is given of an app; what is None stays."""

    apps: Apps
    audit: AuditLog
    clock: Clock

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        app_id: AppId,
        actor: str,
        *,
        name: str | None = None,
        namespace: str | None = None,
        callback_urls: Sequence[str] | None = None,
        return_origins: Sequence[str] | None = None,
        scopes: frozenset[Scope] | None = None,
        login_hosts: Mapping[Environment, Origin] | None = None,
        install_urls: Mapping[Environment, str] | None = None,
        allow_same_org: bool | None = None,
        start_url: str | None = None,
    ) -> App:
        """Return the app as it stands now.

        Raises:
            NotFound: there is no such app in the workspace.
        """
        app = await self.apps.get(workspace_id, app_id)
        if app is None:
            raise NotFound("app")
        asked: dict[str, Any] = {
            "name": name,
            "namespace": namespace,
            "callback_urls": None if callback_urls is None else tuple(callback_urls),
            "return_origins": None if return_origins is None else tuple(return_origins),
            "scopes": scopes,
            "login_hosts": None if login_hosts is None else {**app.login_hosts, **login_hosts},
            "install_urls": None if install_urls is None else dict(install_urls),
            "allow_same_org": allow_same_org,
            "start_url": start_url,
        }
        changes = {field: value for field, value in asked.items() if value is not None}
        changed = replace(app, **changes)
        await self.audit.record(
            AuditEvent(
                type="app.changed",
                at=self.clock.now(),
                workspace_id=workspace_id,
                actor=actor,
                detail={"app_id": app_id, "fields": " ".join(sorted(changes))},
            )
        )
        await self.apps.replace(changed)
        return changed
