"""`use_cases.revoke_all`: the grants of an incident end, one after the other, each once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import NotConnected, json_answer
from service.tests.support.incidents import (
    INCIDENT,
    UNKNOWN,
    opened,
    outcome,
    presented,
    progress,
    rounds_of,
)
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import (
    ACCESS,
    CONNECTION,
    HOUR,
    LOGIN_URL,
    REFRESH,
    START,
    api_key,
    hash_of,
)

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ConnectionId, CustomerId
from keyturn_service.domain.incident import Because, IncidentOutcome
from keyturn_service.ports import AnswerLost
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL
from keyturn_service.use_cases.revoke_all import AT_ONCE, CLAIM, RevokeAll


@pytest.fixture
def revoke_all(replica: Replica) -> RevokeAll:
    """Return the round of the only replica."""
    return rounds_of(replica)


async def claims_end(world: World) -> None:
    """Let the time of all claims be over: thirty seconds of the database's clock."""
    await world.base.execute("UPDATE incident_grants SET claimed_until = 0")


async def test_a_grant_is_ended_by_its_refresh_token(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """Its tokens are forgotten, it waits for its customer, and each step is on record."""
    assert await opened(replica) == 1

    assert await revoke_all() == 1

    assert world.org.posted == [(LOGIN_URL, "/services/oauth2/revoke", {"token": REFRESH})]
    assert await outcome(replica) == (IncidentOutcome.REVOKED, Because.REFRESH_TOKEN, True)
    kept = await world.connection()
    assert (kept.state, kept.problem) == (
        ConnectionState.REAUTHORIZATION_REQUIRED,
        "revoked_in_incident",
    )
    assert await replica.stores.tokens.load(CONNECTION) is None
    assert world.audit.types == ["grant.revocation_asked", "grant.revoked"]
    assert world.audit.events[1].detail == {
        "incident_id": INCIDENT.id,
        "attempts": 1,
        "because": "refresh_token",
    }
    assert await revoke_all() == 0


async def test_what_is_listed_serves_no_more_though_it_was_not_tried_yet(
    replica: Replica,
) -> None:
    """Neither before the grant is ended nor after, and says why."""
    await replica.stores.api_keys.add(api_key())
    await opened(replica)
    for ended in (False, True):
        if ended:
            await rounds_of(replica)()
        with pytest.raises(ConnectionCannotServe) as refusal:
            await replica.get_access_token(CONNECTION, key_hash=hash_of("key"))
        assert (refusal.value.code, refusal.value.reason) == (
            "reauthorization_required",
            "revoked_in_incident",
        )
    with pytest.raises(ConnectionCannotServe):
        await replica.renew(
            (await replica.world.connection()).in_use(),
            None,
            ending=False,
            rejected_generation=None,
        )


async def test_an_uncertain_one_is_tried_by_both_and_named_for_an_admin(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """Its access token is ended; a refresh token that nobody saw may be left."""
    await world.base.execute("UPDATE connections SET state = 'uncertain'")
    await opened(replica)
    world.org.next_posts += [UNKNOWN]

    await revoke_all()

    assert presented(world) == [REFRESH, ACCESS]
    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.OUTCOME_UNKNOWN, True)
    assert world.audit.types[-1] == "grant.left_to_admin"


async def test_one_that_assertions_renew_loses_its_token_and_keeps_its_place(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """An admin or the vendor ends it for good; until it is verified it does not serve."""
    await world.base.execute("UPDATE connections SET renewal = 'jwt_bearer'")
    await world.base.execute("UPDATE token_sets SET refresh_token = NULL")
    await opened(replica)

    await revoke_all()

    assert presented(world) == [ACCESS]
    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.PRE_AUTHORIZED, True)
    kept = await world.tokens()
    assert (kept.expires_at, kept.refresh_token) == (None, None)
    with pytest.raises(ConnectionCannotServe, match="revoked_in_incident"):
        await replica.refresh(CONNECTION, refused=1)


@pytest.mark.parametrize("new", ["x'00'", "'a text'", "CAST(x'ff' AS TEXT)"])
async def test_what_does_not_open_is_named_for_an_admin(
    replica: Replica, world: World, revoke_all: RevokeAll, new: str
) -> None:
    """Nothing can be presented; the others go on."""
    await opened(replica)
    await world.base.execute(f"UPDATE token_sets SET access_token = {new}")  # noqa: S608 - ours

    await revoke_all()

    assert presented(world) == []
    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.DOES_NOT_OPEN, False)


async def test_what_somebody_else_ended_counts_as_ended(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """Its tokens are gone, so nothing is left to present."""
    await opened(replica)
    await world.base.execute("DELETE FROM token_sets")

    await revoke_all()

    assert presented(world) == []
    assert await outcome(replica) == (IncidentOutcome.REVOKED, Because.ENDED_BEFORE, False)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (AnswerLost(), "no_answer"),
        (TimeoutError(), "no_answer"),
        (TokenAnswer(status=500, body=b"", complete=True), "http_500"),
    ],
)
async def test_a_lost_answer_is_asked_for_again(
    replica: Replica,
    world: World,
    revoke_all: RevokeAll,
    answer: TokenAnswer | Exception,
    word: str,
) -> None:
    """It may have got through: where no token works any more, it did."""
    await opened(replica)
    world.org.next_posts.append(answer)
    await revoke_all()
    [grant] = await replica.stores.incidents.grants(INCIDENT.id, after=None, limit=9)
    assert (grant.tried_with, grant.attempts, grant.outcome) == (word, 1, None)
    assert await progress(replica) == (0, 1, 0, 0)
    assert world.audit.events[-1].detail["because"] == word

    world.clock.advance(seconds=2)
    world.org.next_posts += [UNKNOWN, UNKNOWN]
    await revoke_all()

    assert presented(world) == [REFRESH, REFRESH, ACCESS]
    assert await outcome(replica) == (IncidentOutcome.REVOKED, Because.ANSWER_LOST, False)


async def lost(replica: Replica, world: World, revoke_all: RevokeAll) -> None:
    """Have a presentation go out of which no answer comes; the next try finds no token known."""
    world.org.next_posts.append(AnswerLost())
    await revoke_all()
    assert await progress(replica) == (0, 1, 0, 0)
    world.clock.advance(seconds=2)
    world.org.next_posts += [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("state", ["uncertain", "reauthorization_required"])
async def test_a_lost_answer_says_nothing_of_a_grant_that_was_in_doubt_before(
    replica: Replica, world: World, revoke_all: RevokeAll, state: str
) -> None:
    """A refresh token that nobody has seen may be in force: an admin has to look."""
    await world.base.execute("UPDATE connections SET state = :state", state=state)
    await opened(replica)
    await lost(replica, world, revoke_all)

    await revoke_all()

    became, _, ended = await outcome(replica)
    assert (became, ended) == (IncidentOutcome.ADMIN, False)


async def test_a_lost_answer_says_nothing_where_the_session_is_over(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """A thief may have used the refresh token, and the access token is dead by its age."""
    await world.base.execute("UPDATE token_sets SET expires_at = NULL")
    await opened(replica)
    await lost(replica, world, revoke_all)

    await revoke_all()

    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.TOKEN_UNKNOWN, False)


async def test_a_refused_connection_has_presented_nothing(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """Salesforce has not seen the token: that it knows none is no work of ours."""
    await opened(replica)
    world.org.next_posts.append(NotConnected())
    await revoke_all()
    [grant] = await replica.stores.incidents.grants(INCIDENT.id, after=None, limit=9)
    assert (grant.tried_with, grant.attempts) == ("no_connection", 1)

    world.clock.advance(seconds=2)
    world.org.next_posts += [UNKNOWN, UNKNOWN]
    await revoke_all()

    assert presented(world) == [REFRESH, ACCESS]
    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.TOKEN_UNKNOWN, False)


async def test_a_token_that_was_unknown_at_first_stays_so(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """Where only the answer about the access token was lost, the refresh token's is known."""
    await opened(replica)
    world.org.next_posts += [UNKNOWN, AnswerLost()]
    await revoke_all()
    assert await progress(replica) == (0, 1, 0, 0)

    world.clock.advance(seconds=2)
    world.org.next_posts += [UNKNOWN, UNKNOWN]
    await revoke_all()

    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.TOKEN_UNKNOWN, False)


async def test_what_cannot_be_kept_is_not_presented(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """The first byte waits for the record that it goes out."""
    await opened(replica)
    await world.base.refuse("UPDATE OF unanswered", "incident_grants")

    await revoke_all()

    assert presented(world) == []
    assert await progress(replica) == (1, 0, 0, 0)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_host_that_says_too_many_is_left_alone_for_as_long_as_it_asks(
    replica: Replica, world: World, revoke_all: RevokeAll, status: int
) -> None:
    """For all of its grants; what it did not process is not taken for a lost answer."""
    await world.base.with_connection(
        id=ConnectionId("con_two"), customer_id=CustomerId("initech"), created_at=START + HOUR
    )
    await opened(replica)
    world.org.next_posts.append(
        TokenAnswer(status=status, body=b"", complete=True, retry_after="90")
    )
    world.org.next_posts.append(
        TokenAnswer(status=status, body=b"", complete=True, retry_after="90")
    )
    await revoke_all()
    asked = len(world.org.posted)

    world.clock.advance(seconds=89)
    assert await revoke_all() == 0
    world.clock.advance(seconds=1)
    world.org.next_posts += [UNKNOWN, json_answer()]
    assert await revoke_all() == 2

    assert (asked, len(world.org.posted)) == (2, 5)
    assert await progress(replica) == (0, 0, 1, 1)


async def test_many_are_ended_by_a_few_at_a_time(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """No more calls at once than a replica may make, and none is left."""
    for number in range(AT_ONCE + 5):
        await world.base.with_connection(
            id=ConnectionId(f"con_x{number}"),
            customer_id=CustomerId(f"customer-{number}"),
            created_at=START + HOUR,
        )
    under_way, most, full = 0, 0, asyncio.Event()

    class Counting:
        connect_seconds = answer_seconds = 1.0

        async def post(self, *given: Any, **named: Any) -> TokenAnswer:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            if under_way == AT_ONCE:
                full.set()
            await asyncio.wait_for(full.wait(), 20)
            answer = await world.org.post(*given, **named)
            under_way -= 1
            return answer

    await opened(replica)
    assert await replace(revoke_all, endpoint=Counting())() == AT_ONCE + 6

    assert most == AT_ONCE
    assert await progress(replica) == (0, 0, AT_ONCE + 6, 0)


async def test_a_claim_of_a_dead_replica_is_taken_over(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """After thirty seconds; a claim has presented nothing, so a dead token is no work of ours."""
    await opened(replica)
    now = world.clock.now()
    assert len(await replica.stores.incidents.claim_due(now, ttl=CLAIM, limit=9)) == 1
    other = rounds_of(await kitchen.replica("spool_two"))
    world.clock.advance(minutes=10)
    assert await other() == 0, "whatever the replicas' clocks say"

    await claims_end(world)
    world.org.next_posts += [UNKNOWN, UNKNOWN]
    assert await other() == 1

    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.TOKEN_UNKNOWN, False)
    assert world.audit.of("grant.revocation_asked")[0].detail["again"] is False


async def test_what_a_dead_replica_had_presented_is_known_to_the_next(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """It dies before the answer comes: tokens that are dead in their session were ended by it."""
    begun = asyncio.Event()

    class Hanging:
        connect_seconds = answer_seconds = 1.0

        async def post(self, *given: Any, before_first_byte: Any) -> TokenAnswer:
            assert given
            await before_first_byte()
            begun.set()
            return await asyncio.get_running_loop().create_future()

    await opened(replica)
    dying = asyncio.create_task(rounds_of(replica, endpoint=Hanging())())
    await begun.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    await claims_end(world)
    world.org.next_posts += [UNKNOWN, UNKNOWN]
    assert await rounds_of(await kitchen.replica("spool_two"))() == 1

    assert await outcome(replica) == (IncidentOutcome.REVOKED, Because.ANSWER_LOST, False)
    assert world.audit.of("grant.revocation_asked")[1].detail["again"] is True


async def test_without_a_record_nothing_is_presented(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """It is due again when the claim ends."""
    await opened(replica)
    world.audit.down = True
    await revoke_all()
    assert presented(world) == []

    world.audit.down = False
    await claims_end(world)
    await revoke_all()
    assert await progress(replica) == (0, 0, 1, 0)
    assert await replica.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL) is not None


async def test_a_replica_that_stops_takes_its_calls_along(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """What was under way is taken over later; nothing goes on behind its back."""
    begun = asyncio.Event()

    class Hanging:
        connect_seconds = answer_seconds = 1.0

        async def post(self, *given: Any, **named: Any) -> TokenAnswer:
            assert given
            assert named
            begun.set()
            return await asyncio.get_running_loop().create_future()

    await opened(replica)
    running = asyncio.create_task(replace(revoke_all, endpoint=Hanging())())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    await claims_end(world)
    assert await revoke_all() == 1
    assert await progress(replica) == (0, 0, 1, 0)
