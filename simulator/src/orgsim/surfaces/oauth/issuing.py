"""Puts tokens in force and writes the token response.

Spec: Salesforce Help, "OAuth 2.0 Web Server Flow for Web App Integration" (fields of the answer);
there is no `expires_in` in it.
"""

import hashlib
import random  # noqa: TID251 - the order of scopes, from the world's seed
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orgsim.keyring import base64url
from orgsim.orgs.apps import App
from orgsim.orgs.grants import Grant
from orgsim.orgs.org import Org, User
from orgsim.orgs.sessions import Session
from orgsim.sites import Face
from orgsim.surfaces.oauth.rules import signature, surplus_approvals
from orgsim.world import World

_NOT_YET = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Whom a token is for: app, org and user, seen on one face."""

    world: World
    face: Face
    site: str
    app: App
    org: Org
    user: User

    @property
    def now(self) -> datetime:
        """The world's time."""
        return self.world.clock.now()

    @property
    def identity_url(self) -> str:
        """The `id` of the token response, which is also the subject of an id_token."""
        return identity_url(self.world, self.face, self.org, self.user)

    @property
    def instance_url(self) -> str:
        """The origin for API calls."""
        url = self.face.origin(self.org.slot)
        if self.world.switches.instance_url_mixed_case and self.face.kind == "names":
            url = url.replace(self.org.my_domain, self.org.my_domain.title(), 1)
        return url + "/" if self.world.switches.instance_url_trailing_slash else url


def identity_url(world: World, face: Face, org: Org, user: User) -> str:
    """Return a user's identity URL; its host is the login host unless switched."""
    site = world.login_site(org)
    if world.switches.identity_host == "my_domain":
        site = org.slot
    return f"{face.origin(site)}/id/{org.org_id}/{user.user_id}"


def approve(
    party: Party, *, scopes: frozenset[str], given_at: datetime | None = None
) -> tuple[Grant, str | None]:
    """Make a grant; where it holds a refresh token, the sixth pushes the oldest out.

    One that was given earlier has been in use until now.
    """
    world, now = party.world, party.now
    token = world.mint.refresh_token() if "refresh_token" in scopes else None
    if token is not None:
        held = world.grants.of(
            org_id=party.org.org_id,
            user_id=party.user.user_id,
            consumer_key=party.app.consumer_key,
        )
        most = world.switches.approvals_per_user_and_app
        for grant in surplus_approvals(held, most=most):
            world.end_grant(grant.grant_id)
    grant = Grant(
        grant_id=world.mint.handle(),
        org_id=party.org.org_id,
        user_id=party.user.user_id,
        consumer_key=party.app.consumer_key,
        scopes=scopes,
        created_at=given_at or now,
        last_used_at=now,
        refresh_hash=None,
    )
    return world.grants.add(grant, refresh_token=token), token


def _jwt_access_token(party: Party, *, scopes: frozenset[str], ends_at: datetime) -> str:
    """Write an access token as JWT.

    Spec: Salesforce Help, "JWT-Based Access Tokens"; claims as in the Mobile SDK's fixtures.
    """
    key, now = party.world.signing_keys[-1], party.now
    origin = party.face.origin(party.org.slot)
    claims = {
        "sfi": party.world.mint.session_mark(before=len('{"sfi":"')),  # the canary's place
        "scp": " ".join(sorted(scopes)),
        "aud": [origin],
        "sub": f"uid:{party.user.user_id}",
        "nbf": int((now - _NOT_YET).timestamp()),
        "mty": "oauth",
        "roles": [],
        "iss": origin,
        "hsc": False,
        "exp": int(ends_at.timestamp()),
        "iat": int(now.timestamp()),
        "client_id": party.app.consumer_key,
    }
    return key.sign(claims, tty="sfdc-core-token", tnk=f"core/prod/{party.org.org_id}", ver="1.0")


def open_session(party: Party, *, scopes: frozenset[str], grant_id: str | None) -> str:
    """Issue an access token; what came of an assertion belongs to no grant."""
    world, now, app = party.world, party.now, party.app
    policy = world.installation(party.org.org_id, app.consumer_key)
    fixed_end = None
    if app.access_token_format == "jwt":  # noqa: S105 - a format's name
        fixed_end = now + timedelta(minutes=app.jwt_access_token_minutes)
        token = _jwt_access_token(party, scopes=scopes, ends_at=fixed_end)
    else:
        token = world.mint.access_token(party.org.org_id)
    session = Session(
        token_hash="",
        grant_id=grant_id,
        org_id=party.org.org_id,
        user_id=party.user.user_id,
        consumer_key=app.consumer_key,
        scopes=scopes,
        created_at=now,
        last_used_at=now,
        idle_minutes=policy.session_minutes,
        fixed_end=fixed_end,
    )
    world.sessions.add(session, access_token=token)
    return token


def id_token(party: Party, *, access_token: str, nonce: str | None) -> str:
    """Sign an id_token.

    Spec: OpenID Connect Core 1.0 sections 2 and 3.1.3.6; Salesforce Help, "OpenID Connect Token".
    """
    digest = hashlib.sha256(access_token.encode()).digest()
    now = party.now
    claims: dict[str, Any] = {
        "at_hash": base64url(digest[: len(digest) // 2]),
        "sub": party.identity_url,
        "aud": party.app.consumer_key,
        "iss": party.face.origin(party.site),
        "exp": int((now + timedelta(minutes=party.app.id_token_minutes)).timestamp()),
        "iat": int(now.timestamp()),
    }
    if nonce is not None:
        claims["nonce"] = nonce
    return party.world.signing_keys[-1].sign(claims)


def scope_text(party: Party, scopes: frozenset[str]) -> str:
    """Write scopes in the order that the seed makes of them."""
    words = sorted(scopes)
    random.Random(party.world.seeded.scope_order).shuffle(words)  # noqa: S311 - no secret
    return " ".join(words)


def token_response(
    party: Party,
    *,
    grant: Grant,
    access_token: str,
    refresh_token: str | None,
    nonce: str | None = None,
) -> dict[str, str]:
    """Return the fields of a token response; what is optional depends on the seed."""
    seeded = party.world.seeded
    issued_at = str(int(party.now.timestamp() * 1000))
    fields = {"access_token": access_token}
    if refresh_token is not None:
        fields["refresh_token"] = refresh_token
    fields["signature"] = signature(
        consumer_secret=party.app.consumer_secret,
        identity_url=party.identity_url,
        issued_at=issued_at,
    )
    fields["scope"] = scope_text(party, grant.scopes)
    if "openid" in grant.scopes:
        fields["id_token"] = id_token(party, access_token=access_token, nonce=nonce)
    fields |= {
        "instance_url": party.instance_url,
        "id": party.identity_url,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }
    if party.app.access_token_format == "jwt":  # noqa: S105 - a format's name
        fields["token_format"] = "jwt"  # noqa: S105 - a format's name
    elif not seeded.leaves_out_optional:
        fields["token_format"] = "opaque"  # noqa: S105 - a format's name
    return fields
