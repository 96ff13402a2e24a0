"""HTTP of the pages."""

from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.orgs.browsers import BrowserLogin, Pending
from orgsim.orgs.org import Org, User
from orgsim.surfaces.call import Call, call_of, read_form
from orgsim.surfaces.html_pages import SHARED, Html, go, shown_here
from orgsim.surfaces.login_pages import errors
from orgsim.surfaces.login_pages.rules import (
    SCOPE_SENTENCES,
    person_of,
    safe_start,
    source_of,
)
from orgsim.surfaces.oauth import authorization
from orgsim.surfaces.oauth.errors import DENIED, LOGINS_EXCEEDED, USER_INACTIVE, OAuthError

_HTML = Html(SHARED)
_STYLE = (SHARED / "style.css").read_text("utf-8")


def _form_targets(call: Call, pending: Pending | None) -> str:
    """Return where a form may lead.

    Browsers hold every redirect that follows a form against the policy of its page. Behind an
    app's callback the app leads on to wherever it likes, so that only a page that serves no
    app's request can name its targets.
    """
    if call.face.kind == "names":
        targets = ["'self'", "https://*.my.salesforce.com"]
    else:
        targets = ["'self'", *(call.face.origin(org.slot) for org in call.world.orgs)]
    if pending is not None:
        scheme = urlsplit(pending.redirect_uri).scheme
        targets += ["https:"] if scheme == "https" else ["https:", f"{scheme}:"]
    return " ".join(targets)


def _page(
    call: Call, name: str, *, status: int = 200, pending: Pending | None = None, **values: Any
) -> Response:
    return _HTML.page(name, status=status, form_targets=_form_targets(call, pending), **values)


def _log_in(call: Call, answer: Response, *, org: Org, user: User) -> BrowserLogin:
    """Give the browser a login session of this site."""
    world, handle = call.world, call.world.mint.browser_secret()
    login = BrowserLogin(
        site=call.site,
        org_id=org.org_id,
        user_id=user.user_id,
        form_token=world.mint.handle(),
        at=world.clock.now(),
    )
    world.browsers.logins.put(handle, login)
    answer.set_cookie(
        authorization.cookie_name(call),
        handle,
        path="/",
        secure=call.face.secure,
        httponly=True,
        samesite="lax",
    )
    return login


async def login_page(request: Request) -> Response:
    """Show the login form."""
    call = call_of(request)
    start = safe_start(request.query_params.get("startURL"))
    return _login_form(call, start=start)


def _login_form(
    call: Call, *, start: str, username: str = "", problem: str | None = None, status: int = 200
) -> Response:
    world = call.world
    pending = world.browsers.pending.get(source_of(start), now=world.clock.now())
    hint = username or ("" if pending is None else pending.login_hint)
    host = call.org.host if call.org is not None else world.hosts[call.site]
    return _page(
        call,
        "login.html",
        status=status,
        pending=pending,
        start=start,
        hint=hint,
        problem=problem,
        host=host,
    )


async def log_in(request: Request) -> Response:
    """Check username and password; then go on to the org's own host."""
    call, form = call_of(request), await read_form(request)
    world, now = call.world, call.world.clock.now()
    start = safe_start(form.get("startURL"))
    username = form.get("username") or form.get("un") or ""
    person = person_of(world, call.site, username, form.get("pw", ""))
    if person is None or not person[1].active:
        if person is not None:
            return _refuse_inactive(call, start)
        call.note(error="login_failed")
        return _login_form(call, start=start, username=username, problem=errors.LOGIN_FAILED)
    org, user = person
    if not world.logins.allows(user.user_id, most=world.switches.logins_per_hour, now=now):
        return _refuse_login(call, start, LOGINS_EXCEEDED, errors.TOO_MANY_LOGINS)
    if call.site == org.slot:
        target = f"{call.origin}{start}"
    else:
        target = authorization.pass_address(call, org=org, user=user, start=start)
    answer = go(target)
    _log_in(call, answer, org=org, user=user)
    return answer


def _refuse_inactive(call: Call, start: str) -> Response:
    return _refuse_login(call, start, USER_INACTIVE, errors.LOGIN_FAILED)


def _refuse_login(call: Call, start: str, reason: OAuthError, text: str) -> Response:
    """Tell the client, if the login was for one; else the person."""
    world = call.world
    pending = world.browsers.pending.take(source_of(start), now=world.clock.now())
    if pending is not None:
        return go(authorization.error_redirect(call, pending, reason))
    call.note(error=reason.error, detail=reason.description)
    return _login_form(call, start=start, problem=text)


async def front_door(request: Request) -> Response:
    """Take over a login from the login host, once.

    Spec: Salesforce Help, "Using Frontdoor.jsp to Bridge an Existing Session Into Salesforce".
    """
    call = call_of(request)
    world = call.world
    start = safe_start(request.query_params.get("startURL"))
    ticket = world.browsers.passes.take(request.query_params.get("otp"), now=world.clock.now())
    known = None if ticket is None else world.user(ticket.org_id, ticket.user_id)
    if ticket is None or known is None or ticket.site != call.site:
        return _login_form(call, start=start)
    answer = go(f"{call.origin}{start}")
    _log_in(call, answer, org=known[0], user=known[1])
    return answer


async def consent_page(request: Request) -> Response:
    """Ask the person, unless an earlier approval or an admin has answered already."""
    call = call_of(request)
    world, now = call.world, call.world.clock.now()
    source = request.query_params.get("source", "")
    pending = world.browsers.pending.get(source, now=now)
    if pending is None:
        return _page(call, "error.html", status=400, lead=errors.REQUEST_GONE, code=None)
    login = authorization.login_of(request)
    if login is None:
        return go(authorization.login_address(call, source))
    standing = authorization.standing_of(call, pending, login)
    if standing is None:
        return go(authorization.login_address(call, source))
    refused = authorization.check_standing(call, standing)
    if refused is not None:
        world.browsers.pending.take(source, now=now)
        return go(refused)
    if not authorization.needs_consent(call, standing):
        world.browsers.pending.take(source, now=now)
        return go(authorization.issue_code(call, standing))
    sentences = [SCOPE_SENTENCES.get(scope, scope) for scope in sorted(pending.scopes)]
    return _page(
        call,
        "consent.html",
        pending=pending,
        source=source,
        form_token=login.form_token,
        app=standing.app.name,
        org=standing.org.name,
        username=standing.user.username,
        sentences=sentences,
    )


async def decide(request: Request) -> Response:
    """Carry out what the person chose; only a form that was shown to them counts."""
    call, form = call_of(request), await read_form(request)
    world, now = call.world, call.world.clock.now()
    login = authorization.login_of(request)
    if login is None or not shown_here(call, login, form.get("token", "")):
        return _page(call, "error.html", status=403, lead=errors.REQUEST_GONE, code=None)
    pending = world.browsers.pending.take(form.get("source"), now=now)
    standing = None if pending is None else authorization.standing_of(call, pending, login)
    if pending is None or standing is None:
        return _page(call, "error.html", status=400, lead=errors.REQUEST_GONE, code=None)
    refused = authorization.check_standing(call, standing)
    if refused is not None:
        return go(refused)
    if form.get("decision") != "allow":
        denied = OAuthError(world.switches.denial_code, DENIED.description)
        return go(authorization.error_redirect(call, pending, denied))
    return go(authorization.issue_code(call, standing))


async def error_page(request: Request) -> Response:
    """Show an error that the client never hears of; its reason is in the address only."""
    call = call_of(request)
    return _page(call, "error.html", lead=errors.ERROR_LEAD, code=errors.GENERIC)


async def home(request: Request) -> Response:
    """Stand where Salesforce's home page would be."""
    return _page(call_of(request), "home.html")


async def style(request: Request) -> Response:  # noqa: ARG001 - the framework's signature
    """Give the pages' one style sheet."""
    return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def page_routes() -> list[BaseRoute]:
    """Routes of the pages."""
    return [
        Route("/", login_page, methods=["GET"]),
        Route("/", log_in, methods=["POST"]),
        Route("/login", login_page, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/secur/frontdoor.jsp", front_door, methods=["GET"]),
        Route(authorization.CONSENT_PATH, consent_page, methods=["GET"]),
        Route(authorization.CONSENT_PATH, decide, methods=["POST"]),
        Route(authorization.ERROR_PATH, error_page, methods=["GET"]),
        Route("/home", home, methods=["GET"]),
        Route("/static/pages.css", style, methods=["GET"]),
    ]
