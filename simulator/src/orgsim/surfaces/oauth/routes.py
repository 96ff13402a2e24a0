"""HTTP of the authorization server."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from orgsim.orgs.grants import Grant
from orgsim.orgs.sessions import Session
from orgsim.surfaces.call import Call, call_of, read_form, read_pairs
from orgsim.surfaces.oauth import errors
from orgsim.surfaces.oauth.answers import oauth_answer, oauth_refusal, plain_refusal
from orgsim.surfaces.oauth.authorization import begin
from orgsim.surfaces.oauth.clients import authenticate_client
from orgsim.surfaces.oauth.errors import OAuthError, Refused
from orgsim.surfaces.oauth.grant_types import answer_grant
from orgsim.surfaces.oauth.issuing import identity_url

_SEE = 302


async def authorize(request: Request) -> Response:
    """Begin an authorization: refuse it in one of three ways, or go on to login and consent."""
    if request.method != "GET":
        return plain_refusal(request, errors.MUST_GET)
    try:
        target = begin(request, read_pairs(request.url.query))
    except Refused as refusal:
        return plain_refusal(request, refusal.reason)
    return RedirectResponse(target, status_code=_SEE, headers={"Cache-Control": "no-store"})


async def token(request: Request) -> Response:
    """Answer a token request."""
    call = call_of(request)
    if request.method != "POST":
        return oauth_refusal(request, {}, errors.MUST_POST)
    form = await read_form(request)
    try:
        fields = await answer_grant(call, form, request.headers.get("authorization"))
    except Refused as refusal:
        return oauth_refusal(request, form, refusal.reason)
    return oauth_answer(request, form, fields)


def _live(call: Call, text: str) -> Session | Grant | None:
    """Find the live access or refresh token of that text."""
    session = call.world.sessions.find(text, now=call.world.clock.now())
    if session is not None:
        return session
    presented = call.world.grants.presented(text)
    return presented[0] if presented is not None and presented[1] else None


async def revoke(request: Request) -> Response:
    """End a token: an access token alone, a refresh token with all that came of it.

    Spec: Salesforce Help, "Revoke OAuth Tokens"; the shape of its errors is a switch.
    """
    call = call_of(request)
    form = read_pairs(request.url.query) | await read_form(request)
    if form.get("token_type_hint", "access_token") not in ("access_token", "refresh_token"):
        return _revoke_refusal(request, errors.TOKEN_TYPE)
    text = form.get("token", "")
    found = _live(call, text)
    org = None if found is None else call.world.org(found.org_id)
    if found is None or org is None or not call.world.serves(call.site, org):
        return _revoke_refusal(request, OAuthError("invalid_token", f"invalid token: {text}"))
    if isinstance(found, Session):
        call.world.sessions.end(found)
    else:
        call.world.end_grant(found.grant_id)
    return Response(b"", status_code=200, headers={"Cache-Control": "no-store"})


def _revoke_refusal(request: Request, reason: OAuthError) -> Response:
    call = call_of(request)
    call.note(error=reason.error)
    chosen = {"form": "urlencoded", "json": "json"}[call.world.switches.revoke_error_format]
    return oauth_answer(request, {"format": chosen}, reason.fields, status=reason.status)


async def introspect(request: Request) -> Response:
    """Tell an app what one of its own tokens is worth.

    Spec: RFC 7662; Salesforce Help, "OpenID Connect Token Introspection Endpoint".
    """
    call = call_of(request)
    form = await read_form(request)
    try:
        app = authenticate_client(
            call.world, form, authorization=request.headers.get("authorization")
        )
    except Refused as refusal:
        return oauth_refusal(request, form, refusal.reason)
    found = _live(call, form.get("token", ""))
    if found is None or not (app.introspects_all_tokens or found.consumer_key == app.consumer_key):
        return oauth_answer(request, form, {"active": False})
    return oauth_answer(request, form, _describe(call, found))


def _describe(call: Call, found: Session | Grant) -> dict[str, object]:
    known = call.world.user(found.org_id, found.user_id)
    if known is None:
        return {"active": False}
    org, user = known
    begun = int(found.created_at.timestamp())
    fields: dict[str, object] = {
        "active": True,
        "scope": " ".join(sorted(found.scopes)),
        "client_id": found.consumer_key,
        "username": user.username,
        "sub": identity_url(call.world, call.face, org, user),
        "iat": begun,
        "nbf": begun,
    }
    if isinstance(found, Grant):
        return fields | {"token_type": "refresh_token"}
    if call.world.switches.introspection_extends_session:
        found = call.world.sessions.extend(found, now=call.world.clock.now())
    return fields | {"token_type": "access_token", "exp": int(found.ends_at.timestamp())}


_ANY = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def oauth_routes() -> list[BaseRoute]:
    """Routes of `/services/oauth2`."""
    return [
        Route("/services/oauth2/authorize", authorize, methods=_ANY),
        Route("/services/oauth2/authorize/{brand}", authorize, methods=["GET"]),
        Route("/services/oauth2/token", token, methods=_ANY),
        Route("/services/oauth2/revoke", revoke, methods=["GET", "POST"]),
        Route("/services/oauth2/introspect", introspect, methods=["POST"]),
    ]
