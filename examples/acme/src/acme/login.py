"""The pages on which people log in and out."""

from __future__ import annotations

import logging
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from acme.sessions import Notice
from acme.web import UserVisit, checked_form, posted, visit_of

_UNAUTHORIZED: Final = 401
_WRONG: Final = Notice(text="User name or password is wrong.", code="login_refused")
_log: Final = logging.getLogger(__name__)


async def show_login(request: Request) -> Response:
    """Show the form."""
    visit = visit_of(request)
    if visit.user is not None:
        return visit.go("/settings")
    return visit.page("login.html", username="")


async def log_in(request: Request) -> Response:
    """Check the password, and begin a session that nobody could know before."""
    visit = visit_of(request)
    form = await checked_form(visit)
    username = str(form.get("username", ""))
    user = await visit.acme.accounts.check(username, str(form.get("password", "")))
    if user is None:
        _log.warning("login_refused")
        return visit.page("login.html", status=_UNAUTHORIZED, username=username, notice=_WRONG)
    now = visit.acme.clock.now()
    return visit.within(visit.acme.sessions.new(now, username=user.username)).go("/settings")


@posted
async def log_out(visit: UserVisit, form: FormData) -> Response:
    """End the session."""
    del form
    sessions = visit.acme.sessions
    sessions.end(visit.session)
    outside = visit.within(sessions.new(visit.acme.clock.now()))
    return outside.go("/login", notice=Notice(text="You are logged out."))
