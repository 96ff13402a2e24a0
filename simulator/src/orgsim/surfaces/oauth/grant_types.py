"""The grants of the token endpoint, one function each, in the table at the end.

A grant that no app here has switched on answers as such an org would.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from orgsim.orgs.apps import App
from orgsim.orgs.grants import Grant
from orgsim.orgs.org import Org, User
from orgsim.sites import LOGIN_HOSTS
from orgsim.surfaces.call import Call
from orgsim.surfaces.oauth import assertions, errors, rules
from orgsim.surfaces.oauth.clients import authenticate_client
from orgsim.surfaces.oauth.errors import OAuthError, Refused
from orgsim.surfaces.oauth.issuing import (
    Party,
    approve,
    open_session,
    scope_text,
    token_response,
)
from orgsim.world import World

Form = Mapping[str, str]
Fields = dict[str, str]


def count_login(world: World, user: User) -> None:
    """Count a login of the user.

    Spec: Salesforce Help, "Login Rate Limit Exceeded": 3,600 an hour.
    """
    most = world.switches.logins_per_hour
    if not world.logins.allows(user.user_id, most=most, now=world.clock.now()):
        raise Refused(errors.RATE_LIMIT)


def _party(call: Call, app: App, org: Org, user: User) -> Party:
    return Party(world=call.world, face=call.face, site=call.site, app=app, org=org, user=user)


def _check_person(call: Call, app: App, org: Org, user: User) -> None:
    policy = call.world.installation(org.org_id, app.consumer_key)
    rules.check_user_at_token(org, user, policy, switches=call.world.switches)
    if not app.admits_address(call.client):
        raise Refused(errors.IP_RESTRICTED)


async def authorization_code(call: Call, form: Form, authorization: str | None) -> Fields:
    """Exchange a code for tokens, once.

    Spec: RFC 6749 section 4.1.3; Salesforce Help, "OAuth 2.0 Web Server Flow".
    """
    world = call.world
    app = authenticate_client(world, form, authorization=authorization)
    found = world.codes.find(form.get("code", ""))
    if found is not None and found.used and found.grant_id and world.switches.code_reuse_revokes:
        world.end_grant(found.grant_id)
    code = rules.check_code(found, app=app, now=world.clock.now())
    known = world.user(code.org_id, code.user_id)
    if known is None or not world.serves(call.site, known[0]):
        raise Refused(errors.CODE_EXPIRED)
    org, user = known
    if form.get("redirect_uri") != code.redirect_uri:
        raise Refused(errors.REDIRECT_MISMATCH)
    try:
        rules.check_verifier(
            code.code_challenge, form.get("code_verifier"), switches=world.switches
        )
    except Refused:
        if world.switches.wrong_verifier_burns_code:
            world.codes.use(code, grant_id=None)
        raise
    _check_person(call, app, org, user)
    count_login(world, user)
    party = _party(call, app, org, user)
    grant, refresh_token = approve(party, scopes=code.scopes)
    world.codes.use(code, grant_id=grant.grant_id)
    return token_response(
        party,
        grant=grant,
        access_token=open_session(party, scopes=grant.scopes, grant_id=grant.grant_id),
        refresh_token=refresh_token,
        nonce=code.nonce,
    )


def _reused(world: World, grant: Grant) -> None:
    """Kill what a used-up refresh token belonged to.

    Spec: Salesforce Metadata API Developer Guide, "ConnectedApp"
    (`isRefreshTokenRotationEnabled`): the current refresh token and its access tokens are
    deleted. Whether it goes further is a switch.
    """
    doomed = [grant]
    if world.switches.reuse_cascades:
        doomed = world.grants.of(
            org_id=grant.org_id, user_id=grant.user_id, consumer_key=grant.consumer_key
        )
    for one in doomed:
        world.end_grant(one.grant_id)


def _in_grace(world: World, grant: Grant) -> bool:
    grace = timedelta(seconds=world.switches.rotation_grace_seconds)
    return grant.rotated_at is not None and world.clock.now() < grant.rotated_at + grace


def _find_grant(call: Call, form: Form, app: App) -> tuple[Grant, Org, User]:
    """Find the grant of a presented refresh token, or say why it is dead."""
    world = call.world
    presented = world.grants.presented(form.get("refresh_token", ""))
    if presented is None or presented[0].consumer_key != app.consumer_key:
        raise Refused(errors.TOKEN_EXPIRED)
    grant, in_force = presented
    known = world.user(grant.org_id, grant.user_id)
    if known is None or not world.serves(call.site, known[0]):
        raise Refused(errors.TOKEN_EXPIRED)
    if grant.grant_id in world.refreshing:
        if world.switches.parallel_refresh_kills:
            world.end_grant(grant.grant_id)
        raise Refused(errors.ALREADY_PROCESSING)
    if not in_force and not _in_grace(world, grant):
        _reused(world, grant)
        raise Refused(errors.TOKEN_EXPIRED)
    return grant, *known


async def refresh_token(call: Call, form: Form, authorization: str | None) -> Fields:
    """Renew an access token; with rotation on, the refresh token too.

    One request at a time for each grant: the others are told so until the answer of the first
    has left.

    Spec: Salesforce Help, "OAuth 2.0 Refresh Token Flow"; Salesforce release notes Summer '24,
    "Refresh Token Requests Are Processed One at a Time".
    """
    world = call.world
    app = authenticate_client(world, form, authorization=authorization, for_refresh=True)
    grant, org, user = _find_grant(call, form, app)
    world.refreshing.add(grant.grant_id)
    call.finally_.append(lambda: world.refreshing.discard(grant.grant_id))
    await asyncio.sleep(world.switches.refresh_milliseconds / 1000)
    alive = world.grants.get(grant.grant_id)
    if alive is None:  # killed meanwhile
        raise Refused(errors.TOKEN_EXPIRED)
    grant = alive
    _check_person(call, app, org, user)
    policy = world.installation(org.org_id, app.consumer_key)
    rules.check_refresh_lifetime(
        grant, app=app, policy=policy, switches=world.switches, now=world.clock.now()
    )
    if world.switches.refresh_counts_as_login:
        count_login(world, user)
    party, renewed = _party(call, app, org, user), None
    if app.rotation:
        renewed = world.mint.refresh_token()
        grant = world.grants.rotate(grant, refresh_token=renewed, now=party.now)
    else:
        grant = world.grants.touch(grant, now=party.now)
    access_token = open_session(party, scopes=grant.scopes, grant_id=grant.grant_id)
    return token_response(party, grant=grant, access_token=access_token, refresh_token=renewed)


def _accepted_audiences(call: Call, org: Org) -> frozenset[str]:
    """Return what `aud` may be: the login host's true name, or its address on this face."""
    world = call.world
    site = world.login_site(org)
    accepted = {f"https://{LOGIN_HOSTS[site]}", call.face.origin(site)}
    if world.switches.my_domain_is_audience:
        accepted |= {f"https://{org.host}", call.face.origin(org.slot)}
    return frozenset(accepted)


async def jwt_bearer(call: Call, form: Form, authorization: str | None) -> Fields:  # noqa: ARG001
    """Exchange an assertion that the app's certificate verifies; no refresh token comes of it.

    Spec: RFC 7523; Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration".
    """
    world = call.world
    assertion = assertions.read_assertion(form.get("assertion", ""))
    app = world.client(assertion.issuer)
    if app is None:
        raise Refused(errors.UNKNOWN_CLIENT)
    switches, now = world.switches, world.clock.now()
    assertions.check_signature(assertion, app, switches=switches, now=now)
    assertions.check_times(assertion, switches=switches, now=now)
    assertions.check_jti(assertion, world.seen_jtis, switches=switches)
    people = world.people_at(call.site)
    known = next(
        (one for one in people if one[1].username.lower() == assertion.subject.lower()), None
    )
    if known is None:
        raise Refused(errors.NOT_APPROVED)
    org, user = known
    accepted = _accepted_audiences(call, org)
    assertions.check_audience(assertion, accepted=accepted, switches=switches)
    policy = world.installation(org.org_id, app.consumer_key)
    if not policy.installed:
        unknown = switches.assertion_without_package == "unknown_client"
        raise Refused(errors.UNKNOWN_CLIENT if unknown else errors.NOT_APPROVED)
    rules.check_user_at_token(org, user, policy, switches=switches)
    approvals = world.grants.of(
        org_id=org.org_id, user_id=user.user_id, consumer_key=app.consumer_key
    )
    scopes = assertions.scopes_for_assertion(
        app, policy, user.user_id, approvals, switches=switches
    )
    count_login(world, user)
    party = _party(call, app, org, user)
    access_token = open_session(party, scopes=scopes, grant_id=None)
    return {
        "access_token": access_token,
        "scope": scope_text(party, scopes),
        "instance_url": party.instance_url,
        "id": party.identity_url,
        "token_type": "Bearer",
    }


async def my_domain_only(call: Call, form: Form, authorization: str | None) -> Fields:
    """Refuse client credentials and token exchange: at a login host always, else as switched off.

    Spec: Salesforce Help, "OAuth 2.0 Client Credentials Flow"; the first text is reported.
    """
    if call.site in LOGIN_HOSTS:
        raise Refused(errors.WRONG_DOMAIN)
    return await not_enabled(call, form, authorization)


async def not_enabled(call: Call, form: Form, authorization: str | None) -> Fields:
    """Refuse a grant that is not switched on for the app."""
    authenticate_client(call.world, form, authorization=authorization)
    raise Refused(errors.GRANT_TYPE)


async def password(call: Call, form: Form, authorization: str | None) -> Fields:
    """Refuse a password, right or wrong: External Client Apps do not support that flow.

    Spec: Salesforce Help, "OAuth 2.0 Username-Password Flow for Special Scenarios".
    """
    authenticate_client(call.world, form, authorization=authorization)
    raise Refused(errors.AUTHENTICATION_FAILURE)


async def saml_bearer(call: Call, form: Form, authorization: str | None) -> Fields:  # noqa: ARG001
    """Refuse a SAML assertion: no org of this world trusts an issuer of them."""
    raise Refused(errors.BAD_ASSERTION)


GrantType = Callable[[Call, Form, str | None], Awaitable[Fields]]

GRANT_TYPES: dict[str, GrantType] = {
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": jwt_bearer,
    "urn:ietf:params:oauth:grant-type:saml2-bearer": saml_bearer,
    "client_credentials": my_domain_only,
    "urn:ietf:params:oauth:grant-type:token-exchange": my_domain_only,
    "urn:ietf:params:oauth:grant-type:hybrid-token-exchange": my_domain_only,
    "device": not_enabled,
    "hybrid_auth_code": not_enabled,
    "hybrid_refresh": not_enabled,
    "password": password,
}


async def answer_grant(call: Call, form: Form, authorization: str | None) -> Fields:
    """Answer a token request.

    Raises:
        Refused: with the error to send.
    """
    grant_type = GRANT_TYPES.get(form.get("grant_type", ""))
    if call.refusal is not None:
        raise Refused(OAuthError(call.refusal.error, call.refusal.description))
    if grant_type is None:
        raise Refused(errors.GRANT_TYPE)
    return await grant_type(call, form, authorization)
