"""An assertion as the way out of `uncertain`: in its place among the others, each step recorded."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from service.tests.support.fakes import claims_of, json_answer, refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import API_KEY, CONNECTION, REFRESH, WORKSPACE

from keyturn_core.oauth.token_answer import OutcomeUnknown
from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState, Renewal
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.use_cases.renew_by_assertion import HOLD
from keyturn_service.use_cases.resolve_uncertain import PAUSE

LOST = OutcomeUnknown("no status came")
NOT_LET_IN = refused("invalid_grant", "user hasn't approved this consumer")
ACTIVE, GONE = ConnectionState.ACTIVE, ConnectionState.REAUTHORIZATION_REQUIRED


async def refusal_of(asked: Awaitable[object]) -> ConnectionCannotServe:
    """Return the refusal that something ends with."""
    with pytest.raises(ConnectionCannotServe) as refusal:
        await asked
    return refusal.value


class Crash(Exception):
    """The process ends here."""


def kinds(world: World) -> list[str]:
    """Return what was presented: `refresh_token` or `jwt-bearer`."""
    return [form["grant_type"].rsplit(":", 1)[-1] for form in world.org.presented]


@pytest.fixture
async def uncertain(replica: Replica, world: World) -> Replica:
    """Return a replica whose connection is uncertain and whose app has a signing key."""
    await replica.with_signing_key()
    world.org.next.append(LOST)
    await refusal_of(replica.refresh(CONNECTION, refused=1))
    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    world.org.presented.clear()
    return replica


@pytest.fixture
async def taken_over(uncertain: Replica) -> Replica:
    """Return a replica whose connection was taken over."""
    await uncertain.refresh(CONNECTION, refused=1)
    uncertain.world.org.presented.clear()
    uncertain.world.clock.advance(hours=1)
    return uncertain


async def test_an_assertion_takes_over_at_once(uncertain: Replica, world: World) -> None:
    """For the stored user, before any pause, and without the token whose fate nobody knows."""
    made, tokens = await uncertain.refresh(CONNECTION, refused=1)

    assert kinds(world) == ["jwt-bearer"]
    assert claims_of(world.org.presented[0])["sub"] == "ada@globex.example"
    assert (made.state, made.renewal, tokens.generation) == (ACTIVE, Renewal.JWT_BEARER, 2)
    assert (await world.connection()) == made


async def test_reauthorization_is_asked_for_at_leisure(uncertain: Replica, world: World) -> None:
    """The connection serves, and says what became of it."""
    made, tokens = await uncertain.refresh(CONNECTION, refused=1)

    assert made.problem == "refresh_token_lost"
    assert made.taken_over_at == world.clock.now()
    assert tokens.refresh_token == RefreshToken(REFRESH), "to be revoked later"


async def test_each_step_is_recorded(uncertain: Replica, world: World) -> None:
    """Before it is taken, and how it ended."""
    world.journal.clear()

    await uncertain.refresh(CONNECTION, refused=1)

    assert [step for step in world.journal if not step.startswith("store.")] == [
        "assertion.presented",
        "present https://login.salesforce.com",
        "token.stored",
        "token.taken_over",
    ]


async def test_from_then_on_assertions_renew(taken_over: Replica, world: World) -> None:
    """The doubtful token is never presented; the problem stays until the customer came."""
    made, tokens = await taken_over.refresh(CONNECTION, refused=2)

    assert kinds(world) == ["jwt-bearer"]
    assert (made.problem, tokens.generation) == ("refresh_token_lost", 3)


async def test_connecting_again_ends_the_exception(taken_over: Replica, world: World) -> None:
    """A refresh token is in force again, and the doubtful one is revoked."""
    world.org.refresh_token = "5Aep861.of-the-new-grant"
    made = await taken_over.connect.connected(connection_id=CONNECTION)

    assert (made.renewal, made.taken_over_at, made.problem) == (Renewal.REFRESH_TOKEN, None, None)
    assert await world.jobs() == [("superseded", [REFRESH])]
    await taken_over.refresh(CONNECTION, refused=made.generation)
    assert kinds(world)[-1] == "refresh_token"


async def test_the_spool_still_comes_first(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """What lies there is the answer itself."""
    await replica.with_signing_key()
    replica.store.fails["replace"] = [Crash()]
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    again = await kitchen.replica(replica.spool)

    made, tokens = await again.refresh(CONNECTION, refused=1)

    assert (made.renewal, tokens.generation) == (Renewal.REFRESH_TOKEN, 2)
    assert kinds(world) == ["refresh_token"]


async def test_it_does_not_wait_for_another_replicas_spool(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """An assertion uses nothing up, so nobody has to be asked first."""
    await replica.with_signing_key()
    world.org.next.append(Crash())
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    await world.base.stores.leases.release_earlier_runs()
    other = await kitchen.replica("spool_two")

    made, _ = await other.refresh(CONNECTION, refused=1)

    assert made.taken_over_at is not None
    assert await world.outcomes() == [AttemptOutcome.UNKNOWN]


async def test_an_answer_that_is_found_later_puts_its_token_in_force_again(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """The replica that died comes back with it: nothing has to be asked of the customer."""
    await replica.with_signing_key()
    replica.store.fails["replace"] = [Crash()]
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    found = world.org.refresh_token
    other = await kitchen.replica("spool_two")
    await other.refresh(CONNECTION, refused=1)
    assert (await world.connection()).taken_over_at is not None

    await (await kitchen.replica(replica.spool)).deliver.recover()

    stands, tokens = await world.connection(), await world.tokens()
    assert (stands.renewal, stands.taken_over_at) == (Renewal.REFRESH_TOKEN, None)
    assert (stands.problem, tokens.generation) == (None, 3)
    assert tokens.refresh_token is not None
    assert tokens.refresh_token.reveal() == found
    assert await world.jobs() == [], "the grant lives"
    assert await world.outcomes() == [AttemptOutcome.STORED]


async def test_an_answer_of_a_grant_before_does_not_take_the_place_of_assertions(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """It was found after the customer had connected again: it stood for nothing then."""
    await replica.with_signing_key()
    replica.store.fails["replace"] = [Crash()]
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    found = world.org.refresh_token
    other = await kitchen.replica("spool_two")
    await other.refresh(CONNECTION, refused=1)
    world.org.refresh_token = "5Aep861.of-the-new-grant"
    again = await other.connect.connected(connection_id=CONNECTION)
    world.org.next.append(LOST)
    await refusal_of(other.refresh(CONNECTION, refused=again.generation))
    await other.refresh(CONNECTION, refused=again.generation)
    stood = await world.connection()
    assert stood.renewal is Renewal.JWT_BEARER

    await (await kitchen.replica(replica.spool)).deliver.recover()

    assert await world.connection() == stood
    assert ("superseded", [found]) in await world.jobs()


async def test_a_refused_assertion_leaves_the_second_presentation(
    uncertain: Replica, world: World
) -> None:
    """In the order that was there before: the pause, the decision, once more."""
    world.org.next.append(NOT_LET_IN)
    refusal = await refusal_of(uncertain.refresh(CONNECTION, refused=1))
    assert (refusal.code, kinds(world)) == ("connection_uncertain", ["jwt-bearer"])
    [event] = world.audit.of("token.take_over_refused")
    assert event.detail["problem"] == "user_not_preauthorized"

    world.clock.advance(seconds=PAUSE.total_seconds())
    world.org.next.append(NOT_LET_IN)
    made, tokens = await uncertain.refresh(CONNECTION, refused=1)

    assert kinds(world) == ["jwt-bearer", "jwt-bearer", "refresh_token"]
    assert (made.renewal, tokens.generation) == (Renewal.REFRESH_TOKEN, 2)
    assert world.audit.types[-3:] == [
        "token.decided_to_present_again",
        "token.presented_again",
        "token.stored",
    ]


async def test_a_refused_assertion_is_not_repeated_for_every_caller(
    uncertain: Replica, world: World
) -> None:
    """Not while it is held back; afterwards it may have been mended."""
    world.org.next.append(NOT_LET_IN)
    for _ in range(5):
        await refusal_of(uncertain.refresh(CONNECTION, refused=1))
    assert kinds(world) == ["jwt-bearer"]

    world.clock.advance(seconds=HOLD.total_seconds())
    made, _ = await uncertain.refresh(CONNECTION, refused=1)
    assert made.taken_over_at is not None


@pytest.mark.parametrize(
    "answer", [LOST, json_answer(503), refused("rate_limit_exceeded", "login rate exceeded")]
)
async def test_no_answer_is_no_refusal(uncertain: Replica, world: World, answer: Any) -> None:
    """Nothing is presented a second time only because Salesforce is away for a moment."""
    world.clock.advance(seconds=PAUSE.total_seconds())
    world.org.next.append(answer)

    refusal = await refusal_of(uncertain.refresh(CONNECTION, refused=1))

    assert (refusal.code, refusal.retry_after) == ("connection_uncertain", 5)
    assert kinds(world) == ["jwt-bearer"]
    made, _ = await uncertain.refresh(CONNECTION, refused=1)
    assert made.taken_over_at is not None


async def test_without_a_signing_key_nothing_changes(replica: Replica, world: World) -> None:
    """No assertion is tried, and none is recorded."""
    world.org.next.append(LOST)
    await refusal_of(replica.refresh(CONNECTION, refused=1))
    world.clock.advance(seconds=PAUSE.total_seconds())

    await replica.refresh(CONNECTION, refused=1)

    assert kinds(world) == ["refresh_token", "refresh_token"]
    assert world.audit.of("assertion.presented") == []


async def test_when_the_approval_is_gone_too_the_customer_has_to_come(
    taken_over: Replica, world: World
) -> None:
    """There is nothing left to renew with."""
    world.org.next.append(NOT_LET_IN)

    refusal = await refusal_of(taken_over.refresh(CONNECTION, refused=2))

    assert (refusal.code, refusal.reason) == ("reauthorization_required", "refresh_token_lost")
    stands = await world.connection()
    assert (stands.state, stands.problem) == (GONE, "refresh_token_lost")


async def test_a_vendors_own_mistake_does_not_send_the_customer(
    taken_over: Replica, world: World
) -> None:
    """A certificate that is not there is put there again."""
    world.org.next.append(refused("invalid_client", "invalid client credentials"))

    refusal = await refusal_of(taken_over.refresh(CONNECTION, refused=2))

    assert (refusal.code, refusal.reason) == ("org_unavailable", "certificate_refused")
    assert (await world.connection()).state is ACTIVE


async def test_ending_a_connection_that_was_taken_over_revokes_all(
    taken_over: Replica, world: World
) -> None:
    """The doubtful token too: it may be the one in force."""
    tokens = await world.tokens()
    await taken_over.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert await world.jobs() == [("disconnected", [REFRESH, tokens.access_token.reveal()])]
