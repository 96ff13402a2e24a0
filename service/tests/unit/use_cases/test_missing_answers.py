"""`use_cases.replay_journal`: a backup is put back, and no journal has all that came since.

The database is restored to generation 1.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.older_rows import Copy, refreshed, restarted
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, attempt

from keyturn_core.oauth.token_answer import OutcomeUnknown, TokenAnswer
from keyturn_service.adapters.sql.types import to_micros
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL


async def test_what_no_journal_has_is_done_without(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The newest answer is put in force once nobody is awaited: its token lives."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    in_force, presented = await world.tokens(), len(world.org.presented)
    await backup.restore()
    again = await restarted(kitchen, replica)
    assert (await world.connection()).state is ConnectionState.UNCERTAIN

    assert await again.replay.nobody_is_awaited() == 1

    assert (await world.tokens()).generation == 3
    assert (await world.tokens()).refresh_token == in_force.refresh_token
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert len(world.org.presented) == presented
    await refreshed(again, 3)
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_who_has_the_newest_answer_does_without_what_is_missing(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Whose answer is older leaves it alone: its token was used up by one that is missing."""
    gone, other = await kitchen.replica("spool_two"), await kitchen.replica("spool_three")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await refreshed(gone, 3)
    await refreshed(other, 4)
    in_force = await world.tokens()
    await backup.restore()
    again, back = await restarted(kitchen, replica), await restarted(kitchen, other)

    assert await again.replay.nobody_is_awaited() == 0
    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(again, 1)
    assert await back.replay.nobody_is_awaited() == 1

    assert (await world.tokens()).refresh_token == in_force.refresh_token
    assert (await world.tokens()).generation == 5
    assert await again.replay() == 1  # what it has is over
    assert (await world.tokens()).generation == 5


async def test_an_answer_before_one_that_another_journal_has_is_put_in_force(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The other one's turn has come then; nobody presents the token in between."""
    gone, other = await kitchen.replica("spool_two"), await kitchen.replica("spool_three")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await refreshed(other, 3)
    presented = len(world.org.presented)
    await backup.restore()
    back, again = await restarted(kitchen, other), await restarted(kitchen, replica)

    assert await again.replay.nobody_is_awaited() == 1
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(again, 3)
    assert await back.replay() == 1

    assert (await world.tokens()).generation == 4
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert len(world.org.presented) == presented


async def test_where_the_newest_journal_is_lost_the_customer_is_asked(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """It had said that it has an answer, which is newer than what is missing here."""
    gone, other = await kitchen.replica("spool_two"), await kitchen.replica("spool_three")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await refreshed(gone, 3)
    await refreshed(other, 4)
    presented = len(world.org.presented)
    await backup.restore()
    again = await restarted(kitchen, replica)
    await restarted(kitchen, other)
    assert await again.stores.spool_keys.forget(other.spool.id, at=world.clock.now())

    assert await again.replay.nobody_is_awaited() == 1
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await refreshed(again, 1)

    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert len(world.org.presented) == presented


async def test_where_the_newest_answer_was_lost_the_customer_is_asked(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Nothing says what became of the token, and nobody has it."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    world.org.next.append(OutcomeUnknown())
    with pytest.raises(ConnectionCannotServe):
        await refreshed(replica, 2)
    presented = len(world.org.presented)
    await backup.restore()
    again = await restarted(kitchen, replica)

    assert await again.replay.nobody_is_awaited() == 1
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await refreshed(again, 1)

    assert (await world.tokens()).generation == 1
    assert len(world.org.presented) == presented


async def test_what_is_in_doubt_is_not_presented_where_a_later_answer_tells_that_it_was_used(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Presented again by another replica, whose journal is not there; a third one went on."""
    again, third = await kitchen.replica("spool_two"), await kitchen.replica("spool_three")
    world.org.next.append(TokenAnswer(status=500, body=b"<html>", complete=True))
    with pytest.raises(ConnectionCannotServe):
        await refreshed(replica, 1)
    world.clock.advance(minutes=12)
    await refreshed(again, 1)
    await refreshed(third, 2)
    presented = len(world.org.presented)
    await backup.restore()
    first = await restarted(kitchen, replica)
    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    later = await restarted(kitchen, third)
    world.clock.advance(minutes=2)

    for one in (first, later):
        with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
            await refreshed(one, 1)

    assert len(world.org.presented) == presented
    assert await later.replay.nobody_is_awaited() == 1
    assert (await world.tokens()).generation == 3
    await refreshed(first, 3)
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_a_token_is_not_presented_a_third_time_after_a_restore(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The journal says that it was presented again, whatever order journals come in."""
    other = await kitchen.replica("spool_two")
    html = TokenAnswer(status=500, body=b"<html>", complete=True)
    for one in (replica, other):
        world.org.next.append(html)
        with pytest.raises(ConnectionCannotServe):
            await refreshed(one, 1)
        world.clock.advance(minutes=12)
    assert len(world.org.presented) == 2
    await backup.restore()

    for one in (other, replica):
        back = await restarted(kitchen, one)
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await refreshed(back, 1)

    assert len(world.org.presented) == 2


async def test_an_answer_that_does_not_say_its_grant_is_not_put_in_force_out_of_turn(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """As those of an earlier release: it may be of the one before."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await backup.restore()
    kept = replica.spool.kept
    [(name, answer)] = kept.items()
    kept[name] = replace(answer, authorized_at=None)
    again = await restarted(kitchen, replica)

    await again.replay.nobody_is_awaited()
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await refreshed(again, 1)

    assert (await world.tokens()).generation == 1


async def test_what_needs_the_customer_anyway_is_not_given_up_twice(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Nothing was said to be missing."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await backup.restore()
    waiting = ConnectionState.REAUTHORIZATION_REQUIRED
    await world.base.execute("UPDATE connections SET state = :state", state=waiting)
    [(name, answer)] = replica.spool.kept.items()
    replica.spool.kept[name] = replace(answer, authorized_at=None)
    again = await restarted(kitchen, replica)

    assert await again.replay.nobody_is_awaited() == 1

    assert (await world.connection()).state is waiting
    assert len(await world.attempts()) == 1


async def test_a_journal_of_the_grant_before_makes_nothing_uncertain(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Its answers are of another grant, whatever their generations."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await backup.restore()
    micros = to_micros(world.clock.now() + timedelta(seconds=1))
    await world.base.execute("UPDATE connections SET authorized_at = :micros", micros=micros)

    again = await restarted(kitchen, replica)

    assert await again.replay.nobody_is_awaited() == 0
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert "token.forgotten" not in world.audit.types


async def test_a_journal_that_is_lost_after_it_was_foreseen_has_the_customer_asked(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Nobody else has anything of it: what is missing is given up with the spool."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await backup.restore()
    await restarted(kitchen, replica)
    other = await kitchen.replica("spool_three")
    await other.replay.nobody_is_awaited()
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(other, 1)

    assert await other.stores.spool_keys.forget(replica.spool.id, at=world.clock.now())
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await refreshed(other, 1)

    assert len(world.org.presented) == 2


async def test_an_intent_that_a_restart_ended_leaves_nothing_to_wait_for(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Its replica died with the answer in hand, and again while it waited."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    world.org.next.append(OutcomeUnknown())
    with pytest.raises(ConnectionCannotServe):
        await refreshed(replica, 2)
    [(name, nothing)] = replica.spool.kept.items()
    del replica.spool.kept[name]
    replica.spool.begun[name] = nothing
    await backup.restore()
    await restarted(kitchen, replica)

    again = await restarted(kitchen, replica)
    assert await again.replay.nobody_is_awaited() == 0
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await refreshed(again, 1)


async def test_an_answer_without_a_refresh_token_puts_no_other_one_in_force(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """It came for a token that is missing, which goes on: nobody has that one."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    [(name, answer)] = replica.spool.kept.items()
    body = json.loads(answer.body)
    del body["refresh_token"]
    replica.spool.kept[name] = replace(answer, body=json.dumps(body).encode())
    await backup.restore()
    again = await restarted(kitchen, replica)

    assert await again.replay.nobody_is_awaited() == 1
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await refreshed(again, 1)

    assert (await world.tokens()).generation == 1


async def test_a_replay_that_was_cut_off_is_looked_through_whole(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """What it did first may be the newest: the rest is behind it."""
    await refreshed(replica, 1, 2, 3)
    newest = (await world.attempts())[-1]
    await backup.restore()
    again = await kitchen.replica(replica.spool)
    again.replay.at_once = 1
    await again.store.foresee(replace(newest, outcome=None, spool_answered=False, ended_at=None))
    await again.deliver.recover()
    assert await again.replay.recover() == 0
    assert (await world.tokens()).generation == 1

    assert await again.replay.recover(whole=True) == 3

    assert (await world.tokens()).generation == 4


async def test_what_is_missing_is_said_once_though_another_attempt_hides_it(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """One that was replayed by the journal that was missing, and died in the middle."""
    gone = await kitchen.replica("spool_two")
    await refreshed(gone, 1)
    await refreshed(replica, 2)
    await backup.restore()
    again = await restarted(kitchen, replica)
    lease = await gone.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert lease is not None
    await gone.store.begin_attempt(attempt(fence=lease.fence, presented_again=True))
    await gone.stores.leases.release(lease)

    assert await again.replay() == 0

    assert world.audit.types.count("token.forgotten") == 1
