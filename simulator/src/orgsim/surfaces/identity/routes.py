"""HTTP of identity, userinfo, keys and discovery."""

import re
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from orgsim.json_text import compact_json
from orgsim.orgs.sessions import Session
from orgsim.surfaces.call import Call, call_of, read_form
from orgsim.surfaces.identity import rules
from orgsim.surfaces.identity.errors import IdentityRefused
from orgsim.surfaces.oauth.authorization import pass_address
from orgsim.surfaces.oauth.issuing import identity_url

_CALLBACK = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.]{0,100}")


def bearer_of(header: str | None) -> str | None:
    """Return the token of an `Authorization: Bearer` header."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "oauth") and token.strip() else None


async def _session(request: Request) -> Session:
    """Find the session of a call; the token may also come as `oauth_token` or `access_token`."""
    call = call_of(request)
    token = bearer_of(request.headers.get("authorization"))
    if token is None:
        form = await read_form(request) if request.method == "POST" else {}
        query = request.query_params
        token = form.get("access_token") or form.get("oauth_token") or query.get("oauth_token")
    if not token:
        raise IdentityRefused("Missing_OAuth_Token")
    world = call.world
    session = world.sessions.find(token, now=world.clock.now())
    if session is None or not session.scopes & rules.IDENTITY_SCOPES:
        raise IdentityRefused("Bad_OAuth_Token")
    org = world.org(session.org_id)
    if org is None or not world.serves(call.site, org):
        raise IdentityRefused("Wrong_Org")
    call.entry.org_id = org.org_id
    return world.sessions.extend(session, now=world.clock.now())


def _about(call: Call, session: Session, *, version: str | None) -> dict[str, Any]:
    known = call.world.user(session.org_id, session.user_id)
    if known is None or not known[1].active or known[0].state == "locked":
        raise IdentityRefused("Bad_OAuth_Token")
    org, user = known
    policy = call.world.installation(org.org_id, session.consumer_key)
    return {
        "org": org,
        "user": user,
        "identity_url": identity_url(call.world, call.face, org, user),
        "urls": rules.urls_of(org, user, origin=call.face.origin(org.slot), version=version),
        "installed": policy.installed,
    }


def _refusal(request: Request, refused: IdentityRefused) -> Response:
    call_of(request).note(error=refused.word)
    return PlainTextResponse(refused.word, status_code=403, headers={"Cache-Control": "no-store"})


def _json(value: object, **headers: str) -> Response:
    return Response(
        compact_json(value),
        media_type="application/json;charset=UTF-8",
        headers={"Cache-Control": "no-cache,no-store", **headers},
    )


def _xml(fields: Mapping[str, Any]) -> str:
    text = []
    for name, value in fields.items():
        inner = _xml(value) if isinstance(value, Mapping) else escape(_word(value))
        text.append(f"<{name}>{inner}</{name}>")
    return "".join(text)


def _word(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


async def identity(request: Request) -> Response:
    """Answer the identity URL, as JSON, XML or JSONP."""
    call, query = call_of(request), request.query_params
    try:
        session = await _session(request)
        wanted = (request.path_params["org_id"][:15], request.path_params["user_id"][:15])
        if wanted[0] != session.org_id[:15]:
            raise IdentityRefused("Wrong_Org")  # noqa: TRY301 - one place turns it into an answer
        if wanted[1] != session.user_id[:15]:
            raise IdentityRefused("Bad_Id")  # noqa: TRY301 - one place turns it into an answer
        fields = rules.identity_of(**_about(call, session, version=query.get("version")))
    except IdentityRefused as refused:
        return _refusal(request, refused)
    if query.get("format") == "xml":
        body = f'<?xml version="1.0" encoding="UTF-8"?><user>{_xml(fields)}</user>'
        return Response(body, media_type="application/xml")
    callback = query.get("callback")
    if callback is not None and _CALLBACK.fullmatch(callback):
        body = f"{callback}({compact_json(fields).decode()});"
        return Response(body, media_type="application/javascript")
    return _json(fields)


async def userinfo(request: Request) -> Response:
    """Answer OpenID Connect's userinfo."""
    call = call_of(request)
    try:
        session = await _session(request)
        fields = rules.userinfo_of(**_about(call, session, version=None))
    except IdentityRefused as refused:
        return _refusal(request, refused)
    return _json(fields)


async def single_access(request: Request) -> Response:
    """Turn an access token into an address that logs a browser in, once.

    Spec: Salesforce Help, "Generate a Frontdoor URL to Bridge into UI Sessions".
    """
    call = call_of(request)
    try:
        session = await _session(request)
        about = _about(call, session, version=None)
        if not session.scopes & {"web", "full"}:
            raise IdentityRefused("Bad_OAuth_Token")  # noqa: TRY301 - as above
    except IdentityRefused as refused:
        return _refusal(request, refused)
    address = pass_address(
        call,
        org=about["org"],
        user=about["user"],
        start="/home",
        ticket=call.world.mint.browser_secret(),
    )
    return _json({"frontdoor_uri": address})


async def keys(request: Request) -> Response:
    """Publish the keys that sign id_tokens and JWT access tokens."""
    return _json({"keys": [key.public_jwk() for key in call_of(request).world.signing_keys]})


async def discovery(request: Request) -> Response:
    """Publish the discovery document of the host that was asked."""
    return _json(rules.discovery_of(call_of(request).origin))


async def auth_configuration(request: Request) -> Response:
    """Publish a My Domain's pre-login configuration; login hosts have none."""
    call = call_of(request)
    if call.org is None:
        return PlainTextResponse("", status_code=404)
    return _json(rules.auth_configuration_of(call.org, origin=call.origin))


def identity_routes() -> list[BaseRoute]:
    """Routes of identity and discovery."""
    return [
        Route("/services/oauth2/userinfo", userinfo, methods=["GET", "POST"]),
        Route("/services/oauth2/singleaccess", single_access, methods=["GET", "POST"]),
        Route("/id/keys", keys, methods=["GET"]),
        Route("/id/{org_id}/{user_id}", identity, methods=["GET", "POST"]),
        Route("/.well-known/openid-configuration", discovery, methods=["GET"]),
        Route("/.well-known/auth-configuration", auth_configuration, methods=["GET"]),
    ]
