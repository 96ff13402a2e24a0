"""`use_cases.resolve_uncertain`: the spool, then what still serves, then once more, then nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, HOUR, REFRESH, START, hash_of
from service.tests.support.values import api_key as api_key_value

from keyturn_core.oauth.token_answer import OutcomeUnknown, TokenAnswer
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import StoreUnavailable
from keyturn_service.use_cases.resolve_uncertain import PAUSE

LOST = OutcomeUnknown("no status came")


async def refusal_of(asked: Awaitable[object]) -> ConnectionCannotServe:
    """Return the refusal that something ends with."""
    with pytest.raises(ConnectionCannotServe) as refusal:
        await asked
    return refusal.value


async def lose_an_answer(replica: Replica, world: World) -> None:
    """Present, and hear nothing."""
    world.org.next.append(LOST)
    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))
    assert refusal.code in {"connection_uncertain", "reauthorization_required"}


class Crash(Exception):
    """The process ends here."""


async def crash_before_the_answer(replica: Replica, world: World) -> None:
    """Present, and die before anything came back."""
    world.org.next.append(Crash())
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)


async def test_a_spool_that_cannot_be_read_says_nothing_of_an_answer(
    replica: Replica, world: World
) -> None:
    """Its disk may be back tomorrow: nothing is presented, and the attempt stays open."""
    await crash_before_the_answer(replica, world)
    await world.base.stores.leases.release_earlier_runs()

    class Broken:
        """A disk that gives nothing."""

        id = replica.spool.id

        async def get(self, attempt_id: object) -> None:
            raise OSError(attempt_id)

    broken = Broken()
    replica.refresh.resolve = replace(replica.refresh.resolve, spool=broken)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)

    assert len(world.org.presented) == 1
    assert await world.outcomes() == [None]


async def test_an_uncertain_connection_serves_while_its_access_token_works(
    replica: Replica, world: World
) -> None:
    """The token that is inside its life goes on being handed out; the org is not asked."""
    await world.base.stores.api_keys.add(api_key_value())
    await lose_an_answer(replica, world)
    assert (await world.connection()).state is ConnectionState.UNCERTAIN

    served = await replica.get_access_token(CONNECTION, key_hash=hash_of("key"))

    assert served.tokens.generation == 1
    assert len(world.org.presented) == 1


async def test_the_pause_is_kept_before_the_second_presentation(
    replica: Replica, world: World
) -> None:
    """What was under way at the org has ended by then; callers are told how long."""
    await lose_an_answer(replica, world)
    world.clock.advance(seconds=PAUSE.total_seconds() - 5)

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))
    assert (refusal.code, refusal.retry_after) == ("connection_uncertain", 5)

    world.clock.advance(seconds=4.5)
    assert (await refusal_of(replica.refresh(CONNECTION, refused=1))).retry_after == 1
    assert len(world.org.presented) == 1


async def test_the_pause_is_no_longer_where_clocks_differ(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """A replica whose clock is ten minutes behind decides after its sixty seconds, too."""
    await lose_an_answer(replica, world)
    other = await kitchen.replica(replica.spool, off=timedelta(minutes=-10))
    assert (await refusal_of(other.refresh(CONNECTION, refused=1))).retry_after == 60
    world.clock.advance(seconds=PAUSE.total_seconds())

    _, new = await other.refresh(CONNECTION, refused=1)

    assert new.generation == 2


async def test_the_pause_is_no_shorter_where_clocks_differ(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """The org is at work for 45 seconds, and another replica's clock is ten minutes ahead."""
    other = await kitchen.replica("spool_two", off=timedelta(minutes=10))
    over = world.clock.monotonic() + 45
    await lose_an_answer(replica, world)

    async def answers(form: Mapping[str, str]) -> TokenAnswer:
        assert world.clock.monotonic() >= over, "the org is still at work"
        return world.org.process(form)

    world.org.next.append(answers)
    assert (await refusal_of(other.refresh(CONNECTION, refused=1))).retry_after == 60
    world.clock.advance(seconds=59)
    assert (await refusal_of(other.refresh(CONNECTION, refused=1))).retry_after == 1
    world.clock.advance(seconds=1)
    _, new = await other.refresh(CONNECTION, refused=1)

    assert new.generation == 2


async def test_the_token_is_presented_once_more_after_the_pause(
    replica: Replica, world: World
) -> None:
    """The org had not acted: the same token brings the next generation."""
    await lose_an_answer(replica, world)
    world.clock.advance(seconds=PAUSE.total_seconds())

    made, new = await replica.refresh(CONNECTION, refused=1)

    assert [form["refresh_token"] for form in world.org.presented] == [REFRESH, REFRESH]
    assert (made.state, made.problem, new.generation) == (ConnectionState.ACTIVE, None, 2)
    assert await world.outcomes() == [AttemptOutcome.UNKNOWN, AttemptOutcome.STORED]


async def test_the_second_presentation_is_decided_in_the_audit_trail(
    replica: Replica, world: World
) -> None:
    """Each step is recorded before it is taken."""
    await lose_an_answer(replica, world)
    world.clock.advance(seconds=PAUSE.total_seconds())
    world.journal.clear()

    await replica.refresh(CONNECTION, refused=1)

    assert world.journal[:3] == [
        "token.decided_to_present_again",
        "token.presented_again",
        "store.begin_attempt",
    ]
    [_, again] = await world.attempts()
    assert again.presented_again


async def test_an_org_that_had_rotated_ends_the_grant_and_says_so(
    replica: Replica, world: World
) -> None:
    """The first request was carried out, its answer lost: the customer has to come."""
    await lose_an_answer(replica, world)
    world.org.refresh_token = "rotated, and nobody knows it"
    world.clock.advance(seconds=PAUSE.total_seconds())

    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert (refusal.code, refusal.reason) == ("reauthorization_required", "grant_revoked")
    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED


async def test_nothing_is_presented_a_third_time(replica: Replica, world: World) -> None:
    """Two answers lost: from then on the customer is asked, however long it takes."""
    await lose_an_answer(replica, world)
    world.clock.advance(seconds=PAUSE.total_seconds())
    await lose_an_answer(replica, world)

    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED
    for _ in range(3):
        world.clock.advance(hours=24)
        refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))
        assert refusal.code == "reauthorization_required"
    assert len(world.org.presented) == 2


async def test_a_second_presentation_that_died_is_not_followed_by_a_third(
    replica: Replica, world: World
) -> None:
    """The process ended with it: the customer is asked."""
    await lose_an_answer(replica, world)
    world.clock.advance(seconds=PAUSE.total_seconds())
    await crash_before_the_answer(replica, world)

    world.clock.advance(hours=1)
    refusal = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert (refusal.code, refusal.reason) == ("reauthorization_required", "connection_uncertain")
    assert len(world.org.presented) == 2
    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert world.audit.types[-1] == "connection.reauthorization_required"


async def test_a_process_that_died_before_an_answer_leaves_uncertainty(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Started again on its spool, it finds the intent and nothing that came for it."""
    await crash_before_the_answer(replica, world)
    again = await kitchen.replica(replica.spool)

    await again.deliver.recover()

    assert await world.outcomes() == [AttemptOutcome.UNKNOWN]
    [attempt] = await world.attempts()
    assert attempt.spool_answered
    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    assert len(world.org.presented) == 1
    [event] = world.audit.of("token.outcome_unknown")
    assert event.detail["because"] == "process ended"


async def test_the_spool_delivers_to_whoever_asks_first(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """What lies there is used before anything is presented, without waiting for a round."""
    replica.store.fails["replace"] = [Crash()]
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    again = await kitchen.replica(replica.spool)

    _, new = await again.refresh(CONNECTION, refused=1)

    assert new.generation == 2
    assert len(world.org.presented) == 1
    assert again.spool.open == []


async def test_another_replicas_spool_has_to_speak_first(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Until it does nobody presents the token, however long that takes."""
    await crash_before_the_answer(replica, world)
    await world.base.stores.leases.release_earlier_runs()
    other = await kitchen.replica("spool_two")

    for _ in range(3):
        refusal = await refusal_of(other.refresh(CONNECTION, refused=1))
        assert (refusal.code, refusal.retry_after) == ("connection_uncertain", 60)
        world.clock.advance(hours=1)

    assert len(world.org.presented) == 1
    [attempt] = await world.attempts()
    assert not attempt.spool_answered
    [event] = world.audit.of("token.outcome_unknown")
    assert event.detail["because"] == "another replica's spool has not answered"


async def test_once_its_spool_has_spoken_any_replica_may_go_on(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """The replica that died comes back with nothing; the other one presents once more."""
    await crash_before_the_answer(replica, world)
    await world.base.stores.leases.release_earlier_runs()
    other = await kitchen.replica("spool_two")
    await refusal_of(other.refresh(CONNECTION, refused=1))

    await (await kitchen.replica(replica.spool)).deliver.recover()
    assert (await refusal_of(other.refresh(CONNECTION, refused=1))).code == "connection_uncertain"
    world.clock.advance(seconds=PAUSE.total_seconds())
    _, new = await other.refresh(CONNECTION, refused=1)

    assert new.generation == 2
    assert len(world.org.presented) == 2


async def test_an_answer_that_comes_back_with_its_replica_is_used(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Also where another replica has called the outcome unknown meanwhile."""
    replica.store.fails["replace"] = [Crash()]
    with pytest.raises(Crash):
        await replica.refresh(CONNECTION, refused=1)
    other = await kitchen.replica("spool_two")
    await refusal_of(other.refresh(CONNECTION, refused=1))
    assert (await world.connection()).state is ConnectionState.UNCERTAIN

    await (await kitchen.replica(replica.spool)).deliver.recover()

    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert (await world.tokens()).generation == 2
    assert len(world.org.presented) == 1


async def test_a_lost_spool_that_was_declared_so_is_not_waited_for(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """An operator's word counts as the spool's."""
    await crash_before_the_answer(replica, world)
    await world.base.stores.leases.release_earlier_runs()
    other = await kitchen.replica("spool_two")
    await refusal_of(other.refresh(CONNECTION, refused=1))
    await world.base.execute("UPDATE attempts SET spool_answered = true")
    world.clock.advance(seconds=PAUSE.total_seconds())

    assert (await other.refresh(CONNECTION, refused=1))[1].generation == 2


async def test_the_pause_counts_from_the_end_of_the_attempt(replica: Replica, world: World) -> None:
    """An attempt that was found late is as old as its finding."""
    await crash_before_the_answer(replica, world)
    world.clock.advance(hours=3)

    first = await refusal_of(replica.refresh(CONNECTION, refused=1))

    assert first.code == "connection_uncertain"
    assert first.retry_after == int(PAUSE.total_seconds())
    [attempt] = await world.attempts()
    assert attempt.ended_at == START + 3 * HOUR
    assert attempt.ended_at + PAUSE > START + 3 * HOUR + timedelta(seconds=1)
