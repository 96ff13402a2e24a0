"""`use_cases.connect_by_assertion`: no person logs in, and nothing is believed unseen."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import claims_of, refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import (
    API_KEY,
    APP,
    CONNECTION,
    CUSTOMER,
    INSTANCE_URL,
    ORG,
    OTHER_ORG,
    OTHER_USER,
    OTHER_WORKSPACE,
    REFRESH,
    START,
    USER,
    WORKSPACE,
    app,
    user,
)

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.connection import ConnectionState, Renewal
from keyturn_service.domain.errors import Conflict, ConnectRefused, NotFound, ServiceError
from keyturn_service.domain.ids import AppId, CustomerId, IncidentId
from keyturn_service.domain.incident import Incident, Scope
from keyturn_service.ports import SealRefused, StoreUnavailable

TEST_HOST = LOGIN_HOSTS[Environment.SANDBOX]
THE_SAME = "00D5g000004bLxZ!AQ.the-same"
INITECH = CustomerId("initech")
INCIDENT = Incident(id=IncidentId("inc_one"), scope=Scope(), reason="a leak", opened_at=START)


async def refusal_of(asked: Awaitable[object]) -> str:
    """Return the code that something is refused with."""
    with pytest.raises(ServiceError) as refusal:
        await asked
    assert isinstance(refusal.value, ConnectRefused | Conflict | NotFound)
    return refusal.value.code


@pytest.fixture
async def signing(bare: Replica) -> Replica:
    """Return a replica whose app has a signing key."""
    await bare.with_signing_key()
    return bare


async def test_an_org_is_connected_and_serves_at_once(signing: Replica, world: World) -> None:
    """Org and user as the org's own host told them; the audience is remembered."""
    made, new = await signing.asserted()

    assert new
    assert (made.state, made.renewal, made.generation) == (
        ConnectionState.ACTIVE,
        Renewal.JWT_BEARER,
        1,
    )
    assert (made.org_id, made.org_name, made.user) == (ORG, "Globex", user())
    assert (made.instance_url, made.login_url) == (INSTANCE_URL, LOGIN_HOSTS["production"])
    assert made.audience == "https://login.salesforce.com"
    assert await world.connection(made.id) == made
    loaded = await world.base.stores.tokens.load(made.id)
    assert loaded is not None
    assert loaded[1].refresh_token is None
    assert loaded[1].serves(START)


async def test_it_is_recorded_who_connected_whom(signing: Replica, world: World) -> None:
    """The API key, the customer, the org and the user."""
    made, _ = await signing.asserted()

    [event] = world.audit.of("connection.authorized_by_assertion")
    assert (event.actor, event.connection_id, event.workspace_id) == (API_KEY, made.id, WORKSPACE)
    assert event.detail == {
        "customer_id": "globex",
        "org_id": ORG,
        "user_id": USER,
        "generation": 1,
    }


@pytest.mark.parametrize(
    ("asked", "host", "audience"),
    [
        ({}, LOGIN_HOSTS["production"], LOGIN_HOSTS["production"]),
        ({"environment": Environment.SANDBOX}, TEST_HOST, TEST_HOST),
        ({"my_domain": "globex"}, INSTANCE_URL, LOGIN_HOSTS["production"]),
        (
            {"my_domain": INSTANCE_URL, "environment": Environment.SANDBOX},
            INSTANCE_URL,
            LOGIN_HOSTS["production"],
        ),
        ({"my_domain": "https://test.salesforce.com"}, TEST_HOST, TEST_HOST),
    ],
)
async def test_the_assertion_goes_where_the_vendor_said(
    signing: Replica, world: World, asked: dict[str, Any], host: Origin, audience: str
) -> None:
    """To the My Domain, or the login host of the environment; the audience is a login host."""
    made, _ = await signing.asserted(**asked)

    assert f"present {host}" in world.journal
    assert claims_of(world.org.presented[0])["aud"] == audience
    assert made.login_url == host


async def test_a_my_domain_has_to_be_the_orgs_own(signing: Replica, world: World) -> None:
    """It names the org before the token does."""
    other = Origin("https://initech.my.salesforce.com")
    world.directory.hosts[other] = OTHER_ORG

    assert await refusal_of(signing.asserted(my_domain=other)) == "org_mismatch"


async def test_the_org_that_was_named_is_the_one_that_has_to_come(
    signing: Replica, world: World
) -> None:
    """What came of another one is ended, and nothing kept."""
    assert await refusal_of(signing.asserted(org_id=OTHER_ORG)) == "org_mismatch"

    [(reason, ended)] = await world.jobs()
    assert (reason, len(ended)) == ("refused", 1)
    assert await world.base.rows("SELECT id FROM connections") == []
    [event] = world.audit.of("connection.assertion_refused")
    assert event.detail["problem"] == "org_mismatch"
    assert (await signing.asserted(org_id=ORG))[1]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"id": "https://login.salesforce.com/"}, "unexpected_answer"),
        ({"instance_url": "https://globex.evil.example"}, "host_refused"),
        ({"scope": "id"}, "scopes_missing"),
        ({"instance_url": "https://initech.my.salesforce.com"}, "salesforce_unavailable"),
    ],
)
async def test_what_does_not_hold_is_refused_and_ended(
    signing: Replica, world: World, members: dict[str, str], code: str
) -> None:
    """The same rules as for a code."""
    world.org.members.update(members)

    assert await refusal_of(signing.asserted()) == code
    assert len(await world.jobs()) == 1


async def test_the_scope_refresh_token_need_not_be_granted(signing: Replica, world: World) -> None:
    """None is ever issued for an assertion."""
    world.org.members["scope"] = "api"

    assert (await signing.asserted())[1]


async def test_the_user_is_the_one_who_was_named(signing: Replica) -> None:
    """In any case of its letters; nobody else's token is kept."""
    assert (await signing.asserted(username="ADA@globex.example"))[1]

    assert await refusal_of(signing.asserted(username="eve@globex.example")) == "user_mismatch"


@pytest.mark.parametrize(
    ("error", "description", "code"),
    [
        ("invalid_grant", "user hasn't approved this consumer", "user_not_preauthorized"),
        (
            "invalid_app_access",
            "user is not admin approved to access this app",
            "user_not_authorized",
        ),
        ("invalid_client", "invalid client credentials", "certificate_refused"),
        ("invalid_client_id", "client identifier invalid", "client_unknown"),
        ("invalid_grant", "inactive user", "user_inactive"),
        ("rate_limit_exceeded", "login rate exceeded", "login_rate_exceeded"),
    ],
)
async def test_each_refusal_of_salesforces_is_told(
    signing: Replica, world: World, error: str, description: str, code: str
) -> None:
    """With its own code, and recorded; nothing is kept."""
    world.org.next.append(refused(error, description))

    assert await refusal_of(signing.asserted()) == code
    [event] = world.audit.of("connection.assertion_refused")
    assert event.detail == {
        "customer_id": "globex",
        "login_url": LOGIN_HOSTS["production"],
        "about": f"{error}: {description}",
        "problem": code,
    }
    assert await world.jobs() == []


async def test_what_is_missing_here_is_told(bare: Replica, world: World) -> None:
    """A signing key, consumer credentials, a host of Salesforce's, an app."""
    assert await refusal_of(bare.asserted()) == "signing_key_missing"
    await bare.with_signing_key()
    assert await refusal_of(bare.asserted(my_domain="evil.example")) == "host_refused"
    assert await refusal_of(bare.asserted(app_id=AppId("app_no"))) == "not_found"
    await world.base.execute("UPDATE apps SET consumer_key = NULL")
    assert await refusal_of(bare.asserted()) == "consumer_credentials_missing"
    assert world.org.presented == []


async def test_the_app_is_named_where_there_are_several(signing: Replica, world: World) -> None:
    """And found by itself where there is one."""
    await world.base.stores.apps.add(app(id=AppId("app_two")))

    assert await refusal_of(signing.asserted()) == "app_required"
    assert (await signing.asserted(app_id=APP))[1]


async def test_a_workspace_without_apps_connects_nobody(signing: Replica) -> None:
    """There is nothing to connect with."""
    with pytest.raises(NotFound):
        await signing.connect_by_assertion(
            OTHER_WORKSPACE,
            API_KEY,
            customer_id=INITECH,
            username="x",
            app_id=None,
            environment=None,
            my_domain=None,
            org_id=None,
        )


async def test_the_same_org_for_a_second_customer_is_refused(
    signing: Replica, world: World
) -> None:
    """Unless the app allows it."""
    await signing.asserted()
    assert await refusal_of(signing.asserted(customer_id=INITECH)) == "org_already_connected"

    await world.base.stores.apps.replace(app(allow_same_org=True))
    assert (await signing.asserted(customer_id=INITECH))[1]


async def test_asked_again_the_connection_stays_the_same(signing: Replica) -> None:
    """With a new token set; what the vendor set of it stays."""
    made, _ = await signing.asserted()
    await signing.stores.connections.set_keep_alive(made.id, keep_alive=False, now=START)

    again, new = await signing.asserted()

    assert (new, again.id, again.generation) == (False, made.id, 2)
    assert (again.keep_alive, again.created_at) == (False, made.created_at)


async def test_a_code_connection_of_the_same_user_keeps_its_grant(
    replica: Replica, world: World
) -> None:
    """The user's approval may be what lets the assertion in."""
    await replica.with_signing_key()

    made, new = await replica.asserted()

    assert (new, made.id, made.renewal) == (False, CONNECTION, Renewal.JWT_BEARER)
    assert (await world.tokens()).refresh_token == RefreshToken(REFRESH)
    assert await world.jobs() == []


async def test_a_grant_that_an_incident_is_to_end_is_not_kept(
    replica: Replica, world: World
) -> None:
    """It may have been stolen: its refresh token is revoked, though the user is the same."""
    await replica.with_signing_key()
    await replica.stores.incidents.open(INCIDENT)
    world.clock.advance(minutes=1)

    made, _ = await replica.asserted()

    assert (made.id, made.state, made.problem) == (CONNECTION, ConnectionState.ACTIVE, None)
    assert (await world.tokens()).refresh_token is None
    assert await world.jobs() == [("superseded", [REFRESH])]


@pytest.mark.parametrize("same", [True, False])
async def test_a_session_that_an_incident_is_to_end_is_ended_unless_it_is_the_new_one(
    signing: Replica, world: World, *, same: bool
) -> None:
    """Salesforce may hand out one that there is."""
    await signing.asserted()
    [(before,)] = await world.base.rows("SELECT id FROM connections")
    loaded = await signing.stores.tokens.load(before)
    assert loaded is not None
    access = loaded[1].access_token.reveal()
    await signing.stores.incidents.open(INCIDENT)
    if same:
        world.org.members["access_token"] = access

    await signing.asserted()

    assert await world.jobs() == ([] if same else [("superseded", [access])])


async def test_another_users_grant_is_ended_once_the_new_one_is_stored(
    replica: Replica, world: World
) -> None:
    """From the person who connected to an integration user."""
    await replica.with_signing_key()
    world.directory.user_id = world.org.user_id = OTHER_USER

    made, _ = await replica.asserted()

    assert (await world.connection()).user.id == OTHER_USER == made.user.id
    assert (await world.tokens()).refresh_token is None
    assert await world.jobs() == [("superseded", [REFRESH])]


@pytest.mark.parametrize("cut_off", ["after a commit", "before it", "the audit"])
async def test_another_users_grant_is_ended_whatever_is_cut_off(
    replica: Replica, world: World, cut_off: str
) -> None:
    """Its revocation is kept with the new grant, or neither of them is."""
    await replica.with_signing_key()
    world.directory.user_id = world.org.user_id = OTHER_USER
    kept = cut_off != "before it"
    if cut_off == "the audit":
        world.audit.refuses = {"grant.revocation_asked"}
    else:
        (replica.store.loses if kept else replica.store.fails)["renew"] = [StoreUnavailable()]

    done = cut_off == "the audit"  # which is asked after the commit
    with contextlib.nullcontext() if done else pytest.raises(StoreUnavailable):
        await replica.asserted()

    assert (await world.tokens()).generation == 1 + kept
    assert await world.carried_out(replica) == [REFRESH][: int(kept)]


async def test_another_users_session_is_ended_where_there_is_no_refresh_token(
    signing: Replica, world: World
) -> None:
    """From one integration user to another."""
    made, _ = await signing.asserted()
    loaded = await world.base.stores.tokens.load(made.id)
    assert loaded is not None
    world.directory.user_id = world.org.user_id = OTHER_USER

    await signing.asserted()

    assert await world.jobs() == [("superseded", [loaded[1].access_token.reveal()])]


async def test_a_connection_that_is_ended_meanwhile_is_not_brought_back(
    signing: Replica, world: World
) -> None:
    """What came is ended."""
    await signing.asserted()
    await world.base.execute("UPDATE connections SET ending = true")

    assert await refusal_of(signing.asserted()) == "refresh_under_way"
    assert [reason for reason, _ in await world.jobs()] == ["refused"]


async def test_a_connection_without_tokens_gets_some(signing: Replica, world: World) -> None:
    """Its row of tokens was lost: it is written anew."""
    made, _ = await signing.asserted()
    await world.base.execute("DELETE FROM token_sets")

    again, new = await signing.asserted()

    assert (new, again.id, again.generation) == (False, made.id, 2)
    assert await world.base.stores.tokens.load(made.id) is not None


async def test_a_connection_that_is_being_refreshed_is_waited_for(
    signing: Replica, world: World
) -> None:
    """For a while; nothing is stored under somebody else's lease."""
    made, _ = await signing.asserted()
    assert await world.base.stores.leases.acquire(made.id, ttl=timedelta(minutes=5)) is not None

    assert await refusal_of(signing.asserted()) == "refresh_under_way"
    assert sum(signing.waiting.slept) >= 10


async def test_a_refresh_that_ends_in_time_is_waited_out(signing: Replica, world: World) -> None:
    """Then the grant is stored."""
    made, _ = await signing.asserted()
    lease = await world.base.stores.leases.acquire(made.id, ttl=timedelta(minutes=5))
    assert lease is not None
    signing.waiting.meanwhile.append(lambda: world.base.stores.leases.release(lease))

    assert (await signing.asserted())[0].generation == 2


async def test_of_two_at_once_one_is_asked_to_come_again(
    kitchen: Kitchen, signing: Replica, world: World
) -> None:
    """Both were new when they looked; there is one connection, and no token too many."""
    other = await kitchen.replica("spool_two")
    late = replace(signing.connect_by_assertion, verify=_Late(other, signing))

    with pytest.raises(Conflict) as refused_:
        await replace(signing, connect_by_assertion=late).asserted()

    assert refused_.value.code == "refresh_under_way"
    assert len(await world.base.rows("SELECT id FROM connections")) == 1
    assert [reason for reason, _ in await world.jobs()] == ["refused"]


async def test_of_two_at_once_none_ends_the_session_that_both_got(
    kitchen: Kitchen, signing: Replica, world: World
) -> None:
    """Salesforce may hand out one that there is: it is in force for who was first."""
    world.org.members["access_token"] = THE_SAME
    other = await kitchen.replica("spool_two")
    late = replace(signing.connect_by_assertion, verify=_Late(other, signing))

    with pytest.raises(Conflict):
        await replace(signing, connect_by_assertion=late).asserted()

    assert await world.jobs() == []


@pytest.mark.parametrize("kept", ["in force", "another", "no tokens", "does not open"])
async def test_a_mistake_does_not_end_the_session_of_a_connection(
    signing: Replica, world: World, kept: str
) -> None:
    """Asked for another customer, Salesforce hands out what the first one is served by."""
    world.org.members["access_token"] = THE_SAME
    await signing.asserted()
    if kept == "another":
        world.org.members["access_token"] = f"{THE_SAME}.2"
    elif kept == "no tokens":
        await world.base.execute("DELETE FROM token_sets")
    elif kept == "does not open":
        signing.store.fails["load"] = [SealRefused("changed")]

    assert await refusal_of(signing.asserted(customer_id=INITECH)) == "org_already_connected"

    came = world.org.members["access_token"]
    assert await world.jobs() == ([] if kept == "in force" else [("refused", [came])])


async def test_of_two_customers_at_once_one_is_refused(
    kitchen: Kitchen, signing: Replica, world: World
) -> None:
    """The org belonged to nobody when they looked; what came for the second is ended."""
    other = await kitchen.replica("spool_two")
    late = replace(signing.connect_by_assertion, verify=_Late(other, signing, "initech"))

    asked = replace(signing, connect_by_assertion=late).asserted()

    assert await refusal_of(asked) == "org_already_connected"
    assert await world.base.rows("SELECT customer_id FROM connections") == [("initech",)]
    assert [reason for reason, _ in await world.jobs()] == ["refused"]
    assert world.audit.types[-1] == "connection.assertion_refused"


class _Late:
    """A verification after which somebody else connects the same org."""

    def __init__(self, other: Replica, signing: Replica, customer: str = CUSTOMER) -> None:
        self._other, self._verify = other, signing.connect_by_assertion.verify
        self._customer = customer

    async def check(self, *asked: Any) -> Any:
        """Verify, and let the other one be first."""
        found = await self._verify.check(*asked)
        await self._other.asserted(customer_id=self._customer)
        return found
