"""What pages for people have in common: the frame around them, and what a browser may do there."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from orgsim.orgs.browsers import BrowserLogin
from orgsim.orgs.org import Org, User
from orgsim.surfaces.call import Call, call_of
from orgsim.surfaces.oauth import authorization

SHARED = Path(__file__).parent / "login_pages" / "templates"
_SEE = 302


class Html:
    """The templates of one surface, inside the frame that all share."""

    def __init__(self, folder: Path) -> None:
        self._templates = Environment(
            loader=FileSystemLoader([folder, SHARED]),
            autoescape=select_autoescape(default=True),
            auto_reload=False,
        )

    def page(
        self, template: str, *, status: int = 200, form_targets: str = "'self'", **values: Any
    ) -> Response:
        """Return a page; its forms may lead to `form_targets`."""
        body = self._templates.get_template(template).render(**values)
        policy = (
            "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none';"
            f" base-uri 'none'; form-action {form_targets}"
        )
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        return Response(body, status_code=status, media_type="text/html", headers=headers)


def go(url: str) -> Response:
    """Send the browser on, and tell the next page nothing of this one."""
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(url, status_code=_SEE, headers=headers)


def person_at_home(request: Request) -> tuple[Org, User, BrowserLogin] | None:
    """Return who is logged in where the call came in, if that is their own org's host."""
    call, login = call_of(request), authorization.login_of(request)
    known = None if login is None else call.world.user(login.org_id, login.user_id)
    if login is None or known is None or known[0].slot != call.site:
        return None
    return (*known, login)


def way_home(request: Request, start: str) -> str:
    """Return where a person goes who wants a page of their org: to it, by the login if need be.

    A login at the login host leads to the org of that login, whatever org was meant.
    """
    call, login = call_of(request), authorization.login_of(request)
    known = None if login is None else call.world.user(login.org_id, login.user_id)
    if known is None:
        query = urlencode({"ec": "302", "startURL": start}, quote_via=quote)
        return f"{call.origin}/?{query}"
    if call.site == known[0].slot:
        return f"{call.origin}{start}"
    return authorization.pass_address(call, org=known[0], user=known[1], start=start)


def shown_here(call: Call, login: BrowserLogin, token: str) -> bool:
    """Tell whether a form was shown to this login, and note it if not."""
    if login.is_shown(token):
        return True
    call.note(error="form_not_shown")
    return False
