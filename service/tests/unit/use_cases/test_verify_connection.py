"""`use_cases.verify_connection`: the whole way once, or the step that is missing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import refused
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    INSTANCE_URL,
    OTHER_ORG,
    OTHER_USER,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    signing_key,
)

from keyturn_core.oauth.token_answer import OutcomeUnknown
from keyturn_core.salesforce.identity import InvalidIdentity
from keyturn_service.domain.connection import Connection, ConnectionState
from keyturn_service.domain.errors import Conflict, ConnectionCannotServe, NotFound
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import AccessTokenRefused, AuditUnavailable, OrgUnreachable
from keyturn_service.use_cases.verify_connection import (
    BY_ASSERTION,
    BY_REFRESH,
    Step,
    Verification,
)

ACTIVE, GONE = ConnectionState.ACTIVE, ConnectionState.REAUTHORIZATION_REQUIRED
NOT_LET_IN = refused("invalid_grant", "user hasn't approved this consumer")


async def verified(replica: Replica, connection_id: ConnectionId = CONNECTION) -> Verification:
    """Verify a connection."""
    return await replica.verify(WORKSPACE, connection_id, API_KEY)


@pytest.fixture
async def made(bare: Replica, world: World) -> Connection:
    """Return a connection that was made server to server, a minute ago."""
    await bare.with_signing_key()
    connection, _ = await bare.asserted()
    world.clock.advance(minutes=1)
    world.org.presented.clear()
    return connection


async def test_it_works_from_end_to_end(bare: Replica, made: Connection, world: World) -> None:
    """A fresh assertion, a new token set, the user's identity at the org's own host."""
    world.directory.given.clear()

    found = await verified(bare, made.id)

    assert (found.steps, found.missing, found.problem) == (BY_ASSERTION, None, None)
    assert (found.connection.generation, found.connection.state) == (2, ACTIVE)
    assert (found.warnings, found.way_out) == ([], None)
    loaded = await world.base.stores.tokens.load(made.id)
    assert loaded is not None
    assert world.directory.given == [(INSTANCE_URL, loaded[1].access_token.reveal())]
    [event] = world.audit.of("connection.verified")
    assert (event.actor, event.detail) == (API_KEY, {"works": True, "problem": None})


async def test_without_audit_no_token_is_used(
    bare: Replica, made: Connection, world: World
) -> None:
    """The record comes before the use, as of every token."""
    world.directory.given.clear()
    presented = len(world.org.presented)
    world.audit.down = True

    with pytest.raises(AuditUnavailable):
        await verified(bare, made.id)

    assert world.directory.given == []
    assert len(world.org.presented) == presented


async def test_it_is_recorded_before_the_token_is_used(replica: Replica, world: World) -> None:
    """By a refresh token too; the end says how it went."""
    world.audit.refuses = {"connection.verified"}

    with pytest.raises(AuditUnavailable):
        await verified(replica, CONNECTION)

    assert len(world.directory.given) == 1
    assert "connection.verify_begun" in world.audit.types


@pytest.mark.parametrize(
    ("error", "description", "step", "code"),
    [
        ("invalid_client_id", "client identifier invalid", Step.APP, "client_unknown"),
        ("unsupported_grant_type", None, Step.APP, "flow_disabled"),
        ("invalid_grant", "audience is invalid", Step.HOST, "audience_invalid"),
        (
            "invalid_client",
            "invalid client credentials",
            Step.CERTIFICATE,
            "certificate_refused",
        ),
        ("invalid_grant", "invalid assertion", Step.CERTIFICATE, "assertion_invalid"),
        (
            "invalid_grant",
            "user hasn't approved this consumer",
            Step.USER,
            "user_not_preauthorized",
        ),
        (
            "invalid_app_access",
            "user is not admin approved to access this app",
            Step.USER,
            "user_not_authorized",
        ),
        ("invalid_grant", "inactive user", Step.USER, "user_inactive"),
        ("app_blocked", None, Step.USER, "app_blocked"),
        ("rate_limit_exceeded", "login rate exceeded", Step.USER, "login_rate_exceeded"),
    ],
)
async def test_a_refusal_stands_against_its_step(  # noqa: PLR0917 - one claim, four columns
    bare: Replica,
    made: Connection,
    world: World,
    error: str,
    description: str | None,
    step: Step,
    code: str,
) -> None:
    """So that it is seen how far it came, and who has to act."""
    world.org.next.extend([refused(error, description)] * 3)

    found = await verified(bare, made.id)

    assert (found.missing, found.problem) == (step, code)
    [event] = world.audit.of("connection.verified")
    assert event.detail == {"works": False, "problem": code}


async def test_what_is_missing_here_is_seen_before_anybody_is_asked(
    bare: Replica, made: Connection, world: World
) -> None:
    """A signing key, then the consumer credentials."""
    await bare.stores.signing_keys.retire(signing_key(), at=START)
    found = await verified(bare, made.id)
    assert (found.missing, found.problem) == (Step.SIGNING_KEY, "signing_key_missing")

    await world.base.execute("UPDATE apps SET consumer_key = NULL")
    found = await verified(bare, made.id)
    assert (found.missing, found.problem) == (Step.APP, "consumer_credentials_missing")
    assert world.org.presented == []


async def test_the_host_has_to_be_the_orgs(bare: Replica, made: Connection, world: World) -> None:
    """And there."""
    world.directory.hosts[INSTANCE_URL] = OTHER_ORG
    found = await verified(bare, made.id)
    assert (found.missing, found.problem) == (Step.HOST, "org_mismatch")

    del world.directory.hosts[INSTANCE_URL]
    found = await verified(bare, made.id)
    assert (found.missing, found.problem) == (Step.HOST, "salesforce_unavailable")


async def test_a_salesforce_that_does_not_answer_is_no_admins_fault(
    bare: Replica, made: Connection, world: World
) -> None:
    """It stands against the host."""
    world.org.next.append(OutcomeUnknown("no answer"))

    found = await verified(bare, made.id)

    assert (found.missing, found.problem) == (Step.HOST, "salesforce_unavailable")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OrgUnreachable(), "salesforce_unavailable"),
        (InvalidIdentity("x"), "unexpected_answer"),
    ],
)
async def test_the_identity_has_to_come(
    bare: Replica, made: Connection, world: World, error: Exception, code: str
) -> None:
    """It is the first thing that the token is used for."""
    world.directory.identity_error = error

    found = await verified(bare, made.id)

    assert (found.missing, found.problem) == (Step.IDENTITY, code)


@pytest.mark.parametrize(
    ("who", "code"),
    [({"org_id": OTHER_ORG}, "org_mismatch"), ({"user_id": OTHER_USER}, "user_mismatch")],
)
async def test_the_identity_has_to_be_the_connections(
    bare: Replica, made: Connection, world: World, who: Any, code: str
) -> None:
    """Whatever the token response said."""
    for name, value in who.items():
        setattr(world.directory, name, value)

    found = await verified(bare, made.id)

    assert (found.missing, found.problem) == (Step.IDENTITY, code)


async def test_verifying_brings_a_stopped_connection_back(
    bare: Replica, made: Connection, world: World
) -> None:
    """Once the admin has done what was missing; until then it says so again."""
    for _ in range(2):
        world.org.next.append(refused("invalid_grant", "inactive user"))
        found = await verified(bare, made.id)
        assert (found.connection.state, found.connection.problem) == (GONE, "user_inactive")

    found = await verified(bare, made.id)

    assert found.missing is None
    assert (found.connection.state, found.connection.problem) == (ACTIVE, None)


async def test_a_refusal_of_a_moment_ago_is_looked_at_again(
    bare: Replica, made: Connection, world: World
) -> None:
    """Somebody has just mended it; a login rate is not argued with."""
    world.org.next.append(NOT_LET_IN)
    assert (await verified(bare, made.id)).problem == "user_not_preauthorized"
    assert (await verified(bare, made.id)).missing is None

    world.org.next.append(refused("rate_limit_exceeded", "login rate exceeded"))
    await verified(bare, made.id)
    presented = len(world.org.presented)
    assert (await verified(bare, made.id)).problem == "login_rate_exceeded"
    assert len(world.org.presented) == presented


async def test_a_certificate_that_ends_soon_is_a_warning(
    bare: Replica, made: Connection, world: World
) -> None:
    """It works, still."""
    world.clock.advance(days=701)

    found = await verified(bare, made.id)

    assert (found.missing, found.warnings) == (None, ["certificate_expiring"])


async def test_a_connection_that_lost_its_tokens_is_not_proved(
    bare: Replica, made: Connection, world: World
) -> None:
    """There is nothing to renew."""
    await world.base.execute("DELETE FROM token_sets")

    assert (await verified(bare, made.id)).problem == "connection_revoked"


async def test_a_refresh_under_way_is_waited_for(
    bare: Replica, made: Connection, world: World
) -> None:
    """For a while."""
    await world.base.stores.leases.acquire(made.id, ttl=timedelta(minutes=5))

    with pytest.raises(Conflict):
        await verified(bare, made.id)


async def test_the_token_in_force_is_proved(replica: Replica, world: World) -> None:
    """Nothing is renewed that serves."""
    found = await verified(replica)

    assert (found.steps, found.missing, found.way_out) == (BY_REFRESH, None, None)
    assert world.org.presented == []


async def test_a_token_that_the_org_does_not_know_is_renewed_once(
    replica: Replica, world: World
) -> None:
    """The identity service says so in its own way."""
    world.directory.identity_error = AccessTokenRefused("HTTP 403")

    found = await verified(replica)

    assert (found.missing, found.problem) == (Step.IDENTITY, "salesforce_unavailable")
    assert [form["grant_type"] for form in world.org.presented] == ["refresh_token"]


@pytest.mark.parametrize("error", [OrgUnreachable("HTTP 503"), InvalidIdentity("x")])
async def test_what_nobody_refused_is_as_good_as_before(
    replica: Replica, world: World, error: Exception
) -> None:
    """The identity service is away for a moment: nothing is presented, and no life learned."""
    world.clock.advance(minutes=20)
    before, life = await world.tokens(), (await world.connection()).session_life
    world.directory.identity_error = error

    found = await verified(replica)

    assert found.missing is Step.IDENTITY
    assert world.org.presented == []
    assert await world.tokens() == before
    assert (await world.connection()).session_life == life


async def test_a_dead_grant_is_told(replica: Replica, world: World) -> None:
    """With what ended it."""
    world.clock.advance(hours=3)
    world.org.next.append(refused("invalid_grant", "expired access/refresh token"))

    found = await verified(replica)

    assert (found.missing, found.problem) == (Step.TOKEN, "grant_revoked")
    assert found.connection.state is GONE


async def test_a_connection_without_tokens_is_told(replica: Replica, world: World) -> None:
    """Nothing is presented for it, by the way out neither."""
    await replica.with_signing_key()
    await world.base.execute("DELETE FROM token_sets")

    found = await verified(replica)

    assert (found.missing, found.problem) == (Step.TOKEN, "connection_pending")
    assert (found.way_out, world.org.presented) == (False, [])


async def test_the_way_out_is_tried_where_there_is_a_signing_key(
    replica: Replica, world: World
) -> None:
    """So that it is known before it is needed."""
    await replica.with_signing_key()
    assert (await verified(replica)).way_out is True

    world.org.next.append(NOT_LET_IN)
    found = await verified(replica)

    assert (found.missing, found.way_out) == (None, False)
    assert found.warnings == ["user_not_preauthorized"]
    assert (await world.tokens()).generation == 1


async def test_what_was_ended_or_never_confirmed_is_not_verified(
    replica: Replica, world: World
) -> None:
    """It says which."""
    for state in (ConnectionState.REVOKED, ConnectionState.PENDING):
        await world.base.execute(f"UPDATE connections SET state = '{state}'")  # noqa: S608 - ours
        with pytest.raises(ConnectionCannotServe) as refusal:
            await verified(replica)
        assert refusal.value.code == f"connection_{state}"


async def test_a_connection_of_another_workspace_is_not_found(replica: Replica) -> None:
    """Nor one that never was."""
    with pytest.raises(NotFound):
        await replica.verify(OTHER_WORKSPACE, CONNECTION, API_KEY)
    with pytest.raises(NotFound):
        await verified(replica, ConnectionId("con_no"))
