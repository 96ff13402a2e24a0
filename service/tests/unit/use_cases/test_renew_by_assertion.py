"""`use_cases.renew_by_assertion`: one for all callers, never uncertain, gentle after a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import JWT_BEARER, claims_of, json_answer, refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import (
    API_KEY,
    CUSTOMER,
    INSTANCE_URL,
    ORG,
    OTHER_ORG,
    OTHER_USER,
    START,
    USER,
    WORKSPACE,
)

from keyturn_core.oauth.token_answer import OutcomeUnknown
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.use_cases.renew_by_assertion import HOLD, PACE

ACTIVE, GONE = ConnectionState.ACTIVE, ConnectionState.REAUTHORIZATION_REQUIRED
NOT_LET_IN = refused("invalid_grant", "user hasn't approved this consumer")
INACTIVE = refused("invalid_grant", "inactive user")


class Asserted:
    """A replica with a connection that is renewed by assertions."""

    def __init__(self, replica: Replica, made: Connection) -> None:
        self.replica = replica
        self.world = replica.world
        self.id = made.id

    async def renewed(self, *, refused: int = 1) -> tuple[Connection, TokenSet]:
        """Ask for a newer token set."""
        return await self.replica.refresh(self.id, refused=refused)

    async def stands(self) -> Connection:
        """Return the connection as it is kept."""
        return await self.world.connection(self.id)

    async def refusal(self, answer: Any | None = None) -> ConnectionCannotServe:
        """Return what asking for a newer token set is refused with."""
        if answer is not None:
            self.world.org.next.append(answer)
        return await refusal_of(self.renewed())


async def refusal_of(asked: Awaitable[object]) -> ConnectionCannotServe:
    """Return the refusal that something ends with."""
    with pytest.raises(ConnectionCannotServe) as refusal:
        await asked
    return refusal.value


@pytest.fixture
async def asserted(bare: Replica) -> Asserted:
    """Return a connection made server to server, an hour ago."""
    await bare.with_signing_key()
    made, _ = await bare.asserted()
    bare.world.clock.advance(hours=1)
    bare.world.org.presented.clear()
    bare.world.journal.clear()
    return Asserted(bare, made)


async def test_a_new_assertion_brings_the_next_generation(asserted: Asserted) -> None:
    """For the stored user; there is neither a refresh token nor an attempt."""
    made, tokens = await asserted.renewed()

    [form] = asserted.world.org.presented
    assert claims_of(form)["sub"] == "ada@globex.example"
    assert (made.state, made.generation, tokens.generation) == (ACTIVE, 2, 2)
    assert tokens.refresh_token is None
    assert await asserted.world.attempts() == []
    assert asserted.replica.spool.kept == {}
    assert (await asserted.stands()) == made
    assert [event.detail["by"] for event in asserted.world.audit.of("token.stored")] == [
        "assertion"
    ]


async def test_many_callers_share_one_assertion(asserted: Asserted) -> None:
    """Of one replica."""
    found = await asyncio.gather(*(asserted.renewed() for _ in range(20)))

    assert {tokens.generation for _, tokens in found} == {2}
    assert len(asserted.world.org.presented) == 1


async def test_replicas_share_one_assertion(kitchen: Kitchen, asserted: Asserted) -> None:
    """By lease and generation, as with a refresh token."""
    other = await kitchen.replica("spool_two")

    found = await asyncio.gather(
        asserted.renewed(), other.refresh(asserted.id, refused=1), asserted.renewed()
    )

    assert {tokens.generation for _, tokens in found} == {2}
    assert len(asserted.world.org.presented) == 1


async def test_a_lost_answer_leaves_nothing_uncertain(asserted: Asserted) -> None:
    """It is asked for again a moment later."""
    refusal = await asserted.refusal(OutcomeUnknown("no answer"))

    assert (refusal.code, refusal.reason) == ("org_unavailable", "salesforce_unavailable")
    assert refusal.retry_after == 1
    assert (await asserted.stands()).state is ACTIVE
    asserted.world.clock.advance(seconds=1)
    assert (await asserted.renewed())[1].generation == 2


async def test_the_audience_that_worked_is_tried_first(asserted: Asserted) -> None:
    """It is remembered with the connection; another one takes its place where it fails."""
    wrong = refused("invalid_grant", "audience is invalid")
    asserted.world.org.next.append(wrong)
    made, _ = await asserted.renewed()
    assert made.audience == "https://test.salesforce.com"

    asserted.world.clock.advance(hours=1)
    asserted.world.org.presented.clear()
    await asserted.renewed(refused=2)

    [form] = asserted.world.org.presented
    assert claims_of(form)["aud"] == "https://test.salesforce.com"
    assert (await asserted.stands()).audience == "https://test.salesforce.com"


async def test_tokens_that_are_refused_as_soon_as_they_come_are_paced(asserted: Asserted) -> None:
    """A user has 3,600 logins an hour: one in two seconds leaves half of them to others."""
    await asserted.renewed()
    asserted.replica.waiting.slept.clear()

    await asserted.renewed(refused=2)

    assert asserted.replica.waiting.slept == [PACE.total_seconds()]
    asserted.world.clock.advance(seconds=PACE.total_seconds())
    await asserted.renewed(refused=3)
    assert len(asserted.replica.waiting.slept) == 1


@pytest.mark.parametrize(
    ("error", "description", "code", "who"),
    [
        ("invalid_grant", "user hasn't approved this consumer", "user_not_preauthorized", "admin"),
        (
            "invalid_app_access",
            "user is not admin approved to access this app",
            "user_not_authorized",
            "admin",
        ),
        ("app_blocked", "this app is blocked by admin", "app_blocked", "admin"),
        ("invalid_client", "invalid client credentials", "certificate_refused", "vendor"),
        ("invalid_client_id", "client identifier invalid", "client_unknown", "vendor"),
        ("invalid_grant", "something new", "unknown_refusal", "operator"),
    ],
)
async def test_what_somebody_can_mend_leaves_the_connection_active(
    asserted: Asserted, error: str, description: str, code: str, who: str
) -> None:
    """It says whose it is, and comes back by itself."""
    refusal = await asserted.refusal(refused(error, description))

    assert (refusal.code, refusal.reason) == ("org_unavailable", code)
    assert refusal.refusal is not None
    assert refusal.refusal.who == who
    stands = await asserted.stands()
    assert (stands.state, stands.problem) == (ACTIVE, code)
    [event] = asserted.world.audit.of("assertion.refused")
    assert event.detail["problem"] == code

    asserted.world.clock.advance(seconds=HOLD.total_seconds())
    made, _ = await asserted.renewed()
    assert made.problem is None


async def test_after_a_refusal_nobody_asks_for_a_while(asserted: Asserted) -> None:
    """Callers are told how long; the org hears nothing."""
    await asserted.refusal(NOT_LET_IN)
    asserted.world.clock.advance(seconds=10)

    refusal = await asserted.refusal()

    assert (refusal.reason, refusal.retry_after) == ("user_not_preauthorized", 20)
    assert len(asserted.world.org.presented) == 1


async def test_a_login_rate_is_waited_for_an_hour(asserted: Asserted) -> None:
    """It counts by user and hour, and says nothing about the connection."""
    await asserted.refusal(refused("rate_limit_exceeded", "login rate exceeded"))
    asserted.world.clock.advance(minutes=59)

    refusal = await asserted.refusal()

    assert (refusal.reason, refusal.retry_after) == ("login_rate_exceeded", 60)
    stands = await asserted.stands()
    assert (stands.state, stands.problem) == (ACTIVE, None)
    asserted.world.clock.advance(minutes=1)
    assert (await asserted.renewed())[1].generation == 2


async def test_a_clock_that_goes_back_holds_nobody_up(asserted: Asserted) -> None:
    """A hold is for the time after its refusal."""
    await asserted.refusal(NOT_LET_IN)
    asserted.world.clock.advance(seconds=-5)

    assert (await asserted.renewed())[1].generation == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (INACTIVE, "user_inactive"),
        (refused("invalid_grant", "inactive organization"), "org_inactive"),
    ],
)
async def test_a_user_who_is_gone_stops_everything_at_once(
    asserted: Asserted, answer: Any, code: str
) -> None:
    """The admin is named; nothing more is presented until somebody verifies."""
    refusal = await asserted.refusal(answer)

    assert (refusal.code, refusal.reason) == ("reauthorization_required", code)
    stands = await asserted.stands()
    assert (stands.state, stands.problem) == (GONE, code)
    asserted.world.clock.advance(hours=1)
    assert (await asserted.refusal()).reason == code
    assert len(asserted.world.org.presented) == 1


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        (f"https://login.salesforce.com/id/{OTHER_ORG}/{USER}", "org_mismatch"),
        (f"https://login.salesforce.com/id/{ORG}/{OTHER_USER}", "user_mismatch"),
    ],
)
async def test_a_token_of_somebody_else_is_ended(
    asserted: Asserted, identity: str, code: str
) -> None:
    """A connection keeps org and user, whatever an org says."""
    said = asserted.world.org.token_response() | {"id": identity, "access_token": "00D!strange"}
    refusal = await asserted.refusal(json_answer(**said))

    assert (refusal.code, refusal.reason) == ("reauthorization_required", code)
    assert await asserted.world.jobs() == [("refused", ["00D!strange"])]


async def test_an_answer_that_names_nobody_is_not_used(asserted: Asserted) -> None:
    """It is out of shape; the connection stays, and the operator is told."""
    said = asserted.world.org.token_response() | {"id": "https://login.salesforce.com/"}
    refusal = await asserted.refusal(json_answer(**said))

    assert (refusal.code, refusal.reason) == ("org_unavailable", "unexpected_answer")
    assert (await asserted.stands()).state is ACTIVE


async def test_without_consumer_credentials_there_is_nobody_to_stand_for(
    asserted: Asserted,
) -> None:
    """The vendor is named."""
    await asserted.world.base.execute("UPDATE apps SET consumer_key = NULL")

    refusal = await asserted.refusal()

    assert refusal.reason == "consumer_credentials_missing"
    assert asserted.world.org.presented == []


async def test_what_came_too_late_is_ended(asserted: Asserted) -> None:
    """Another replica stored one meanwhile: its token is served, ours is revoked."""
    theirs = TokenSet(
        generation=2,
        access_token=AccessToken("00D!theirs"),
        refresh_token=None,
        received_at=START,
        expires_at=START + timedelta(hours=9),
    )

    async def first(*_: object) -> Any:
        stands = await asserted.stands()
        [(fence,)] = await asserted.world.base.rows("SELECT fence FROM refresh_leases")
        changed = {"instead_of": 1, "fence": fence}
        assert await asserted.world.base.stores.tokens.renew(
            replace(stands, generation=2), theirs, **changed
        )
        return asserted.world.org.process({"grant_type": JWT_BEARER})

    asserted.world.org.next.append(first)
    _, tokens = await asserted.renewed()

    assert tokens == theirs
    [(reason, ended)] = await asserted.world.jobs()
    assert (reason, len(ended)) == ("superseded", 1)
    assert asserted.world.audit.types[-1] == "token.superseded"


async def test_a_session_that_was_handed_out_twice_is_not_ended(asserted: Asserted) -> None:
    """Salesforce may answer with the session that is alive: the other replica uses it."""

    async def first(*_: object) -> Any:
        answer = asserted.world.org.process({"grant_type": JWT_BEARER})
        stands = await asserted.stands()
        [(fence,)] = await asserted.world.base.rows("SELECT fence FROM refresh_leases")
        same = TokenSet(
            generation=2,
            access_token=AccessToken(asserted.world.org.token_response()["access_token"]),
            refresh_token=None,
            received_at=START,
            expires_at=START + timedelta(hours=9),
        )
        assert await asserted.world.base.stores.tokens.renew(
            replace(stands, generation=2), same, instead_of=1, fence=fence
        )
        return answer

    asserted.world.org.next.append(first)
    await asserted.renewed()

    assert await asserted.world.jobs() == []


async def test_a_connection_that_ends_meanwhile_gets_no_token(asserted: Asserted) -> None:
    """What came is ended with it."""

    async def ended(*_: object) -> Any:
        await asserted.world.base.execute("UPDATE connections SET ending = true")
        return asserted.world.org.process({"grant_type": JWT_BEARER})

    asserted.world.org.next.append(ended)
    refusal = await asserted.refusal()

    assert (refusal.code, refusal.retry_after) == ("org_unavailable", 1)
    assert [reason for reason, _ in await asserted.world.jobs()] == ["superseded"]


async def test_a_connection_without_tokens_gets_none_by_the_way(asserted: Asserted) -> None:
    """Its row of tokens is gone: what came is ended."""

    async def gone(*_: object) -> Any:
        await asserted.world.base.execute("UPDATE connections SET generation = 9")
        await asserted.world.base.execute("DELETE FROM token_sets")
        return asserted.world.org.process({"grant_type": JWT_BEARER})

    asserted.world.org.next.append(gone)

    assert (await asserted.refusal()).code == "org_unavailable"
    assert len(await asserted.world.jobs()) == 1


async def test_a_move_is_followed_once_the_new_host_has_named_the_org(asserted: Asserted) -> None:
    """As after a refresh."""
    moved = Origin("https://globex2.my.salesforce.com")
    asserted.world.directory.hosts[moved] = ORG
    asserted.world.org.members["instance_url"] = moved

    made, _ = await asserted.renewed()

    assert made.instance_url == moved != INSTANCE_URL


async def test_an_assertion_can_be_tried_out(replica: Replica, world: World) -> None:
    """For a connection with a refresh token; what comes of it is ended, and nothing changes."""
    await replica.with_signing_key()
    connection, tokens = await world.connection(), await world.tokens()

    assert await replica.by_assertion.try_out(connection, tokens) is None

    assert [reason for reason, _ in await world.jobs()] == ["verified"]
    assert await world.tokens() == tokens
    world.org.next.append(NOT_LET_IN)
    assert await replica.by_assertion.try_out(connection, tokens) == "user_not_preauthorized"


async def test_a_trial_does_not_end_the_session_in_use(replica: Replica, world: World) -> None:
    """Where Salesforce hands that one out."""
    await replica.with_signing_key()
    tokens = await world.tokens()
    world.org.members["access_token"] = tokens.access_token.reveal()

    assert await replica.by_assertion.try_out(await world.connection(), tokens) is None
    assert await world.jobs() == []


async def test_disconnecting_ends_the_session(asserted: Asserted) -> None:
    """Under the lease; there is no refresh token to revoke."""
    loaded = await asserted.world.base.stores.tokens.load(asserted.id)
    assert loaded is not None
    await asserted.replica.disconnect(WORKSPACE, asserted.id, API_KEY)

    assert await asserted.world.jobs() == [("disconnected", [loaded[1].access_token.reveal()])]
    stands = await asserted.stands()
    assert (stands.renewal, stands.customer_id) == (Renewal.JWT_BEARER, CUSTOMER)
