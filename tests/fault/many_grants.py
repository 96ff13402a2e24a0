"""Many grants in an instant: given by the simulator as by an org, kept as a replica keeps them.

The pages of the service are left out: what is tested is what becomes of many connections.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from tests.fault.crash_world import CrashWorld
from tools.walker import Walker

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import read_org_id, read_user_id
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.bootstrap import open_house
from keyturn_service.domain.app import App
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    ConnectionState,
    Renewal,
    TokenSet,
)
from keyturn_service.domain.ids import ConnectionId, CustomerId
from keyturn_service.settings import read_settings

SWITCHES: Final = ("approvals_per_user_and_app=100000",)
"""What `orgsim` needs, so that a few users can give many grants."""
_VERIFIER: Final = "v" * 64
_SESSION: Final = timedelta(hours=2)


@dataclass(frozen=True, kw_only=True)
class _Given:
    """A token response, and who gave it."""

    org: Mapping[str, Any]
    username: str
    said: Mapping[str, Any]


def connect_many(world: CrashWorld, count: int) -> list[str]:
    """Connect so many customers, by the users of all orgs in turn; return the connections' ids."""
    people = [
        (org, user)
        for org in world.said["orgs"]
        if org["package_installed"] and org["environment"] == "production"
        if org["permitted_users"] == "all"
        for user in org["users"]
    ]
    shares = [len(range(at, count, len(people))) for at in range(len(people))]
    with ThreadPoolExecutor(len(people)) as pool:
        given = pool.map(lambda one, count: _grants(world, *one, count), people, shares)
        grants = [one for some in given for one in some]
    now = datetime.fromisoformat(world.control.get("/clock").json()["now"])
    asyncio.run(_kept(world, grants, now))
    return [f"con_{number:06}" for number in range(count)]


def _grants(
    world: CrashWorld, org: Mapping[str, Any], user: Mapping[str, str], count: int
) -> list[_Given]:
    """Have one user grant access so many times."""
    app = next(app for app in world.said["apps"] if app["name"] == "Acme")
    callback = f"{world.url}/oauth/callback"
    digest = hashlib.sha256(_VERIFIER.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": app["consumer_key"],
        "redirect_uri": callback,
        "scope": "api refresh_token id openid",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    address = f"{org['my_domain_url']}/services/oauth2/authorize?{urlencode(asked)}"
    exchanged = {
        "grant_type": "authorization_code",
        "client_id": app["consumer_key"],
        "client_secret": app["consumer_secret"],
        "redirect_uri": callback,
        "code_verifier": _VERIFIER,
    }
    given = []
    http = httpx2.Client(trust_env=False, timeout=60)
    with Walker(http) as browser:
        browser.stop_before = callback
        for _ in range(count):
            browser.stopped_at = None
            browser.get(address)
            if browser.stopped_at is None:
                browser.submit("Login", username=user["username"], pw=user["password"])
                browser.submit("oaapprove")
            [code] = parse_qs(urlsplit(browser.stopped_at or "").query)["code"]
            answer = http.post(
                f"{world.said['login_url']}/services/oauth2/token", data=exchanged | {"code": code}
            )
            answer.raise_for_status()
            given.append(_Given(org=org, username=user["username"], said=answer.json()))
    return given


async def _kept(world: CrashWorld, grants: Sequence[_Given], now: datetime) -> None:
    settings = read_settings(**world.settings, dev_world=world.dev_world)
    async with open_house(settings, background=False) as house:
        [workspace] = await house.stores.workspaces.all()
        [app] = await house.stores.apps.list(workspace.id)
        login_url = Origin(world.said["login_url"])
        for number, given in enumerate(grants):
            connection = replace(
                _connection(given, app, login_url, now),
                id=ConnectionId(f"con_{number:06}"),
                customer_id=CustomerId(f"customer-{number}"),
            )
            tokens = TokenSet(
                generation=1,
                access_token=AccessToken(given.said["access_token"]),
                refresh_token=RefreshToken(given.said["refresh_token"]),
                received_at=now,
                expires_at=now + _SESSION,
            )
            if not await house.stores.tokens.add(connection, tokens):
                raise RuntimeError("a customer is connected twice")


def _connection(given: _Given, app: App, login_url: Origin, now: datetime) -> Connection:
    org_id, user_id = given.said["id"].rsplit("/", 2)[1:]
    return Connection(
        id=ConnectionId(""),
        workspace_id=app.workspace_id,
        app_id=app.id,
        customer_id=CustomerId(""),
        state=ConnectionState.ACTIVE,
        environment=Environment.PRODUCTION,
        org_id=read_org_id(org_id),
        org_name=given.org["name"],
        instance_url=Origin(given.said["instance_url"]),
        login_url=login_url,
        user=ConnectedUser(id=read_user_id(user_id), username=given.username, email=None),
        scopes=frozenset(Scope(one) for one in given.said["scope"].split()),
        renewal=Renewal.REFRESH_TOKEN,
        keep_alive=True,
        generation=1,
        session_life=_SESSION,
        created_at=now,
        authorized_at=now,
        last_used_at=None,
        last_refreshed_at=now,
        problem=None,
    )
