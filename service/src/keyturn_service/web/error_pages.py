"""The pages that the `type` of a problem leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from keyturn_core.errors import Remedy, Who
from keyturn_service.web.refusals import ENTRIES

_WHO: Final[Mapping[Who, str]] = {
    Who.VENDOR: "You, the vendor, in your program or your app's settings",
    Who.ADMIN: "An admin of the customer's Salesforce org",
    Who.USER: "The customer's user",
    Who.SALESFORCE: "Salesforce; it usually passes",
    Who.OPERATOR: "The operator of this service",
}
_REMEDY: Final[Mapping[Remedy, str]] = {
    Remedy.RETRY: "Try again",
    Remedy.REAUTHORIZE: "The customer grants access again",
    Remedy.ASK_ADMIN: "Ask the admin",
    Remedy.RECONFIGURE: "Change a setting or the request",
    Remedy.REPORT: "Report it",
}


def error_pages() -> list[BaseRoute]:
    """Return the list of all errors, and a page for each."""
    templates = Environment(
        loader=PackageLoader("keyturn_service.web"), autoescape=True, undefined=StrictUndefined
    )

    async def show_all(_: Request) -> Response:
        entries = sorted(ENTRIES.values(), key=lambda entry: entry.code)
        return HTMLResponse(templates.get_template("errors.html").render(entries=entries))

    async def show(request: Request) -> Response:
        entry = ENTRIES.get(request.path_params["code"])
        if entry is None:
            raise HTTPException(404)
        page = templates.get_template("error.html")
        return HTMLResponse(
            page.render(entry=entry, who=_WHO[entry.who], remedy=_REMEDY[entry.remedy])
        )

    return [
        Route("/docs/errors", show_all, methods=["GET"]),
        Route("/docs/errors/{code}", show, methods=["GET"]),
    ]
