"""The whole walk, on each face: authorize, log in, consent, exchange, refresh, use, revoke."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from orgsim_caller import Caller, error_of
from orgsim_program import OrgsimProgram, user_of

FACES = pytest.mark.parametrize("face", ["plain", "tls", "names"])


@FACES
def test_every_step_from_authorize_to_revoke_keeps_the_face_of_the_caller(
    sim: OrgsimProgram, caller_of: Callable[..., Caller], face: str
) -> None:
    """Every URL that is handed out has the face on which the call came."""
    caller, org = caller_of(face), sim.org()
    person = user_of(org)

    answered = caller.authorize(org)
    assert answered["state"] == "the-state"
    tokens = caller.exchange(answered["code"]).json()

    assert tokens["instance_url"] == caller.org_url(org)
    assert tokens["id"] == f"{caller.login_url}/id/{org['org_id']}/{person['user_id']}"
    assert "expires_in" not in tokens
    assert all(isinstance(value, str) for value in tokens.values())

    renewed = caller.refresh(tokens["refresh_token"]).json()
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert renewed["access_token"] != tokens["access_token"]
    assert renewed["instance_url"] == caller.org_url(org)

    bearer = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert caller.call(renewed["access_token"], org).status_code == 200
    identity = caller.http.get(renewed["id"], headers=bearer).json()
    assert identity["username"] == person["username"]
    assert identity["urls"]["custom_domain"] == caller.org_url(org)
    userinfo = caller.http.get(
        f"{caller.login_url}/services/oauth2/userinfo", headers=bearer
    ).json()
    assert userinfo["organization_id"] == org["org_id"]
    described = _introspect(caller, renewed["access_token"])
    assert described["active"]
    assert described["username"] == person["username"]
    assert 0 <= int(described["exp"]) - int(described["iat"]) - 2 * 60 * 60 < 60

    ended = caller.http.post(
        f"{caller.login_url}/services/oauth2/revoke", data={"token": renewed["refresh_token"]}
    )
    assert (ended.status_code, ended.content) == (200, b"")
    assert caller.call(renewed["access_token"], org).status_code == 401
    assert _introspect(caller, renewed["access_token"]) == {"active": False}
    assert error_of(caller.refresh(renewed["refresh_token"])) == (
        "invalid_grant",
        "expired access/refresh token",
    )


def _introspect(caller: Caller, token: str) -> dict[str, Any]:
    form = {
        "token": token,
        "client_id": caller.app["consumer_key"],
        "client_secret": caller.app["consumer_secret"],
    }
    return dict(
        caller.http.post(f"{caller.login_url}/services/oauth2/introspect", data=form).json()
    )


@FACES
def test_a_my_domain_serves_its_own_org_from_end_to_end(
    sim: OrgsimProgram, caller_of: Callable[..., Caller], face: str
) -> None:
    """The org's own host does all that its login host does."""
    caller, org = caller_of(face), sim.org("Larkfield")
    tokens = caller.connect(org, host=caller.org_url(org))
    assert tokens["id"].startswith(caller.login_url)
    assert caller.refresh(tokens["refresh_token"], caller.org_url(org)).status_code == 200


def test_a_sandbox_is_reached_through_its_own_login_host(
    sim: OrgsimProgram, caller: Caller
) -> None:
    """The production login host does not know a sandbox."""
    sandbox = sim.org("Northwind UAT")
    tokens = caller.connect(sandbox, host=caller.sandbox_login_url)
    assert tokens["instance_url"] == caller.org_url(sandbox)
    assert error_of(caller.refresh(tokens["refresh_token"], caller.login_url))[0] == "invalid_grant"


def test_the_signature_is_the_hmac_of_identity_url_and_time_of_issue(
    sim: OrgsimProgram, caller: Caller
) -> None:
    """The consumer secret is the key."""
    tokens = caller.connect(sim.org())
    mac = hmac.digest(
        caller.app["consumer_secret"].encode(),
        f"{tokens['id']}{tokens['issued_at']}".encode(),
        hashlib.sha256,
    )
    assert tokens["signature"] == base64.b64encode(mac).decode()


def test_the_id_token_is_signed_by_a_published_key_and_carries_the_nonce(
    sim: OrgsimProgram, caller: Caller
) -> None:
    """A client can check it from what is published."""
    tokens = caller.connect(sim.org(), nonce="the-nonce")
    head, body, _ = (part + "=" * (-len(part) % 4) for part in tokens["id_token"].split("."))
    header = json.loads(base64.urlsafe_b64decode(head))
    claims = json.loads(base64.urlsafe_b64decode(body))
    keys = caller.http.get(f"{caller.login_url}/id/keys").json()["keys"]
    assert header["alg"] == "RS256"
    assert header["kid"] in {key["kid"] for key in keys}
    assert claims["nonce"] == "the-nonce"
    assert claims["sub"] == tokens["id"]
    assert claims["aud"] == caller.app["consumer_key"]


def test_a_jwt_access_token_holds_the_canary_as_it_is_sent_and_stays_a_sound_jwt(
    sim: OrgsimProgram, caller: Caller
) -> None:
    """A leak is found by one text, encoded or not; the published key verifies the signature."""
    sim.change_app(access_token_format="jwt")
    token = caller.connect(sim.org())["access_token"]
    head, body, signature = token.split(".")
    header, claims = (json.loads(_decoded(part)) for part in (head, body))
    (key,) = [
        key
        for key in caller.http.get(f"{caller.login_url}/id/keys").json()["keys"]
        if key["kid"] == header["kid"]
    ]
    number, exponent = (int.from_bytes(_decoded(key[name]), "big") for name in ("n", "e"))
    public = rsa.RSAPublicNumbers(exponent, number).public_key()

    public.verify(
        _decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
    )
    assert sim.line["canary"] in body
    assert sim.line["canary"] in claims["sfi"]
    assert claims["iss"] == caller.org_url(sim.org())


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
