"""An authorization request from its arrival to the code, with no HTML in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from starlette.requests import Request

from orgsim.orgs.apps import App
from orgsim.orgs.browsers import BrowserLogin, Pass, Pending
from orgsim.orgs.codes import Code
from orgsim.orgs.org import Org, User
from orgsim.orgs.policies import Installation
from orgsim.surfaces.call import Call, Refusal, call_of
from orgsim.surfaces.oauth import errors, rules
from orgsim.surfaces.oauth.errors import OAuthError, Refused

CONSENT_PATH = "/setup/secur/RemoteAccessAuthorizationPage.apexp"
ERROR_PATH = "/setup/secur/RemoteAccessErrorPage.apexp"
LOGIN_COOKIE = "sid"


def cookie_name(call: Call) -> str:
    """Return the name of a site's login cookie; ports share cookies, so each has its own."""
    if call.face.kind == "names":
        return LOGIN_COOKIE
    return f"{LOGIN_COOKIE}_{call.face.kind}_{call.site}"


def login_of(request: Request) -> BrowserLogin | None:
    """Return who is logged in at this site in this browser."""
    call = call_of(request)
    handle = request.cookies.get(cookie_name(call))
    login = call.world.browsers.logins.get(handle, now=call.world.clock.now())
    return login if login is not None and login.site == call.site else None


def append_query(url: str, fields: Mapping[str, str]) -> str:
    """Add parameters to a URL that may have some already.

    Spec: RFC 6749 section 4.1.2.
    """
    parts = urlsplit(url)
    added = urlencode(fields, quote_via=quote)
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))


def error_redirect(call: Call, pending: Pending, reason: OAuthError) -> str:
    """Return the URL that tells the client of an error, and note it."""
    call.note(error=reason.error, detail=reason.description)
    fields = reason.fields
    if pending.state is not None:
        fields["state"] = pending.state
    return append_query(pending.redirect_uri, fields)


def error_page(call: Call, reason: OAuthError) -> str:
    """Return the address of the in-org page for errors that never reach the client."""
    call.note(error=reason.error, detail=reason.description)
    return f"{call.origin}{ERROR_PATH}?{urlencode(reason.fields, quote_via=quote)}"


def begin(request: Request, query: Mapping[str, str]) -> str:
    """Check a request and return where its browser goes next.

    Raises:
        Refused: before the client is trusted; nothing may go to its redirect URI.
    """
    call = call_of(request)
    world = call.world
    app, redirect_uri = rules.check_client(
        world.client(query.get("client_id", "")), query.get("redirect_uri")
    )
    response_type = rules.check_response_type(query.get("response_type"))
    challenge = rules.check_challenge(
        app, query.get("code_challenge"), query.get("code_challenge_method")
    )
    prompt = query.get("prompt", "").split()
    pending = Pending(
        consumer_key=app.consumer_key,
        redirect_uri=redirect_uri,
        scopes=frozenset(),
        state=query.get("state"),
        response_type=response_type,
        code_challenge=challenge,
        nonce=query.get("nonce"),
        login_hint=query.get("login_hint", ""),
        asks_login="login" in prompt or "select_account" in prompt,
        asks_consent="consent" in prompt,
        at=world.clock.now(),
    )
    try:
        pending = replace(pending, scopes=rules.grantable_scopes(app, query.get("scope")))
    except Refused as refusal:
        return error_redirect(call, pending, refusal.reason)
    if call.refusal is not None:
        return _demanded(call, pending, call.refusal)
    if query.get("immediate") == "true":
        return _immediate(request, pending)
    source = world.mint.handle()
    world.browsers.pending.put(source, pending)
    login = login_of(request)
    if login is None or pending.asks_login:
        return login_address(call, source)
    return after_login(call, login, source)


def _demanded(call: Call, pending: Pending, refusal: Refusal) -> str:
    """Refuse as a fault demands, on one of the three ways."""
    reason = OAuthError(refusal.error, refusal.description)
    match refusal.delivery:
        case "body":
            raise Refused(reason)
        case "error_page":
            return error_page(call, reason)
        case _:
            return error_redirect(call, pending, reason)


def login_address(call: Call, source: str) -> str:
    """Return the login page that leads on to the consent page."""
    start = f"{CONSENT_PATH}?source={source}"
    return f"{call.origin}/?{urlencode({'ec': '302', 'startURL': start}, quote_via=quote)}"


def after_login(call: Call, login: BrowserLogin, source: str) -> str:
    """Return where a person who is logged in goes: the consent page of their own org."""
    known = call.world.user(login.org_id, login.user_id)
    if known is None:
        return login_address(call, source)
    start = f"{CONSENT_PATH}?source={source}"
    if call.site == known[0].slot:
        return f"{call.origin}{start}"
    return pass_address(call, org=known[0], user=known[1], start=start)


def pass_address(call: Call, *, org: Org, user: User, start: str, ticket: str | None = None) -> str:
    """Return the address that carries a login to the org's own host, once.

    A browser follows it at once between the pages here, where it is no more than a handle; one
    that is issued to a program comes with a `ticket` that carries the canary.
    """
    ticket = ticket or call.world.mint.handle()
    call.world.browsers.passes.put(
        ticket,
        Pass(org_id=org.org_id, user_id=user.user_id, site=org.slot, at=call.world.clock.now()),
    )
    query = urlencode({"otp": ticket, "startURL": start}, quote_via=quote)
    return f"{call.face.origin(org.slot)}/secur/frontdoor.jsp?{query}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A pending request with the person who is to decide about it."""

    pending: Pending
    app: App
    org: Org
    user: User
    policy: Installation


def standing_of(call: Call, pending: Pending, login: BrowserLogin) -> Standing | None:
    """Join a request and a login; None where either side has gone."""
    known = call.world.user(login.org_id, login.user_id)
    app = call.world.apps.get(pending.consumer_key)
    if known is None or app is None:
        return None
    policy = call.world.installation(known[0].org_id, app.consumer_key)
    if policy.scopes is not None and pending.scopes == app.scopes:
        pending = replace(pending, scopes=app.scopes & policy.scopes)  # none were named
    return Standing(pending=pending, app=app, org=known[0], user=known[1], policy=policy)


def check_standing(call: Call, standing: Standing) -> str | None:
    """Return where to go if the org or its admin says no; None if the person may decide."""
    try:
        rules.check_app_in_org(standing.app, standing.org, standing.policy)
        rules.check_installed_scopes(standing.pending.scopes, standing.policy)
        rules.check_user_at_authorize(standing.org, standing.user, standing.policy)
    except Refused as refusal:
        reason = refusal.reason
        on_page = call.world.switches.access_denied_delivery == "error_page"
        if reason == errors.APP_ACCESS_DENIED and on_page:
            return error_page(call, reason)
        return error_redirect(call, standing.pending, reason)
    return None


def needs_consent(call: Call, standing: Standing) -> bool:
    """Tell whether the person must be asked.

    Not where an admin has pre-authorized them, nor where an approval of theirs covers the request.

    Spec: Salesforce Help, "Manage OAuth Access Policies for a Connected App".
    """
    if standing.pending.asks_consent:
        return True
    if standing.policy.permitted_users == "pre_authorized":
        return False
    held = call.world.grants.of(
        org_id=standing.org.org_id,
        user_id=standing.user.user_id,
        consumer_key=standing.app.consumer_key,
    )
    return not any(standing.pending.scopes <= grant.scopes for grant in held)


def issue_code(call: Call, standing: Standing) -> str:
    """Return the redirect that carries a fresh code to the client."""
    pending, world = standing.pending, call.world
    text = world.mint.authorization_code()
    code = Code(
        code_hash="",
        org_id=standing.org.org_id,
        user_id=standing.user.user_id,
        consumer_key=pending.consumer_key,
        redirect_uri=pending.redirect_uri,
        scopes=pending.scopes,
        code_challenge=pending.code_challenge,
        nonce=pending.nonce,
        issued_at=world.clock.now(),
    )
    world.codes.add(code, text=text)
    fields = {"code": text}
    if pending.state is not None:
        fields["state"] = pending.state
    return append_query(pending.redirect_uri, fields)


def _immediate(request: Request, pending: Pending) -> str:
    """Answer `immediate=true`: a code at once, or an error, and never a page."""
    call, login = call_of(request), login_of(request)
    standing = None if login is None else standing_of(call, pending, login)
    if standing is None or needs_consent(call, standing):
        return error_redirect(call, pending, errors.IMMEDIATE)
    return check_standing(call, standing) or issue_code(call, standing)
