"""Whether the process lives, and whether it can serve: for what starts and watches it."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from keyturn_service.ports import Workspaces

PATHS: Final = frozenset({"/healthz", "/readyz"})
_NO_STORE: Final = {"Cache-Control": "no-store"}


def health_routes(workspaces: Workspaces) -> list[BaseRoute]:
    """Return the two routes. They answer on any host: probes call by address."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    async def readyz(_: Request) -> Response:
        await workspaces.all()  # the database answers, or this raises
        return JSONResponse({"status": "ready"}, headers=_NO_STORE)

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
    ]
