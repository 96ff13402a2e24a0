"""Whether the process lives, and whether it can serve: for what starts and watches it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from keyturn_service.ports import Workspaces
from keyturn_service.use_cases.see_audit_rounds import SeeAuditRounds

PATHS: Final = frozenset({"/healthz", "/readyz"})
_NO_STORE: Final = {"Cache-Control": "no-store"}


def health_routes(workspaces: Workspaces, see_audit_rounds: SeeAuditRounds) -> list[BaseRoute]:
    """Return the two routes. They answer on any host: probes call by address.

    A replica whose export of the audit fails serves on, and says so: state and age, without what
    it failed on, as anybody may ask.
    """

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    async def readyz(_: Request) -> Response:
        await workspaces.all()  # the database answers, or this raises
        audit = [
            {"name": one.turn.name, "state": one.state, "age_seconds": _seconds(one.age)}
            for one in await see_audit_rounds()
        ]
        return JSONResponse({"status": "ready", "audit": audit}, headers=_NO_STORE)

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
    ]


def _seconds(age: timedelta | None) -> int | None:
    return None if age is None else round(age.total_seconds())
