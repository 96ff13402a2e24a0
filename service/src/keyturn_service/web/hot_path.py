"""The calls that are made most, carried past the framework's layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Application(FastAPI):
    """FastAPI, before whose layers the hot routes come.

    The hot routes are the application's own ones, so that the document and `Allow` name them;
    a request for one of them meets only what `around` puts around it. Their parameters are
    texts: no other converter is asked.
    """

    _hot: Sequence[tuple[Route, ASGIApp]] = ()

    def carry_past(self, routes: Sequence[Route], *, around: Callable[[ASGIApp], ASGIApp]) -> None:
        """Add routes, and carry requests for them past the layers."""
        self.router.routes.extend(routes)
        self._hot = [(route, around(route.app)) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            path: str = scope["path"]
            for route, carry in self._hot:
                found = route.path_regex.match(path)
                if found and (route.methods is None or scope["method"] in route.methods):
                    scope["path_params"] = found.groupdict()
                    scope["app"] = self
                    await carry(scope, receive, send)
                    return
        await super().__call__(scope, receive, send)
