"""Joins the pages to one application."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acme.login import log_in, log_out, show_login
from acme.salesforce_page import (
    press_log_activity,
    press_push_usage,
    press_raise_alert,
    show_salesforce,
)
from acme.sessions import Notice
from acme.settings import connect, disconnect, show_settings
from acme.web import Acme

_STATIC: Final = Path(__file__).parent / "static"
_LONGEST_FORM: Final = 16 * 1024  # bytes
_INTERNAL: Final = 500
_WORDS: Final = {
    403: ("form_refused", "This form is too old. Go back, load the page again, and repeat."),
    404: ("not_found", "There is no such page."),
    405: ("method_not_allowed", "This page cannot be asked for that way."),
    413: ("too_large", "That is more than this form takes."),
    421: ("unknown_host", "Acme does not go by that name here."),
    500: ("internal_error", "Something went wrong on our side. Try again in a while."),
}
_log: Final = logging.getLogger(__name__)


def make_app(acme: Acme) -> Starlette:
    """Return the application."""
    app = Starlette(
        routes=[
            Route("/", _home),
            Route("/login", show_login),
            Route("/login", log_in, methods=["POST"]),
            Route("/logout", log_out, methods=["POST"]),
            Route("/settings", show_settings),
            Route("/settings/connect", connect, methods=["POST"]),
            Route("/settings/disconnect", disconnect, methods=["POST"]),
            Route("/salesforce", show_salesforce),
            Route("/salesforce/usage", press_push_usage, methods=["POST"]),
            Route("/salesforce/activity", press_log_activity, methods=["POST"]),
            Route("/salesforce/alert", press_raise_alert, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[Middleware(_Guard, acme=acme)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
    app.state.acme = acme
    return app


class _Guard:
    """Puts the browser's rules on every answer, and a bound on what is sent."""

    def __init__(self, app: ASGIApp, acme: Acme) -> None:
        self._app = app
        self._acme = acme

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rules = self._rules(Request(scope))
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > _LONGEST_FORM:
                raise HTTPException(413)
            return message

        async def ruled(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name for name, _ in message["headers"]}
                added = [rule for rule in rules if rule[0] not in named]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, bounded, ruled)

    def _rules(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Return the headers: what a page may load, and that nobody keeps or frames it.

        Forms may lead to the service too, because connecting goes on there.
        """
        face = self._acme.faces.of(request.url.scheme, request.headers.get("host", ""))
        targets = "'self'" if face is None else f"'self' {face.service_origin}"
        policy = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
            f" form-action {targets}; frame-ancestors 'none'"
        )
        rules = {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
        }
        if not request.url.path.startswith("/static/"):
            rules["cache-control"] = "no-store"
        if request.url.scheme == "https":
            rules["strict-transport-security"] = "max-age=31536000"
        return [(name.encode(), value.encode()) for name, value in rules.items()]


async def _home(request: Request) -> Response:
    del request
    return RedirectResponse("/settings", 303)


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else _INTERNAL
    return _told(request, status)


def _failed(request: Request, error: Exception) -> Response:
    _log.error("request_failed", exc_info=error)
    return _told(request, _INTERNAL)


def _told(request: Request, status: int) -> Response:
    acme: Acme = request.app.state.acme
    code, text = _WORDS.get(status, _WORDS[_INTERNAL])
    source = acme.pages.get_template("refused.html").render(
        user=None, form_token="", notice=Notice(text=text, code=code)
    )
    return HTMLResponse(source, status_code=status)
