"""`use_cases.deliver_spool`: nothing that came back is lost, whoever died when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import json_answer, refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    REFRESH,
    START,
    WORKSPACE,
    spooled,
)

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown, TokenAnswer
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connect_session import SessionStatus, exchange_of
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import AttemptId, ConnectionId, ConnectSessionId
from keyturn_service.ports import AuditUnavailable, SealRefused
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL


class Crash(Exception):
    """The process ends here."""


async def crash_with(replica: Replica, answer: TokenAnswer | None = None) -> None:
    """Refresh, and die between the spool and the database."""
    if answer is not None:
        replica.world.org.next.append(answer)
    for step in ("replace", "end_attempt"):
        replica.store.fails[step] = [Crash()]
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    replica.store.fails.clear()


async def restarted(kitchen: Kitchen, replica: Replica) -> Replica:
    """Return the replica, started again on its spool."""
    again = await kitchen.replica(replica.spool)
    await again.deliver.recover()
    return again


async def test_an_answer_on_the_spool_outlives_its_process(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Started again, the replica has it in the database before it serves anybody."""
    await crash_with(replica)

    await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 2
    assert await world.outcomes() == [AttemptOutcome.STORED]
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert [form["refresh_token"] for form in world.org.presented] == [REFRESH]
    assert replica.spool.open == []


async def test_an_answer_whose_row_does_not_open_keeps_no_other_one_waiting(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """The replica starts, passes it over, and delivers it once the row is as it was."""
    await crash_with(replica)
    await replica.spool.put(spooled(attempt_id=AttemptId("att_of_nobody")))
    again = await kitchen.replica(replica.spool)
    again.store.fails["load"] = [SealRefused("changed")] * 2  # it is looked at twice

    await again.deliver.recover()

    assert (await world.tokens()).generation == 1
    assert replica.spool.open != []
    assert "att_of_nobody" not in replica.spool.open
    assert await again.deliver() == 1
    assert (await world.tokens()).generation == 2


async def test_recovering_twice_changes_nothing_more(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Safe to run at every start."""
    await crash_with(replica)
    await restarted(kitchen, replica)
    before = await world.tokens()

    await restarted(kitchen, replica)

    assert await world.tokens() == before
    assert world.audit.types.count("token.stored") == 1


async def test_a_lease_of_the_dead_process_does_not_keep_its_answer(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Whoever held it is dead: the restarted replica ends it, and need not wait."""
    await crash_with(replica)
    await replica.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)

    await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 2


async def test_an_answer_that_cannot_be_delivered_yet_leaves_no_uncertainty(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Another replica holds the lease as this one starts: the answer waits, and is not lost."""
    await crash_with(replica)
    other = await kitchen.replica("spool_two")
    held = await other.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert held is not None

    again = await restarted(kitchen, replica)

    assert await world.outcomes() == [None]
    assert (await world.connection()).state is ConnectionState.ACTIVE
    await other.stores.leases.release(held)
    assert await again.deliver() == 1
    assert await world.outcomes() == [AttemptOutcome.STORED]


async def test_an_answer_under_way_is_left_to_its_attempt(replica: Replica, world: World) -> None:
    """Who holds the lease settles it; the round comes again."""
    await crash_with(replica)
    held = await replica.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert held is not None

    assert await replica.deliver() == 0
    assert (await world.tokens()).generation == 1

    await replica.stores.leases.release(held)
    assert await replica.deliver() == 1
    assert (await world.tokens()).generation == 2


@pytest.mark.parametrize(
    ("answer", "outcome", "state"),
    [
        (
            refused("invalid_grant", "expired access/refresh token"),
            AttemptOutcome.REFUSED,
            ConnectionState.REAUTHORIZATION_REQUIRED,
        ),
        (
            TokenAnswer(status=503, body=b"", complete=True),
            AttemptOutcome.NOT_PROCESSED,
            ConnectionState.ACTIVE,
        ),
        (
            TokenAnswer(status=200, body=b"{", complete=False),
            AttemptOutcome.UNKNOWN,
            ConnectionState.UNCERTAIN,
        ),
    ],
)
async def test_every_answer_is_delivered_for_what_it_means(
    replica: Replica,
    world: World,
    answer: TokenAnswer,
    outcome: AttemptOutcome,
    state: ConnectionState,
) -> None:
    """A refusal too is in the database before anything is presented again."""
    await crash_with(replica, answer)

    assert await replica.deliver() == 1

    assert await world.outcomes() == [outcome]
    assert (await world.connection()).state is state
    assert replica.spool.open == []


async def test_a_busy_answer_found_later_leaves_uncertainty(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Whoever was to wait for the other presentation is dead."""
    world.org.next.append(refused("invalid_grant", "token request is already being processed"))
    world.audit.down = False

    async def die() -> None:
        raise Crash

    replica.waiting.meanwhile.append(die)
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    [attempt] = await world.attempts()
    replica.spool.open.append(attempt.id)

    await restarted(kitchen, replica)

    assert await world.outcomes() == [AttemptOutcome.UNKNOWN]
    assert (await world.connection()).state is ConnectionState.UNCERTAIN


async def test_an_answer_that_the_database_knows_is_only_marked(
    replica: Replica, world: World
) -> None:
    """The process died between the save and the mark."""
    await replica.refresh(CONNECTION, refused=1)
    [attempt] = await world.attempts()
    replica.spool.open.append(attempt.id)
    before = await world.tokens()

    assert await replica.deliver() == 0

    assert replica.spool.open == []
    assert await world.tokens() == before


async def test_an_answer_that_died_before_its_record_is_recorded(
    replica: Replica, world: World
) -> None:
    """It is in force; who stored it had no time left to say so."""
    await replica.refresh(CONNECTION, refused=1)
    [attempt] = await world.attempts()
    world.audit.events.clear()

    replica.spool.open.append(attempt.id)
    await replica.deliver()

    assert world.audit.types == ["token.stored"]


async def test_an_answer_that_is_being_recorded_is_recorded_once(
    replica: Replica, world: World
) -> None:
    """Its refresh holds the lease until then; who comes right after it finds nothing to do."""
    await replica.refresh(CONNECTION, refused=1)
    [attempt] = await world.attempts()
    world.audit.events.clear()
    replica.spool.open.append(attempt.id)
    acquire = replica.stores.leases.acquire

    class Late:
        """The lease comes when the refresh has ended."""

        async def acquire(self, *given: Any, **named: Any) -> Any:
            await replica.spool.delivered(attempt.id)
            return await acquire(*given, **named)

        release = replica.stores.leases.release

    await replace(replica.deliver, leases=Late())()  # type: ignore[arg-type]

    assert world.audit.types == []


async def test_an_answer_of_an_attempt_that_nobody_knows_is_only_marked(
    replica: Replica,
) -> None:
    """A database that was set up anew has no home for it; it stays in the journal."""
    await replica.spool.put(spooled(attempt_id=AttemptId("att_unknown")))

    assert await replica.deliver() == 0

    assert replica.spool.open == []
    assert "att_unknown" in replica.spool.kept


async def test_an_answer_that_is_gone_from_the_spool_is_passed_over(
    replica: Replica,
) -> None:
    """One that was cleaned away meanwhile stops nobody."""
    replica.spool.open.append(AttemptId("att_gone"))

    assert await replica.deliver() == 0


async def test_what_came_for_a_connection_that_ended_is_revoked(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """The customer disconnected while the answer lay on a dead replica's spool."""
    await crash_with(replica)
    other = await kitchen.replica("spool_two")
    await other.disconnect(WORKSPACE, CONNECTION, API_KEY)
    assert await replica.deliver() == 1  # being ended: it waits
    assert len(replica.spool.open) == 1
    [job] = world.background.asked
    assert await other.revoke_grant(job)

    assert await replica.deliver() == 1

    assert (await world.connection()).state is ConnectionState.REVOKED
    assert await world.outcomes() == [AttemptOutcome.SUPERSEDED]
    assert replica.spool.open == []
    [later] = [asked for asked in world.background.asked if asked != job]
    assert await other.revoke_grant(later)
    revoked = [form["token"] for _, path, form in world.org.posted if path.endswith("/revoke")]
    assert world.org.refresh_token in revoked


@pytest.mark.parametrize(
    "answer",
    [
        refused("invalid_grant", "expired access/refresh token"),
        json_answer(access_token="00D5g000004bLxZ!AQ.access"),
    ],
    ids=["a refusal", "of an org that does not rotate"],
)
async def test_what_came_without_a_refresh_token_for_a_connection_that_ended_is_only_noted(
    kitchen: Kitchen, replica: Replica, world: World, answer: TokenAnswer
) -> None:
    """There is nothing to revoke in it."""
    await crash_with(replica, answer)
    other = await kitchen.replica("spool_two")
    await other.disconnect(WORKSPACE, CONNECTION, API_KEY)
    [job] = world.background.asked
    await other.revoke_grant(job)

    assert await replica.deliver() == 1

    assert await world.outcomes() == [AttemptOutcome.SUPERSEDED]
    assert world.background.asked == [job]
    assert (await world.connection()).state is ConnectionState.REVOKED


async def test_an_attempt_of_no_connection_is_only_marked(replica: Replica, world: World) -> None:
    """A row that names a connection of another workspace leads nowhere."""
    await crash_with(replica)
    await world.base.execute("DELETE FROM token_sets")
    await world.base.execute("UPDATE connections SET workspace_id = 'ws_two'")

    assert await replica.deliver() == 0

    assert replica.spool.open == []


# --- codes ----------------------------------------------------------------------------------


async def exchange(replica: Replica, session_id: ConnectSessionId) -> AttemptId:
    """Return the name of what the session's latest trip brings."""
    found = await replica.connect.find(WORKSPACE, session_id)
    assert found.authorization is not None
    return exchange_of(session_id, found.authorization)


async def code_on_spool(replica: Replica, **answer: object) -> str:
    """Begin to connect, and leave an answer to the code on the spool; return the session."""
    session, secret = await replica.connect.asked()
    await replica.connect.pressed(secret)
    said = replica.world.org.token_response() | answer
    came = json_answer(**said)
    await replica.spool.put(
        spooled(
            attempt_id=await exchange(replica, session.id),
            connection_id=ConnectionId(""),
            generation=0,
            status=came.status,
            body=came.body,
            complete=True,
        )
    )
    return session.id


async def test_a_grant_whose_session_died_is_revoked(bare: Replica, world: World) -> None:
    """The browser lost its way back between exchange and save; after its time all is ended."""
    await code_on_spool(bare)
    assert await bare.deliver() == 0, "the request may still be at work"
    assert len(bare.spool.open) == 1

    world.clock.advance(minutes=15)

    assert await bare.deliver() == 1
    assert bare.spool.open == []
    [(reason, revoked)] = await world.jobs()
    assert reason == "unconfirmed"
    assert revoked == [world.org.refresh_token, world.org.token_response()["access_token"]]
    assert "code.grant_found" in world.audit.types


@pytest.mark.parametrize("record", ["code.grant_found", "grant.revocation_asked"])
async def test_a_grant_stays_on_the_spool_until_it_is_to_be_revoked(
    bare: Replica, world: World, record: str
) -> None:
    """Nothing else has its tokens."""
    await code_on_spool(bare)
    world.clock.advance(minutes=15)
    world.audit.refuses = {record}
    with pytest.raises(AuditUnavailable):
        await bare.deliver()
    assert await world.jobs() == []

    world.audit.refuses.clear()

    assert await bare.deliver() == 1
    assert bare.spool.open == []
    assert len(await world.jobs()) == 1


async def test_a_grant_of_a_failed_session_is_revoked_at_once(bare: Replica, world: World) -> None:
    """Nobody is at work on it any more."""
    session_id = await code_on_spool(bare)
    found = await bare.connect.find(WORKSPACE, session_id)  # type: ignore[arg-type]
    await bare.stores.connect_sessions.replace(found.failed("access_denied"))

    assert await bare.deliver() == 1

    assert len(await world.jobs()) == 1


async def test_an_answer_to_a_code_that_brought_nothing_is_only_marked(
    bare: Replica, world: World
) -> None:
    """A refusal has no grant to end."""
    await code_on_spool(bare, access_token=None)
    world.clock.advance(hours=1)

    assert await bare.deliver() == 1

    assert bare.spool.open == []
    assert await world.jobs() == []


@pytest.mark.parametrize("named", ["now", "by an earlier release"])
async def test_a_grant_that_awaits_its_confirmation_is_left_alone(
    bare: Replica, world: World, named: str
) -> None:
    """The process died between the save and the mark."""
    session, secret = await bare.connect.asked()
    asked = await bare.connect.pressed(secret)
    await bare.connect.returned(asked["state"])
    [kept] = bare.spool.kept.values()
    name = kept.attempt_id if named == "now" else AttemptId(session.id)
    await bare.spool.put(replace(kept, attempt_id=name))

    assert await bare.deliver() == 0

    assert bare.spool.open == []
    assert await world.jobs() == []
    found = await bare.connect.find(WORKSPACE, session.id)
    assert found.status is SessionStatus.AWAITING_CONFIRMATION


async def test_an_answer_for_a_session_that_nobody_knows_is_only_marked(
    bare: Replica, world: World
) -> None:
    """There is no host to revoke it at."""
    await bare.spool.put(spooled(attempt_id=AttemptId("cs_unknown"), status=200))

    assert await bare.deliver() == 0

    assert bare.spool.open == []
    assert await world.jobs() == []


async def test_an_answer_for_a_session_that_never_went_out_is_only_marked(
    bare: Replica, world: World
) -> None:
    """An expired session without a trip to Salesforce has no grant."""
    session, _ = await bare.connect.asked()
    await bare.stores.connect_sessions.replace(session.failed("session_expired"))
    await bare.spool.put(spooled(attempt_id=AttemptId(session.id), status=200))

    assert await bare.deliver() == 0

    assert bare.spool.open == []
    assert await world.jobs() == []
    assert world.clock.now() - START < timedelta(seconds=1)


async def test_a_busy_answer_whose_process_died_waiting_keeps_no_other_replica_waiting(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Its spool has spoken: another replica may decide, without the first one being asked."""
    world.org.next.append(refused("invalid_grant", "token request is already being processed"))

    async def killed() -> None:
        raise Crash

    replica.waiting.meanwhile.append(killed)
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    other = await kitchen.replica("spool_two")
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await other.refresh(CONNECTION, refused=1)

    await restarted(kitchen, replica)
    world.clock.advance(seconds=61)

    assert (await other.refresh(CONNECTION, refused=1))[1].generation == 2
    assert "token.decided_to_present_again" in world.audit.types


async def declared_lost(replica: Replica) -> None:
    """Note what an operator says of the replica's spool."""
    [attempt] = await replica.world.attempts()
    await replica.stores.tokens.end_attempt(
        attempt,
        AttemptOutcome.UNKNOWN,
        at=replica.world.clock.now(),
        spool_answered=True,
        state=ConnectionState.UNCERTAIN,
        problem="connection_uncertain",
    )


async def test_an_old_spool_that_turns_up_in_time_is_used(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """It was declared lost, but the token was not presented again yet: nothing is lost."""
    await crash_with(replica)
    await declared_lost(replica)

    await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 2
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_an_old_spool_that_turns_up_too_late_is_left(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """The token was presented again and that ended the grant: what is found there is dead."""
    await crash_with(replica)
    await declared_lost(replica)
    other = await kitchen.replica("spool_two")
    world.clock.advance(minutes=12)  # a minute, whatever the clocks
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await other.refresh(CONNECTION, refused=1)

    await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 1
    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert replica.spool.open == []


NOT_NOW = [
    (NotProcessed("no connection"), AttemptOutcome.NOT_PRESENTED),
    (TokenAnswer(status=503, body=b"", complete=True), AttemptOutcome.NOT_PROCESSED),
    (refused("invalid_grant", "login rate exceeded"), AttemptOutcome.REFUSED),
]


@pytest.mark.parametrize(("since", "outcome"), NOT_NOW, ids=["no request", "busy", "rate"])
async def test_an_old_spool_that_turns_up_after_what_used_nothing_up_is_used(
    kitchen: Kitchen,
    replica: Replica,
    world: World,
    since: TokenAnswer | NotProcessed,
    outcome: AttemptOutcome,
) -> None:
    """It was declared lost, and the token presented again in vain: the answer is the latest."""
    await crash_with(replica)
    await declared_lost(replica)
    other = await kitchen.replica("spool_two")
    world.clock.advance(minutes=12)  # the pause is over, however far clocks differ
    world.org.next.append(since)
    with pytest.raises(ConnectionCannotServe, match="org_unavailable"):
        await other.refresh(CONNECTION, refused=1)
    assert (await world.outcomes())[-1] is outcome

    await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 2
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_an_old_spool_that_turns_up_after_what_nobody_knows_is_left(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Whatever failed after it: one attempt since then may have used the token up."""
    await crash_with(replica)
    await declared_lost(replica)
    other = await kitchen.replica("spool_two")
    world.clock.advance(minutes=12)  # the pause is over, however far clocks differ
    world.org.next.append(OutcomeUnknown("cut off"))
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await other.refresh(CONNECTION, refused=1)

    await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 1
    assert replica.spool.open == []
