"""What stands around every request: its host is ours, and no answer shows what it should not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from types import TracebackType
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keyturn_service.web.faces import Faces
from keyturn_service.web.health import PATHS as ANY_HOST
from keyturn_service.web.problems import WebRefusal

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
)
"""What an answer carries that does not say it itself; the pages say more."""
_SECURE: Final = (*_HEADERS, (b"strict-transport-security", b"max-age=31536000"))
_Answer = Callable[[Request, Exception], Awaitable[Response]]
_log = structlog.get_logger()


class Guard:
    """ASGI middleware; it holds nothing back, so that answers stream."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        faces: Faces,
        answer: _Answer,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self._app = app
        self._faces = faces
        self._answer = answer
        self._expected = expected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what came for another host; answer for whatever fails behind."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        face = self._faces.find(scope)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, secure=face is not None and face.startswith("https://"))
            await send(message)

        if face is None and scope["path"] not in ANY_HOST:
            response = await self._answer(Request(scope), WebRefusal("misdirected_request"))
            await response(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text is not for the caller
            if started or not isinstance(error, self._expected):
                note(error, scope)
            if not started:
                response = await self._answer(Request(scope), error)
                await response(scope, receive, send_with_headers)


def note(error: Exception, scope: Scope) -> None:
    """Log an unexpected error by its type and place: its text may hold what was sent."""
    route = scope.get("route")
    _log.error(
        "request_failed",
        error=type(error).__name__,
        handler=_place(error.__traceback__),
        method=scope["method"],
        route=getattr(route, "path", None),
    )


def _place(trace: TracebackType | None) -> str | None:
    """Return module and line where an error was raised."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return None
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


def _add_headers(message: Message, *, secure: bool) -> None:
    headers = list(message.get("headers", ()))
    headers += _unsaid(tuple(name for name, _ in headers), secure)
    message["headers"] = headers


@lru_cache(maxsize=256)
def _unsaid(said: tuple[bytes, ...], secure: bool) -> tuple[tuple[bytes, bytes], ...]:  # noqa: FBT001 - remembered by it
    return tuple(pair for pair in (_SECURE if secure else _HEADERS) if pair[0] not in said)
