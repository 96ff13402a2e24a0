"""`use_cases.settle_attempt`: what each answer means, and what is kept of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from service.tests.support.fakes import json_answer, refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import (
    ACCESS,
    CONNECTION,
    INSTANCE_URL,
    ORG,
    OTHER_ORG,
    REFRESH,
    START,
    attempt,
    connection,
    spooled,
    tokens,
)

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.attempt import Attempt, AttemptOutcome, SpooledAnswer
from keyturn_service.domain.connection import Connection, ConnectionState, TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import AttemptId
from keyturn_service.ports import RevocationReason
from keyturn_service.use_cases.settle_attempt import expiry

BUSY = refused("invalid_grant", "token request is already being processed")
MOVED = Origin("https://globex-two.my.salesforce.com")


async def refusal_of(asked: Awaitable[object]) -> ConnectionCannotServe:
    """Return the refusal that something ends with."""
    with pytest.raises(ConnectionCannotServe) as refusal:
        await asked
    return refusal.value


async def under_way(world: World) -> Attempt:
    """Commit an intent under a lease."""
    lease = await world.base.stores.leases.acquire(CONNECTION, ttl=timedelta(0))
    assert lease is not None
    intent = attempt(fence=lease.fence)
    await world.base.stores.tokens.begin_attempt(intent)
    return intent


def came(answer: TokenAnswer) -> SpooledAnswer:
    """Return the answer as it lies on the spool."""
    return spooled(status=answer.status, body=answer.body, complete=answer.complete)


# --- a token response -----------------------------------------------------------------------


async def test_a_token_response_heals_the_connection(bare: Replica, world: World) -> None:
    """An uncertain connection is active again, without a problem."""
    await world.base.with_connection(
        state=ConnectionState.UNCERTAIN, problem="connection_uncertain"
    )

    made, new = await bare.refresh(CONNECTION, refused=1)

    assert (made.state, made.problem) == (ConnectionState.ACTIVE, None)
    assert made.last_refreshed_at == new.received_at == START
    assert await world.connection() == made


async def test_an_opaque_access_token_lives_as_long_as_the_org_taught_us(
    bare: Replica, world: World
) -> None:
    """Salesforce gives no end; the learned length of the org's sessions stands in."""
    await world.base.with_connection(session_life=timedelta(minutes=20))

    _, new = await bare.refresh(CONNECTION, refused=1)

    assert new.expires_at == START + timedelta(minutes=20)


def test_a_jwt_access_token_says_its_own_end() -> None:
    """Its `exp` counts, whatever was learned."""
    ends = datetime(2026, 11, 24, 12, 7, tzinfo=UTC)
    payload = base64.urlsafe_b64encode(json.dumps({"exp": int(ends.timestamp())}).encode())
    token = AccessToken(f"e30.{payload.decode().rstrip('=')}.c2ln")

    assert expiry(token, START, connection()) == ends
    assert expiry(AccessToken(ACCESS), START, connection()) == START + timedelta(hours=2)


async def test_a_save_that_failed_is_delivered_by_the_spool(replica: Replica, world: World) -> None:
    """The database was away: nothing is lost, and nothing is presented again."""
    replica.store.fails["replace"] = [OSError("away")]
    with pytest.raises(OSError, match="away"):
        await replica.refresh(CONNECTION, refused=1)
    assert len(replica.spool.open) == 1

    assert await replica.deliver() == 1

    assert (await world.tokens()).refresh_token == RefreshToken(str(world.org.refresh_token))
    assert replica.spool.open == []
    assert len(world.org.presented) == 1


async def test_a_salvaged_answer_is_noted_as_such(replica: Replica, world: World) -> None:
    """An audit reader sees which token set came out of a broken answer."""
    body = json.dumps(world.org.token_response()).encode() + b"<!-- cut"
    world.org.next.append(TokenAnswer(status=502, body=body, complete=True))

    await replica.refresh(CONNECTION, refused=1)

    [event] = world.audit.of("token.stored")
    assert event.detail["salvaged"] is True


async def test_no_audit_event_holds_a_token(replica: Replica, world: World) -> None:
    """Values appear only as keyed hashes."""
    await replica.refresh(CONNECTION, refused=1)
    world.org.next.append(refused("invalid_grant", "expired access/refresh token"))
    await refusal_of(replica.refresh(CONNECTION, refused=2))

    said = repr(world.audit.events)
    assert "CANARY" not in said
    assert "token_hash" in said


# --- where the org is -----------------------------------------------------------------------


async def test_a_moved_org_is_followed_after_it_named_itself(
    replica: Replica, world: World
) -> None:
    """The new host says whose it is before any token goes there."""
    world.directory.hosts[MOVED] = ORG
    world.org.members["instance_url"] = MOVED

    made, _ = await replica.refresh(CONNECTION, refused=1)

    assert made.instance_url == MOVED
    assert (await world.connection()).instance_url == MOVED
    assert world.directory.asked == [MOVED]
    assert world.audit.types[-1] == "connection.moved"


@pytest.mark.parametrize(
    ("stated", "asked"),
    [
        ("https://attacker.example", 0),
        ("https://globex.my.site.com", 0),
        ("https://login.salesforce.com", 0),
        ("http://globex-two.my.salesforce.com", 0),
        ("https://silent.my.salesforce.com", 1),
        ("https://other.my.salesforce.com", 1),
    ],
)
async def test_a_host_that_is_not_the_orgs_is_not_followed(
    replica: Replica, world: World, stated: str, asked: int
) -> None:
    """The token set is kept, for the place that is known; the attempt to move is recorded."""
    world.directory.hosts[Origin("https://other.my.salesforce.com")] = OTHER_ORG
    world.org.members["instance_url"] = stated

    made, new = await replica.refresh(CONNECTION, refused=1)

    assert made.instance_url == INSTANCE_URL
    assert (await world.connection()).instance_url == INSTANCE_URL
    assert new.generation == 2
    assert len(world.directory.asked) == asked
    assert world.audit.types[-1] == "connection.move_refused"


@pytest.mark.parametrize("stated", [None, INSTANCE_URL, f"{INSTANCE_URL}/"])
async def test_an_org_that_stayed_is_not_asked_who_it_is(
    replica: Replica, world: World, stated: str | None
) -> None:
    """No instance URL, or the known one: nothing to find out."""
    world.org.members["instance_url"] = stated

    made, _ = await replica.refresh(CONNECTION, refused=1)

    assert made.instance_url == INSTANCE_URL
    assert world.directory.asked == []
    assert world.audit.types[-1] == "token.stored"


async def test_tokens_of_another_org_are_never_put_in_force(replica: Replica, world: World) -> None:
    """They are revoked, and the customer has to grant access again."""
    world.org.org_id = OTHER_ORG

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert (refusal.code, refusal.reason) == ("reauthorization_required", "org_mismatch")
    assert (await world.tokens()).generation == 1
    kept = await world.connection()
    assert kept.state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert kept.problem == "org_mismatch"
    [(reason, revoked)] = await world.jobs()
    assert reason == RevocationReason.REFUSED
    assert revoked == [world.org.refresh_token, world.org.token_response()["access_token"]]
    assert "token.of_another_org" in world.audit.types


@pytest.mark.parametrize("stated", [None, "https://login.salesforce.com/nothing", "http://[broken"])
async def test_an_answer_that_names_no_org_is_taken(
    replica: Replica, world: World, stated: str | None
) -> None:
    """Salesforce may leave the identity URL out; that alone costs no token."""
    world.org.members["id"] = stated

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.generation == 2


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "description", "code"),
    [
        ("invalid_grant", "expired access/refresh token", "grant_revoked"),
        ("invalid_grant", "token validity expired", "grant_expired"),
        ("inactive_user", "user is inactive", "user_inactive"),
    ],
)
async def test_a_dead_grant_is_asked_for_once(
    replica: Replica, world: World, error: str, description: str, code: str
) -> None:
    """The connection says so at once, and no further request goes out."""
    world.org.next.append(refused(error, description))

    first = await refusal_of(replica.refresh(CONNECTION, refused=1))
    second = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert (first.code, first.reason) == ("reauthorization_required", code)
    assert (second.code, second.reason) == ("reauthorization_required", code)
    assert len(world.org.presented) == 1
    kept = await world.connection()
    assert (kept.state, kept.problem) == (ConnectionState.REAUTHORIZATION_REQUIRED, code)
    assert await world.outcomes() == [AttemptOutcome.REFUSED]


@pytest.mark.parametrize(
    ("answer", "code", "wait"),
    [
        (refused("invalid_client", "invalid client credentials"), "client_refused", 10),
        (refused("invalid_grant", "ip restricted"), "ip_restricted", 10),
        (refused("server_error"), "salesforce_unavailable", None),
        (refused("invalid_grant", "login rate exceeded"), "login_rate_exceeded", None),
        (refused("something_new", "never seen before"), "unknown_refusal", None),
    ],
)
async def test_a_refusal_that_leaves_the_grant_keeps_the_connection(
    replica: Replica, world: World, answer: TokenAnswer, code: str, wait: int | None
) -> None:
    """It stays active with its problem told; the token was not used up and may go again."""
    world.org.next.append(answer)

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert (refusal.code, refusal.reason) == ("org_unavailable", code)
    assert refusal.retry_after is not None
    assert refusal.retry_after >= 1
    assert wait is None or refusal.retry_after == wait
    kept = await world.connection()
    assert (kept.state, kept.problem) == (ConnectionState.ACTIVE, code)
    world.clock.advance(seconds=refusal.retry_after)
    healed, new = await replica.refresh(CONNECTION, refused=1)
    assert (healed.problem, new.generation) == (None, 2)


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        (None, 1),
        ("7", 7),
        (" 7 ", 7),
        ("0", 1),
        ("999999", 3600),
        ("soon", 1),
        ("-5", 1),
        ("\u0667", 1),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 1),
        ("Tue, 24 Nov 2099 12:00:00 GMT", 3600),
        ("Tue, 24 Nov 2026 12:01:30", 1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_an_org_that_did_nothing_is_asked_again_later(
    replica: Replica, world: World, status: int, retry_after: str | None, wait: int
) -> None:
    """By its own word when it gives one, within an hour; nothing became uncertain."""
    world.org.next.append(
        TokenAnswer(status=status, body=b"busy", complete=True, retry_after=retry_after)
    )

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert (refusal.code, refusal.retry_after) == ("org_unavailable", wait)
    assert await world.outcomes() == [AttemptOutcome.NOT_PROCESSED]
    assert (await world.connection()).state is ConnectionState.ACTIVE
    world.clock.advance(seconds=wait)
    assert (await replica.refresh(CONNECTION, refused=1))[1].generation == 2


@pytest.mark.parametrize(
    "answer",
    [
        TokenAnswer(status=500, body=b"<html>", complete=True),
        TokenAnswer(status=502, body=b"", complete=True),
        TokenAnswer(status=504, body=b"{}", complete=True),
        TokenAnswer(status=200, body=b"<html>maintenance</html>", complete=True),
        TokenAnswer(status=200, body=b'{"access_tok', complete=False),
        TokenAnswer(status=429, body=b"", complete=False),
        TokenAnswer(status=400, body=b'{"error": "invalid_grant"', complete=False),
    ],
)
async def test_an_answer_of_no_use_leaves_the_connection_uncertain(
    replica: Replica, world: World, answer: TokenAnswer
) -> None:
    """Nobody knows whether the org rotated; nobody presents again on a guess."""
    world.org.next.append(answer)

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert refusal.code == "connection_uncertain"
    assert await world.outcomes() == [AttemptOutcome.UNKNOWN]
    kept = await world.connection()
    assert (kept.state, kept.problem) == (ConnectionState.UNCERTAIN, "connection_uncertain")
    [event] = world.audit.of("token.outcome_unknown")
    assert event.detail["because"] == "answer lost"


# --- another presentation is under way ------------------------------------------------------


async def test_busy_waits_for_the_other_and_uses_its_tokens(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """The lease is given back, so that the other can store; nothing is presented again."""
    other = await kitchen.replica("spool_two")
    world.org.next.append(BUSY)

    async def rotate() -> None:
        await world.base.execute("UPDATE attempts SET outcome = 'not_presented'")
        await other.refresh(CONNECTION, refused=1)

    replica.waiting.meanwhile.append(rotate)
    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new == await world.tokens()
    assert len(world.org.presented) == 2
    assert [form["refresh_token"] for form in world.org.presented] == [REFRESH, REFRESH]
    assert AttemptOutcome.BUSY in await world.outcomes()
    assert "token.stored_by_another" in world.audit.types


async def test_busy_without_an_end_becomes_uncertain(replica: Replica, world: World) -> None:
    """After a minute of looking; this path never presents again."""
    world.org.next.append(BUSY)
    replica.waiting.leap = 5

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert refusal.code == "connection_uncertain"
    assert len(world.org.presented) == 1
    assert len(replica.waiting.slept) == 12
    assert await world.outcomes() == [AttemptOutcome.UNKNOWN]
    [event] = world.audit.of("token.outcome_unknown")
    assert event.detail["because"] == "another presentation was under way"


async def test_busy_in_the_words_of_older_orgs(replica: Replica, world: World) -> None:
    """`expired authorization code` to a refresh says the same."""
    world.org.next.append(refused("invalid_grant", "expired authorization code"))
    replica.waiting.leap = 30

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert refusal.code == "connection_uncertain"
    assert "token.busy" in world.audit.types


# --- somebody else was first ----------------------------------------------------------------


async def settled(
    replica: Replica, intent: Attempt, answer: TokenAnswer
) -> tuple[Connection, TokenSet] | Attempt:
    """Settle an answer to an intent."""
    await replica.spool.put(came(answer))
    return await replica.settle(intent, connection(), tokens(), came(answer))


async def test_an_attempt_that_was_fenced_out_is_left_to_the_spool(
    replica: Replica, world: World
) -> None:
    """Its tokens are not lost: they are delivered under a newer lease."""
    intent = await under_way(world)
    await world.base.stores.leases.acquire(CONNECTION, ttl=timedelta(0))
    answer = world.org.process({"grant_type": "refresh_token", "refresh_token": REFRESH})

    refusal = await refusal_of(settled(replica, intent, answer))

    assert (refusal.code, refusal.retry_after) == ("org_unavailable", 1)
    assert (await world.tokens()).generation == 1
    assert await world.outcomes() == [None]
    assert await replica.deliver() == 1
    assert (await world.tokens()).generation == 2


async def test_a_grant_that_a_reauthorization_replaced_is_revoked(
    replica: Replica, world: World
) -> None:
    """Its new refresh token has no home any more; the newer one stays in force."""
    intent = await under_way(world)
    newer = tokens(generation=2, refresh_token=RefreshToken("of the new grant"))
    assert await world.base.stores.tokens.replace(
        connection(generation=2), newer, attempt=replace(intent, id=AttemptId("att_other"))
    )
    answer = world.org.process({"grant_type": "refresh_token", "refresh_token": REFRESH})

    result = await settled(replica, intent, answer)

    assert not isinstance(result, Attempt)
    assert result[1] == newer
    assert await world.jobs() == [("superseded", [world.org.refresh_token])]
    assert "token.superseded" in world.audit.types


async def test_an_answer_that_is_in_force_already_is_not_revoked(
    replica: Replica, world: World
) -> None:
    """Delivered twice, the same token set stays."""
    intent = await under_way(world)
    answer = world.org.process({"grant_type": "refresh_token", "refresh_token": REFRESH})
    first = await settled(replica, intent, answer)

    second = await settled(replica, intent, answer)

    assert not isinstance(first, Attempt)
    assert not isinstance(second, Attempt)
    assert second[1] == first[1] == await world.tokens()
    assert await world.jobs() == []


async def test_tokens_for_a_connection_that_ended_are_revoked(
    replica: Replica, world: World
) -> None:
    """The customer disconnected meanwhile: what the refresh brought must not live on."""
    intent = await under_way(world)
    await world.base.execute("DELETE FROM token_sets")
    await world.base.execute("UPDATE connections SET state = 'revoked', generation = 2")
    answer = json_answer(**world.org.token_response() | {"refresh_token": "late"})

    refusal = await refusal_of(settled(replica, intent, answer))

    assert refusal.code == "connection_revoked"
    assert await world.jobs() == [("superseded", ["late"])]
