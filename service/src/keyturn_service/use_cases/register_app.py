"""Register an app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.scopes import Scope
from keyturn_service.domain.app import App
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import ID_BYTES, AppId, WorkspaceId, new_id
from keyturn_service.ports import Apps, AuditLog, Clock, Randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterApp:
    """Keep a new app of a workspace, without consumer credentials yet."""

    apps: Apps
    audit: AuditLog
    clock: Clock
    randomness: Randomness

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        actor: str,
        *,
        name: str,
        namespace: str | None,
        callback_urls: Sequence[str],
        return_origins: Sequence[str],
        scopes: frozenset[Scope],
        login_hosts: Mapping[Environment, Origin] | None = None,
        install_urls: Mapping[Environment, str] | None = None,
        allow_same_org: bool = False,
        start_url: str | None = None,
    ) -> App:
        """Return the app as it is kept."""
        now = self.clock.now()
        app = App(
            id=AppId(new_id("app", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=workspace_id,
            name=name,
            namespace=namespace,
            callback_urls=tuple(callback_urls),
            return_origins=tuple(return_origins),
            scopes=scopes,
            login_hosts={**LOGIN_HOSTS, **(login_hosts or {})},
            consumer_key=None,
            install_urls=dict(install_urls or {}),
            allow_same_org=allow_same_org,
            created_at=now,
            start_url=start_url,
        )
        await self.audit.record(
            AuditEvent(
                type="app.registered",
                at=now,
                workspace_id=workspace_id,
                actor=actor,
                detail={"app_id": app.id, "name": name},
            )
        )
        await self.apps.add(app)
        return app
