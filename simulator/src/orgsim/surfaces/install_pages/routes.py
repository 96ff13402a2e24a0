"""HTTP of the install page.

Spec: Second-Generation Managed Packaging Developer Guide, "Install a Package Using a URL" and
"Install Packages".
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.orgs import installing, offers
from orgsim.orgs.offers import Offer
from orgsim.orgs.org import Org, User
from orgsim.orgs.packages import ForWhom
from orgsim.surfaces.call import call_of, read_form
from orgsim.surfaces.html_pages import Html, go, person_at_home, shown_here, way_home
from orgsim.surfaces.install_pages import errors
from orgsim.surfaces.login_pages.rules import SCOPE_SENTENCES
from orgsim.surfaces.tooling_api.building import key_hash
from orgsim.surfaces.tooling_api.errors import VALIDATION

LINK_PATH = "/packaging/installPackage.apexp"
LANDING_PATH = "/packagingSetupUI/ipLanding.app"
DONE_PATH = "/packagingSetupUI/ipComplete.app"
_HTML = Html(Path(__file__).parent / "templates")
_FOR_WHOM: Mapping[ForWhom, str] = {
    "admins": "Install for Admins Only",
    "all": "Install for All Users",
    "profiles": "Install for Specific Profiles",
}


async def follow_link(request: Request) -> Response:
    """Lead an install link on to the install page of the person's own org, by the login."""
    return go(way_home(request, _landing(request.query_params.get("p0", ""))))


def _landing(version: str, path: str = LANDING_PATH) -> str:
    return f"{path}?{urlencode({'apvId': version})}"


async def show(request: Request) -> Response:
    """Show what a package version is and asks for, and for whom it may be installed."""
    person = person_at_home(request)
    if person is None:
        return _to_login(request)
    org, user, login = person
    offer = offers.offer_of(call_of(request).world, request.query_params.get("apvId", ""))
    refused = _refused(request, user, offer)
    if refused is not None or offer is None:
        return refused or _unknown(request)
    if not _opens(offer, ""):
        return _key_page(org, offer, login.form_token)
    return _page(request, org, offer, login.form_token)


async def install(request: Request) -> Response:
    """Install the version; only a form that was shown to this admin counts."""
    call, form = call_of(request), await read_form(request)
    person = person_at_home(request)
    if person is None:
        return _to_login(request)
    org, user, login = person
    offer = offers.offer_of(call.world, form.get("apvId", ""))
    refused = _refused(request, user, offer)
    if refused is not None or offer is None:
        return refused or _unknown(request)
    if not shown_here(call, login, form.get("token", "")):
        return _HTML.page("refused.html", status=403, title="Problem", text=errors.NOT_SHOWN)
    key = form.get("key", "")
    if not _opens(offer, key):
        return _key_page(org, offer, login.form_token, problem=errors.WRONG_KEY)
    if "install_for" not in form:
        return _page(request, org, offer, login.form_token, key=key)
    return _install(request, org, offer, login.form_token, form)


def _install(
    request: Request, org: Org, offer: Offer, token: str, form: Mapping[str, str]
) -> Response:
    call = call_of(request)
    for_whom = next((whom for whom in _FOR_WHOM if whom == form["install_for"]), None)
    problem = None if for_whom is not None else errors.NOBODY_CHOSEN
    standing = offers.standing(call.world, org, offer)
    if standing != installing.FINE:
        call.note(error=standing)
        problem = VALIDATION.get(standing, standing)
    if problem is not None or for_whom is None:
        return _page(request, org, offer, token, key=form.get("key", ""), problem=problem)
    offers.take(call.world, org, offer, for_whom=for_whom)
    return go(f"{call.origin}{_landing(offer.subscriber_version_id, DONE_PATH)}")


async def complete(request: Request) -> Response:
    """Say that the install is complete; Done leads to the version's post-install URL."""
    call, person = call_of(request), person_at_home(request)
    if person is None:
        return _to_login(request)
    org, user, _ = person
    offer = offers.offer_of(call.world, request.query_params.get("apvId", ""))
    refused = _refused(request, user, offer)
    if refused is not None or offer is None:
        return refused or _unknown(request)
    if not offers.has_this(call.world, org, offer):
        return go(f"{call.origin}{_landing(offer.subscriber_version_id)}")
    leads_to = offers.post_install_url(offer, call.face) or f"{call.origin}/home"
    return _HTML.page("complete.html", offer=offer, org=org.name, leads_to=leads_to)


def _opens(offer: Offer, key: str) -> bool:
    """Tell whether an installation key is the version's, or it needs none."""
    wanted = None if offer.version is None else offer.version.key_hash
    return wanted is None or key_hash(key) == wanted


def _key_page(org: Org, offer: Offer, token: str, *, problem: str | None = None) -> Response:
    """Ask for the installation key; nothing of the package is told before it."""
    return _HTML.page(
        "key.html",
        status=200 if problem is None else 422,
        action=LANDING_PATH,
        token=token,
        version_id=offer.subscriber_version_id,
        org=org.name,
        problem=problem,
    )


def _to_login(request: Request) -> Response:
    version = request.query_params.get("apvId", "")
    return go(way_home(request, _landing(version, request.url.path)))


def _refused(request: Request, user: User, offer: Offer | None) -> Response | None:
    """Return what an org shows to who may not install, or asks for what is not there."""
    if user.role != "admin":
        call_of(request).note(error="insufficient_privileges")
        text = errors.NOT_ALLOWED
        return _HTML.page("refused.html", status=403, title="Insufficient Privileges", text=text)
    return _unknown(request) if offer is None else None


def _unknown(request: Request) -> Response:
    call_of(request).note(error="package_unavailable")
    text = errors.UNKNOWN_VERSION
    return _HTML.page("refused.html", status=404, title="Package Unavailable", text=text)


def _page(
    request: Request,
    org: Org,
    offer: Offer,
    token: str,
    *,
    key: str = "",
    problem: str | None = None,
) -> Response:
    world = call_of(request).world
    return _HTML.page(
        "install.html",
        status=200 if problem is None else 422,
        action=LANDING_PATH,
        token=token,
        key=key,
        offer=offer,
        org=org.name,
        is_there=offers.has_package(world, org, offer),
        is_this=offers.has_this(world, org, offer),
        sentences=[SCOPE_SENTENCES.get(scope, scope) for scope in sorted(offer.scopes)],
        for_whom=_FOR_WHOM,
        problem=problem,
    )


def install_routes() -> list[BaseRoute]:
    """Routes of the install page."""
    return [
        Route(LINK_PATH, follow_link, methods=["GET"]),
        Route(LANDING_PATH, show, methods=["GET"]),
        Route(LANDING_PATH, install, methods=["POST"]),
        Route(DONE_PATH, complete, methods=["GET"]),
    ]
