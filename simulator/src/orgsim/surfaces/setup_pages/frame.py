"""The frame of every Setup page: for admins, in their own org, by forms that they were shown."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from orgsim.orgs.browsers import BrowserLogin
from orgsim.orgs.org import Org, User
from orgsim.surfaces.call import Call, call_of, read_form
from orgsim.surfaces.html_pages import Html, go, person_at_home, shown_here, way_home
from orgsim.surfaces.install_pages.errors import NOT_ALLOWED
from orgsim.world import World

HOME = "/lightning/setup/SetupOneHome/home"
NOT_SHOWN = "This form was not shown to you, or it is too old. Open the page again."
GONE = "The record that you want to see is not there. It may have been deleted."
SAID = {
    "saved": "Your changes are saved.",
    "blocked": "The app is blocked. All its sessions have ended.",
    "unblocked": "The app is let in again.",
    "uninstalled": "The package is uninstalled.",
    "unconfirmed": "Nothing is uninstalled: tick the box to confirm it.",
}
_HTML = Html(Path(__file__).parent / "templates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An admin at a Setup page; `form` is empty where they only look."""

    call: Call
    org: Org
    user: User
    login: BrowserLogin
    path: Mapping[str, str]
    form: Mapping[str, str]
    said: str

    @property
    def world(self) -> World:
        """The world that the org is part of."""
        return self.call.world

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return a page of this org."""
        shown = {"org": self.org.name, "token": self.login.form_token, "home": HOME}
        return _HTML.page(template, status=status, **shown, **values)

    def back(self, path: str, *, said: str | None = None) -> Response:
        """Return to a page after a change, with a word about it."""
        query = "" if said is None else f"?{urlencode({'said': said})}"
        return go(f"{self.call.origin}{path}{query}")

    def told(self) -> str | None:
        """Return the word about a change that led here; one of ours, else none."""
        return SAID.get(self.said)

    def gone(self) -> Response:
        """Say that what was asked for is not there."""
        self.call.note(error="not_found")
        return self.page("problem.html", status=404, title="Data Not Available", text=GONE)


_Handler = Callable[[Request], Awaitable[Response]]


def for_admins(serve: Callable[[Desk], Response]) -> _Handler:
    """Return a handler that lets admins in, and takes only forms that were shown to them.

    The documentation of `serve` is that of the handler.
    """

    async def handle(request: Request) -> Response:
        call, person = call_of(request), person_at_home(request)
        if person is None:
            start = request.url.path if request.method == "GET" else HOME
            return go(way_home(request, start))
        org, user, login = person
        form = await read_form(request) if request.method == "POST" else {}
        desk = Desk(
            call=call,
            org=org,
            user=user,
            login=login,
            path=request.path_params,
            form=form,
            said=request.query_params.get("said", ""),
        )
        if user.role != "admin":
            call.note(error="insufficient_privileges")
            text = NOT_ALLOWED
            return desk.page("problem.html", status=403, title="Insufficient Privileges", text=text)
        if request.method == "POST" and not shown_here(call, login, form.get("token", "")):
            return desk.page("problem.html", status=403, title="Problem", text=NOT_SHOWN)
        return serve(desk)

    handle.__doc__ = serve.__doc__
    return handle
