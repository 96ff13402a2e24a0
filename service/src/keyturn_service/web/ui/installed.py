"""Where a package's install leads on to: back to the open connect page, or into the product."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from keyturn_service.domain.app import App
from keyturn_service.domain.errors import ConnectRefused, NotFound
from keyturn_service.domain.ids import AppId
from keyturn_service.web.ui.cookies import browser_of, link_of
from keyturn_service.web.ui.pages import Pages, send_to
from keyturn_service.web.ui.parts import UiParts
from keyturn_service.web.ui.results import ResultPages


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPage:
    """The post-install URL of an app's package; it is the same for every org that installs it."""

    parts: UiParts
    pages: Pages
    results: ResultPages

    async def show(self, request: Request) -> Response:
        """Lead a browser on that has just installed the package.

        One that has an open connect page of that app goes back to it; others go to the page of
        the product on which connecting begins. Where the vendor named none, a page says what to
        do next.
        """
        app = await self._app(AppId(request.path_params["app_id"]))
        if app is None:
            return self.results.refused("not_found", status=404)
        link = link_of(request, self.results.face(request))
        if link is not None and await self._is_open(request, link, app):
            return send_to(f"/connect/{link}")
        if app.start_url is not None:
            return send_to(app.start_url)
        return self.pages.render("installed.html", product=app.name)

    async def _app(self, app_id: AppId) -> App | None:
        for workspace in await self.parts.workspaces.all():
            app = await self.parts.apps.get(workspace.id, app_id)
            if app is not None:
                return app
        return None

    async def _is_open(self, request: Request, link: str, app: App) -> bool:
        """Tell whether the link still opens a connect page of the app in this browser."""
        try:
            session, of = await self.parts.open_link(link)
        except (NotFound, ConnectRefused):
            return False
        browser = browser_of(request, self.results.face(request))
        mine = session.authorization is None or self.results.is_same_browser(session, browser)
        return of.id == app.id and mine
