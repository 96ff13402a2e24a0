"""The application behind every site: all surfaces, one route table.

Which site is meant is settled by the gate; a login host has no data, so `/services/data` is not
there.
"""

from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from orgsim.data import OrgData
from orgsim.json_text import compact_json
from orgsim.surfaces.api_sign_in import session_of
from orgsim.surfaces.call import call_of
from orgsim.surfaces.credentials_api import credentials_routes
from orgsim.surfaces.identity.routes import identity_routes
from orgsim.surfaces.install_pages import install_routes
from orgsim.surfaces.login_pages.routes import page_routes
from orgsim.surfaces.metadata_api import metadata_routes
from orgsim.surfaces.oauth.routes import oauth_routes
from orgsim.surfaces.rest_api import rest_routes
from orgsim.surfaces.session import NotSignedIn
from orgsim.surfaces.setup_pages import setup_routes
from orgsim.surfaces.tooling_api import setup_of, tooling_routes
from orgsim.world import World

_NOT_FOUND = compact_json(
    [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
)
_ORG_ONLY = "/services/data"


def all_routes(
    *, data_of: Callable[[str], OrgData], now: Callable[[], datetime]
) -> list[BaseRoute]:
    """Return every route of a site."""
    return [
        *oauth_routes(),
        *identity_routes(),
        *page_routes(),
        *metadata_routes(),
        *tooling_routes(),
        *credentials_routes(),
        *install_routes(),
        *setup_routes(),
        *rest_routes(session_of=session_of, data_of=data_of, setup_of=setup_of, now=now),
    ]


def _not_signed_in(request: Request, refused: Exception) -> Response:
    if not isinstance(refused, NotSignedIn):
        raise refused
    call_of(request).note(error="INVALID_SESSION_ID")
    return Response(
        refused.body, status_code=refused.status, headers={"Content-Type": refused.content_type}
    )


def _not_there(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    if request.url.path.startswith("/services/data"):
        kind = "application/json;charset=UTF-8"
        return Response(_NOT_FOUND, status_code=404, headers={"Content-Type": kind})
    return PlainTextResponse("", status_code=status)


class _LoginHostsHaveNoData:
    """Answers `/services/data` at a login host as if the path were unknown."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_ORG_ONLY):
            request = Request(scope)
            if call_of(request).org is None:
                await PlainTextResponse("", status_code=404)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def make_site_app(world: World) -> ASGIApp:
    """Join the surfaces into the application that the gate calls."""

    def now() -> datetime:
        return world.clock.now()  # a reset puts another clock in its place

    app = Starlette(
        routes=all_routes(data_of=world.data, now=now),
        exception_handlers={NotSignedIn: _not_signed_in, 404: _not_there, 405: _not_there},
    )
    app.router.redirect_slashes = False
    return _LoginHostsHaveNoData(app)
