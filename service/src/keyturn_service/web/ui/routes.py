"""The routes of the pages, and what stands where one of them fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from keyturn_service.web.ui.connect_page import ConnectPage
from keyturn_service.web.ui.installed import InstalledPage
from keyturn_service.web.ui.pages import SCRIPT, STYLE, Pages, answer_of
from keyturn_service.web.ui.parts import UiParts
from keyturn_service.web.ui.results import ResultPages, code_of

_Handler = Callable[[Request], Awaitable[Response]]
_log = structlog.get_logger()


def ui_routes(parts: UiParts) -> list[BaseRoute]:
    """Return the routes of connect page, callback and result pages."""
    pages = Pages()
    results = ResultPages(parts=parts, pages=pages)
    connect = ConnectPage(parts=parts, pages=pages, results=results)
    installed = InstalledPage(parts=parts, pages=pages, results=results)

    def guarded(handler: _Handler) -> _Handler:
        return _guarded(handler, results)

    return [
        Route("/oauth/callback", guarded(results.callback), methods=["GET"]),
        Route("/connect/result/{code}", guarded(results.result), methods=["GET"]),
        Route("/connect/result/{code}/{session_id}", guarded(results.result), methods=["GET"]),
        Route("/connect/done/{session_id}", guarded(results.done), methods=["GET"]),
        Route("/connect/{link}", guarded(connect.show), methods=["GET"]),
        Route("/connect/{link}", guarded(connect.submit), methods=["POST"]),
        Route("/connect/installed/{app_id}", guarded(installed.show), methods=["GET"]),
        Route("/connect/{link}/install", guarded(connect.look), methods=["GET"]),
        *(Route(asset.path, answer_of(asset), methods=["GET"]) for asset in (STYLE, SCRIPT)),
    ]


def _guarded(handler: _Handler, results: ResultPages) -> _Handler:
    """Return the handler with a page for what it does not expect.

    A person's browser gets a page where a program would get a problem.
    """

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text is not for the page
            code = code_of(error)
            if code != "internal_error":
                return results.refused(code, status=503)
            _log.error("page_failed", error=type(error).__name__)
            return results.refused(code, status=500)

    return handle
