"""The application: REST API, access token, proxy, another platform's face, pages, health."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from keyturn_service.web.api import (
    api_keys,
    apps,
    audit_events,
    compat,
    connect_sessions,
    connections,
    server_to_server,
    signing_keys,
)
from keyturn_service.web.api.access_token import PATH as ACCESS_TOKEN_PATH
from keyturn_service.web.api.access_token import AccessTokenRoute
from keyturn_service.web.api.openapi import REFUSED, write_openapi
from keyturn_service.web.api.route import Parts
from keyturn_service.web.error_pages import error_pages
from keyturn_service.web.faces import Faces
from keyturn_service.web.guard import Guard
from keyturn_service.web.health import health_routes
from keyturn_service.web.hot_path import Application
from keyturn_service.web.idempotency import Idempotency
from keyturn_service.web.problems import EXPECTED, problem_of, response_to
from keyturn_service.web.proxy import PROXIED_METHODS, proxy_routes
from keyturn_service.web.security import Door, Strangers
from keyturn_service.web.soap import METHOD, fault_of, is_of_soap, speaks_soap
from keyturn_service.web.wiring import Wiring

_RESOURCES: Final = (
    apps,
    signing_keys,
    api_keys,
    connect_sessions,
    connections,
    server_to_server,
    audit_events,
)
_FAULT: Final = 500
_log = structlog.get_logger()


def create_app(wiring: Wiring, *, pages: Sequence[BaseRoute] = ()) -> FastAPI:
    """Return the application. `pages` are the routes of the hosted pages (`ui.routes`)."""
    app = Application(
        title="Keyturn",
        version=version("keyturn-service"),
        description="Connections to customers' Salesforce orgs: custody, refresh, proxy.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers=dict.fromkeys(EXPECTED, _refused),
    )
    parts = _parts(wiring)
    app.state.parts = parts
    hot = [
        Route(
            ACCESS_TOKEN_PATH,
            AccessTokenRoute(parts.door, wiring.get_access_token),
            methods=["POST"],
        ),
        *proxy_routes(parts.door, wiring.proxy_call),
    ]
    guard = functools.partial(Guard, faces=parts.faces, answer=_refused, expected=EXPECTED)
    app.carry_past(hot, around=guard)
    for resource in _RESOURCES:
        app.include_router(resource.router, responses=REFUSED)
    app.router.routes.extend(
        [
            _document_route(app, wiring.public_urls),
            *compat.compat_routes(parts),
            *health_routes(wiring.workspaces, wiring.see_audit_rounds),
            *error_pages(),
            *pages,
        ]
    )
    app.state.routes = [
        *(route for route in app.router.routes if isinstance(route, Route)),
        *(route for resource in _RESOURCES for route in resource.router.routes),
    ]
    app.add_middleware(guard)
    return app


def _parts(wiring: Wiring) -> Parts:
    return Parts(
        wiring=wiring,
        door=Door(
            authenticate=wiring.authenticate,
            find_proxy_session=wiring.find_proxy_session,
            hashes=wiring.hashes,
            strangers=Strangers(wiring.clock),
        ),
        faces=Faces(wiring.public_urls),
        idempotency=Idempotency(
            keys=wiring.idempotency_keys, hashes=wiring.hashes, clock=wiring.clock
        ),
    )


def _document_route(app: FastAPI, servers: Sequence[str]) -> Route:
    """Return the route of the document, which is written when it is first asked for."""

    @functools.cache
    def document() -> dict[str, Any]:
        return write_openapi(app, servers=servers)

    async def answer(_: Request) -> Response:
        return JSONResponse(document())

    return Route("/openapi.json", answer, methods=["GET"])


async def _refused(request: Request, error: Exception) -> Response:
    """Answer for what was refused or went wrong, in the words of the face that was called."""
    problem = problem_of(error)
    if problem.code == "method_not_allowed":
        problem = replace(problem, headers={"Allow": _allowed(request)})
    if problem.status >= _FAULT and isinstance(error, EXPECTED):  # others are noted by the guard
        _log.warning("request_refused", code=problem.code, error=type(error).__name__)
    if request.url.path.startswith(f"{compat.PREFIX}/"):
        return compat.answer_of(problem)
    if speaks_soap(request.scope, problem):
        return fault_of(request.scope, problem)
    parts: Parts = request.app.state.parts
    return response_to(problem, face=parts.faces.of(request.scope))


def _allowed(request: Request) -> str:
    """Return all methods that an address takes; each route of it knows only its own.

    Spec: RFC 9110 section 15.5.6.
    """
    if is_of_soap(request.scope):
        return METHOD
    methods: set[str] = set()
    for route in request.app.state.routes:
        if route.path_regex.match(request.url.path):
            methods |= route.methods or PROXIED_METHODS
    return ", ".join(sorted(methods))
