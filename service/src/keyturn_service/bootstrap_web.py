"""Join what speaks HTTP: commands beside replicas do without, and start in half the time."""

from __future__ import annotations

from fastapi import FastAPI

from keyturn_service.web.app import create_app
from keyturn_service.web.ui.routes import ui_routes
from keyturn_service.web.wiring import Wiring


def joined_web(wiring: Wiring) -> FastAPI:
    """Join it."""
    return create_app(wiring, pages=ui_routes(wiring))
