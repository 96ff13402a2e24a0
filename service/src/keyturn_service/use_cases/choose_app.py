"""Find the app that a customer connects with."""

from __future__ import annotations

from keyturn_service.domain.app import App
from keyturn_service.domain.errors import Conflict, NotFound
from keyturn_service.domain.ids import AppId, WorkspaceId
from keyturn_service.ports import Apps


async def choose_app(apps: Apps, workspace_id: WorkspaceId, app_id: AppId | None) -> App:
    """Return the app that is named, or the only one.

    Raises:
        NotFound: there is no such app in the workspace, or none at all.
        Conflict: `app_required`, where there are several and none is named.
    """
    if app_id is not None:
        app = await apps.get(workspace_id, app_id)
        if app is None:
            raise NotFound("app")
        return app
    known = await apps.list(workspace_id)
    if not known:
        raise NotFound("app")
    if len(known) > 1:
        raise Conflict("app_required")
    return known[0]
