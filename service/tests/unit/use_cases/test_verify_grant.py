"""`use_cases.verify_grant`: host, org, signature, scopes, user; each is seen, none is believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import json_answer
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    CONNECTION,
    CONSUMER_SECRET,
    INSTANCE_URL,
    LOGIN_URL,
    ORG,
    OTHER_ORG,
    OTHER_USER,
    START,
    USER,
    app,
    authorization,
    consumer_secret,
    session,
    user,
)

from keyturn_core.oauth.client import Client
from keyturn_core.oauth.token_answer import TokenAnswer, read_token_response
from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.identity import InvalidIdentity
from keyturn_core.salesforce.scopes import Scope
from keyturn_service.domain.connect_session import Authorization, ConnectSession
from keyturn_service.domain.connection import DEFAULT_SESSION, SHORTEST_SESSION, ConnectionState
from keyturn_service.domain.ids import ConnectionId, CustomerId
from keyturn_service.ports import Organization, OrgUnreachable, PendingGrant
from keyturn_service.use_cases.verify_grant import GrantRefused

CLIENT = Client(consumer_key="3MVG9.acme", consumer_secret=consumer_secret())
PUBLIC = Client(consumer_key="3MVG9.acme", consumer_secret=None)
SANDBOX_HOST = Origin("https://globex--dev.sandbox.my.salesforce.com")


async def verified(
    replica: Replica,
    *,
    asked: ConnectSession | None = None,
    trip: Authorization | None = None,
    client: Client = CLIENT,
    **members: Any,
) -> PendingGrant:
    """Verify a token response of the org, with some members otherwise."""
    said: Mapping[str, Any] = replica.world.org.token_response() | members
    response = read_token_response({k: v for k, v in said.items() if v is not None})
    assert response is not None
    return await replica.connect.complete.verify(
        asked or session(), trip or authorization(), client, response
    )


async def refused(replica: Replica, **given: Any) -> tuple[str, str]:
    """Return why a token response is refused."""
    with pytest.raises(GrantRefused) as refusal:
        await verified(replica, **given)
    return refusal.value.code, refusal.value.because


def signed(**changes: str) -> dict[str, Any]:
    """Return the members that a signature covers, signed."""
    said = {
        "id": f"https://login.salesforce.com/id/{ORG}/{USER}",
        "issued_at": "1795521600000",
        "secret": CONSUMER_SECRET,
    } | changes
    message = f"{said['id']}{said['issued_at']}".encode()
    mac = hmac.new(said.pop("secret").encode(), message, hashlib.sha256).digest()
    return said | {"signature": base64.b64encode(mac).decode()}


async def test_a_grant_says_whose_it_is(bare: Replica) -> None:
    """Org, user, host, scopes: as the org's own host told them."""
    grant = await verified(bare)

    assert (grant.org_id, grant.org_name, grant.user) == (ORG, "Globex", user())
    assert (grant.instance_url, grant.login_url) == (INSTANCE_URL, LOGIN_URL)
    assert grant.scopes == frozenset({Scope("api"), Scope("refresh_token")})
    assert grant.environment is Environment.PRODUCTION
    assert grant.connection_id == ConnectionId("")
    assert grant.received_at == START


@pytest.mark.parametrize("identity", [None, "https://login.salesforce.com/", "http://[broken"])
async def test_without_an_identity_url_there_is_no_grant(
    bare: Replica, identity: str | None
) -> None:
    """Nobody knows whose it would be."""
    assert await refused(bare, id=identity) == ("unexpected_answer", "identity URL")


async def test_a_good_signature_is_taken(bare: Replica) -> None:
    """It fits identity URL and time under the consumer secret."""
    assert (await verified(bare, **signed())).org_id == ORG


@pytest.mark.parametrize(
    "members",
    [
        signed(secret="another secret"),
        signed() | {"issued_at": "1795521600001"},
        signed() | {"issued_at": None},
        signed() | {"signature": "no base64!"},
        signed() | {"signature": ""},
    ],
)
async def test_a_bad_signature_is_refused(bare: Replica, members: dict[str, Any]) -> None:
    """Where there is one, it has to fit."""
    assert await refused(bare, **members) == ("unexpected_answer", "signature")


async def test_a_public_client_cannot_check_a_signature(bare: Replica) -> None:
    """It has no secret to check it with."""
    grant = await verified(bare, client=PUBLIC, **signed(secret="another secret"))

    assert grant.org_id == ORG


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ("refresh_token", "api"),
        ("refresh_token id", "api"),
        ("api", "refresh_token"),
        ("", "api refresh_token"),
    ],
)
async def test_missing_scopes_are_named(bare: Replica, granted: str, missing: str) -> None:
    """What the app needs and the org did not grant."""
    assert await refused(bare, scope=granted) == ("scopes_missing", missing)


@pytest.mark.parametrize(
    ("granted", "kept"),
    [
        ("offline_access api", {"offline_access", "api"}),
        ("full refresh_token", {"full", "refresh_token"}),
        ("id api refresh_token", {"id", "api", "refresh_token"}),
        (None, {"api", "refresh_token"}),
    ],
)
async def test_enough_scopes_are_enough(bare: Replica, granted: str | None, kept: set[str]) -> None:
    """Others may come along; an answer that names none granted what was asked."""
    assert (await verified(bare, scope=granted)).scopes == kept


async def test_a_grant_without_a_refresh_token_cannot_be_kept_alive(bare: Replica) -> None:
    """Whatever the scopes say."""
    assert await refused(bare, refresh_token=None) == ("scopes_missing", "refresh_token")


async def test_an_app_that_is_gone_needs_no_scopes(bare: Replica, world: World) -> None:
    """It was taken away in the meantime; the rest is checked all the same."""
    await world.base.execute("UPDATE apps SET workspace_id = 'ws_two'")

    assert (await verified(bare, scope="refresh_token")).scopes == {"refresh_token"}


@pytest.mark.parametrize(
    "stated",
    [None, "", "https://attacker.example", "https://login.salesforce.com", "http://x.my.site.com"],
)
async def test_a_token_goes_to_no_host_that_is_not_an_orgs(
    bare: Replica, world: World, stated: str | None
) -> None:
    """A host that is none of Salesforce's API hosts is not even asked."""
    assert await refused(bare, instance_url=stated) == ("host_refused", "instance_url")
    assert world.directory.asked == []
    assert world.directory.given == []


async def test_a_host_that_names_another_org_gets_no_token(bare: Replica, world: World) -> None:
    """The answer to "whose are you" comes before the token."""
    world.directory.hosts[INSTANCE_URL] = OTHER_ORG

    assert await refused(bare) == ("org_mismatch", "the host is another org's")
    assert world.directory.given == []


async def test_a_host_that_does_not_answer_gets_no_token(bare: Replica, world: World) -> None:
    """Unseen is unbelieved."""
    world.directory.hosts.clear()

    assert await refused(bare) == ("salesforce_unavailable", "auth-configuration")
    assert world.directory.given == []


async def test_a_my_domain_that_was_asked_for_has_to_be_the_orgs(
    bare: Replica, world: World
) -> None:
    """A user who named one org is not connected to another."""
    site = Origin("https://globex.my.site.com")
    trip = authorization(login_url=site, environment=None)
    world.directory.hosts[site] = OTHER_ORG
    assert await refused(bare, trip=trip) == ("org_mismatch", "the host is another org's")

    world.directory.hosts[site] = ORG
    assert (await verified(bare, trip=trip)).login_url == site
    assert world.directory.asked[-2:] == [INSTANCE_URL, site]


@pytest.mark.parametrize("error", [OrgUnreachable(), InvalidIdentity("not JSON")])
async def test_an_identity_that_cannot_be_read_is_no_grant(
    bare: Replica, world: World, error: Exception
) -> None:
    """Nobody connects an org without knowing who let us in."""
    world.directory.identity_error = error

    assert await refused(bare) == ("salesforce_unavailable", "identity")


@pytest.mark.parametrize("field", ["org_id", "user_id"])
async def test_an_identity_of_somebody_else_is_refused(
    bare: Replica, world: World, field: str
) -> None:
    """Token response and identity have to speak of the same org and user."""
    setattr(world.directory, field, OTHER_ORG if field == "org_id" else OTHER_USER)

    assert await refused(bare) == ("unexpected_answer", "identity names somebody else")


@pytest.mark.parametrize(
    ("host", "environment"),
    [(INSTANCE_URL, Environment.PRODUCTION), (SANDBOX_HOST, Environment.SANDBOX)],
)
async def test_the_hosts_name_says_what_kind_of_org_it_is(
    bare: Replica, world: World, host: Origin, environment: Environment
) -> None:
    """Before the org's own word and what was chosen, here both the contrary."""
    [contrary] = set(Environment) - {environment}
    world.directory.hosts[host] = ORG
    world.directory.record = Organization(name="Globex", is_sandbox=contrary is Environment.SANDBOX)
    trip = authorization(login_url=LOGIN_HOSTS[contrary], environment=contrary)

    grant = await verified(bare, trip=trip, instance_url=host)

    assert grant.environment is environment


@pytest.mark.parametrize(
    ("record", "chosen", "environment"),
    [
        (Organization(name="Globex", is_sandbox=True), None, Environment.SANDBOX),
        (
            Organization(name="Globex", is_sandbox=False),
            Environment.SANDBOX,
            Environment.PRODUCTION,
        ),
        (None, Environment.SANDBOX, Environment.SANDBOX),
        (None, None, Environment.PRODUCTION),
    ],
)
async def test_a_host_without_a_telling_name_leaves_it_to_the_org(
    bare: Replica,
    world: World,
    record: Organization | None,
    chosen: Environment | None,
    environment: Environment,
) -> None:
    """As a development world's hosts are; then to the choice."""
    host = Origin("http://127.0.0.1:4711")
    world.directory.hosts[host] = ORG
    world.directory.record = record
    login = LOGIN_HOSTS[chosen] if chosen else host
    verify = bare.connect.complete.verify
    object.__setattr__(verify, "loopback", frozenset({host}))

    grant = await verified(
        bare, trip=authorization(login_url=login, environment=chosen), instance_url=host
    )

    assert grant.environment is environment
    assert grant.org_name == (None if record is None else "Globex")


# --- which connection -----------------------------------------------------------------------


async def test_a_customer_that_connects_its_org_again_keeps_its_connection(
    replica: Replica,
) -> None:
    """Without saying so: the same customer and the same org are the same connection."""
    assert (await verified(replica)).connection_id == CONNECTION


@pytest.mark.parametrize("state", [ConnectionState.REVOKED, ConnectionState.PENDING])
async def test_a_connection_that_ended_is_not_taken_up_again(
    bare: Replica, world: World, state: ConnectionState
) -> None:
    """Nor is one that nobody confirmed yet."""
    generation = 0 if state is ConnectionState.PENDING else 1
    await world.base.with_connection(state=state)
    await world.base.execute("UPDATE connections SET generation = :g", g=generation)

    assert (await verified(bare)).connection_id == ""


async def test_an_org_of_another_customer_is_refused(replica: Replica) -> None:
    """Two customers of the vendor do not share an org by accident."""
    other = session(customer_id=CustomerId("initech"))

    told = await refused(replica, asked=other)

    assert told == ("org_already_connected", "for another customer")


async def test_the_vendor_may_allow_an_org_for_several_customers(replica: Replica) -> None:
    """Then it becomes a connection of its own."""
    await replica.stores.apps.replace(app(allow_same_org=True))

    grant = await verified(replica, asked=session(customer_id=CustomerId("initech")))

    assert grant.connection_id == ""


async def test_an_unconfirmed_connection_of_another_customer_blocks_nobody(
    bare: Replica, world: World
) -> None:
    """Else whoever opens a link could keep an org from its owner."""
    await world.base.with_connection(customer_id=CustomerId("initech"))
    await world.base.execute("UPDATE connections SET generation = 0, state = 'pending'")

    assert (await verified(bare)).connection_id == ""


async def test_a_reauthorization_by_the_same_user_is_taken(replica: Replica) -> None:
    """It renews the connection it names."""
    grant = await verified(replica, asked=session(reauthorizes=CONNECTION))

    assert grant.connection_id == CONNECTION


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"org_id": OTHER_ORG}, "org_mismatch"),
        ({"user": user(id=OTHER_USER)}, "user_mismatch"),
    ],
)
async def test_a_connection_keeps_its_org_and_user(
    bare: Replica, world: World, changes: dict[str, Any], code: str
) -> None:
    """Another one is a mistake or an attack, never an update."""
    await world.base.with_connection(**changes)
    await world.base.execute("UPDATE connections SET org_id = :org", org=changes.get("org_id", ORG))

    told, _ = await refused(bare, asked=session(reauthorizes=CONNECTION))

    assert told == code


async def test_a_connection_that_is_gone_cannot_be_reauthorized(bare: Replica) -> None:
    """Nobody knows whose org it was."""
    told, _ = await refused(bare, asked=session(reauthorizes=CONNECTION))

    assert told == "org_mismatch"
    assert bare.connect.complete.verify.clock.now() == START


# --- how long sessions live -----------------------------------------------------------------


def jwt(seconds: int) -> str:
    """Return an access token in JWT format that ends so much later."""
    ends = int(START.timestamp()) + seconds
    payload = base64.urlsafe_b64encode(json.dumps({"exp": ends}).encode()).decode()
    return f"e30.{payload.rstrip('=')}.c2ln"


async def test_a_jwt_teaches_the_length_of_the_orgs_sessions(bare: Replica, world: World) -> None:
    """Nobody has to ask then."""
    grant = await verified(bare, access_token=jwt(3600))

    assert abs(grant.session_life - timedelta(hours=1)) < timedelta(seconds=1)
    assert world.org.posted == []


async def test_an_introspection_teaches_it_for_an_opaque_token(bare: Replica, world: World) -> None:
    """It is asked once, at the login host, with the app's credentials."""
    ends = int(START.timestamp()) + 4 * 3600
    world.org.next_posts.append(json_answer(active=True, exp=ends))

    grant = await verified(bare)

    assert abs(grant.session_life - timedelta(hours=4)) < timedelta(seconds=1)
    [(host, path, form)] = world.org.posted
    assert (host, path) == (LOGIN_URL, "/services/oauth2/introspect")
    assert form["client_id"] == "3MVG9.acme"


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(active=False, exp=1),
        json_answer(active=True),
        json_answer(status=400, error="invalid_token"),
        OrgUnreachable(),
    ],
)
async def test_an_org_that_does_not_tell_has_the_usual_length(
    bare: Replica, world: World, answer: TokenAnswer | Exception
) -> None:
    """Salesforce's default; connecting does not fail on it."""
    world.org.next_posts.append(answer)

    assert (await verified(bare)).session_life == DEFAULT_SESSION


async def test_a_session_is_never_taken_for_shorter_than_an_admin_can_set(
    bare: Replica,
) -> None:
    """A clock that runs wrong does not make every token dead at once."""
    assert (await verified(bare, access_token=jwt(-3600))).session_life == SHORTEST_SESSION


@pytest.mark.parametrize("before", ["", "/site", "/a b", "/services/apexrest/evil"])
async def test_the_access_token_goes_to_the_path_that_the_ids_name(
    replica: Replica, before: str
) -> None:
    """Whatever else stands in the identity URL is not repeated beside a token."""
    await verified(replica, id=f"https://login.salesforce.com{before}/id/{ORG}/{USER}")

    assert replica.world.directory.paths == [f"/id/{ORG}/{USER}"]
