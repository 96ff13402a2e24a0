"""Many grants in an instant: given by the simulator as by an org, kept as a replica keeps them.

The pages of the service are left out: what is tested is what becomes of many connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from tests.fault.crash_world import CrashWorld

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
_SESSION: Final = timedelta(hours=2)
_PAGE: Final = 1_000  # grants, of one call at the simulator's control port
_AT_ONCE: Final = 16


@dataclass(frozen=True, kw_only=True)
class _Given:
    """Tokens of one grant, what is said of them, and who gave it."""

    org: Mapping[str, Any]
    username: str
    said: Mapping[str, Any]
    tokens: Mapping[str, str]


def connect_many(
    world: CrashWorld, count: int, *, first: int = 0, days_ago: int = 0
) -> Sequence[str]:
    """Connect so many customers, by the users of all orgs in turn; return the connections' ids.

    They granted access so many days ago, and were refreshed just now.
    """
    people = [
        (org, user)
        for org in world.said["orgs"]
        if org["package_installed"] and org["environment"] == "production"
        if org["permitted_users"] == "all"
        for user in org["users"]
    ]
    shares = [len(range(at, count, len(people))) for at in range(len(people))]
    given = [
        one
        for (org, user), share in zip(people, shares, strict=True)
        for one in _grants(world, org, user, share, days_ago)
    ]
    return asyncio.run(_kept(world, given, first, timedelta(days=days_ago)))


def _grants(
    world: CrashWorld, org: Mapping[str, Any], user: Mapping[str, str], count: int, days_ago: int
) -> Iterator[_Given]:
    """Have one user grant access so many times."""
    for begin in range(0, count, _PAGE):
        asked = {
            "app": "Acme",
            "user_id": user["user_id"],
            "count": min(_PAGE, count - begin),
            "age": f"P{days_ago}D",
        }
        answer = world.control.post(f"/orgs/{org['org_id']}/grants", json=asked)
        answer.raise_for_status()
        said = answer.json()
        for tokens in said["grants"]:
            yield _Given(org=org, username=user["username"], said=said, tokens=tokens)


async def _kept(
    world: CrashWorld, grants: Sequence[_Given], first: int, age: timedelta
) -> Sequence[str]:
    settings = read_settings(**world.settings, dev_world=world.dev_world)
    async with open_house(settings, background=False) as house:
        now = house.clock.now()
        [workspace] = await house.stores.workspaces.all()
        [found] = await house.stores.apps.list(workspace.id)
        app = replace(found, allow_same_org=True)
        await house.stores.apps.replace(app)
        login_url = Origin(world.said["login_url"])
        turns = asyncio.Semaphore(_AT_ONCE)

        async def keep(number: int, given: _Given) -> str:
            connection = replace(
                _connection(given, app, login_url, now),
                id=ConnectionId(f"con_{number:06}"),
                customer_id=CustomerId(f"customer-{number}"),
                authorized_at=now - age,
            )
            tokens = TokenSet(
                generation=1,
                access_token=AccessToken(given.tokens["access_token"]),
                refresh_token=RefreshToken(given.tokens["refresh_token"]),
                received_at=now,
                expires_at=now + _SESSION,
            )
            async with turns:
                if not await house.stores.tokens.add(connection, tokens):
                    raise RuntimeError("a customer is connected twice")
            return str(connection.id)

        return await asyncio.gather(
            *(keep(number, given) for number, given in enumerate(grants, first))
        )


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
