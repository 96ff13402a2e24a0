"""`use_cases.replay_journal`: a backup is put back, and no token that was used since is presented.

The database is restored to generation 1; what came since is in the journals of replicas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from service.tests.support.fakes import MemorySpool
from service.tests.support.older_rows import Copy, refreshed, restarted
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, REFRESH

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown
from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import AttemptId
from keyturn_service.ports import SealRefused
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL


async def test_what_the_journal_has_is_put_in_force_again(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """All of it, in order; the grant lives, and goes on from there."""
    await refreshed(replica, 1, 2, 3)
    in_force, presented = await world.tokens(), len(world.org.presented)
    await backup.restore()
    assert (await world.tokens()).generation == 1

    again = await restarted(kitchen, replica)

    assert (await world.tokens()).refresh_token == in_force.refresh_token
    assert (await world.tokens()).generation == 4
    assert len(world.org.presented) == presented
    assert world.audit.types.count("token.replayed") == 3
    await refreshed(again, 4)
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_a_database_that_knows_it_all_is_left_alone(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """As at every ordinary start."""
    await refreshed(replica, 1, 2)
    before = await world.tokens()

    again = await restarted(kitchen, replica)

    assert await again.replay() == 0
    assert await world.tokens() == before
    assert "token.replayed" not in world.audit.types


async def test_a_long_journal_is_looked_through_until_it_is_known(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Some at a time."""
    await refreshed(replica, 1, 2, 3, 4, 5)
    await backup.restore()
    again = await kitchen.replica(replica.spool)
    again.replay.at_once = 2

    assert await again.replay.recover() == 5

    assert (await world.tokens()).generation == 6


async def test_the_journals_of_two_replicas_belong_together(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The one whose turn it is not waits, and the connection is uncertain until then."""
    other = await kitchen.replica("spool_two")
    await refreshed(replica, 1)
    await refreshed(other, 2)
    await refreshed(replica, 3)
    presented = len(world.org.presented)
    await backup.restore()

    again = await restarted(kitchen, replica)
    assert (await world.tokens()).generation == 2
    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(again, 2)
    assert world.audit.types.count("token.forgotten") == 1
    assert await again.replay() == 0
    assert world.audit.types.count("token.forgotten") == 1

    await restarted(kitchen, other)
    assert (await world.tokens()).generation == 3
    assert await again.replay() == 1

    assert (await world.tokens()).generation == 4
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert len(world.org.presented) == presented


async def test_round_by_round_the_journals_fill_each_others_gaps(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Whoever looks in between finds the next gap."""
    other = await kitchen.replica("spool_two")
    await refreshed(replica, 1)
    await refreshed(other, 2, 3)
    await refreshed(replica, 4)
    await backup.restore()
    again = await restarted(kitchen, replica)
    back = await kitchen.replica(other.spool)
    back.store.fails["begin_attempt"] = [SealRefused("later")] * 2
    await back.replay.recover()

    back.store.fails["begin_attempt"] = []
    first, second = sorted(back.replay._later, key=lambda one: one.generation)
    back.replay._later.remove(second)
    await back.replay()
    assert await again.replay() == 0
    assert world.audit.types.count("token.forgotten") == 2
    back.replay._later.append(second)
    await back.replay()
    assert await again.replay() == 1

    assert first.generation == 2
    assert (await world.tokens()).generation == 5
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_a_token_whose_answer_another_journal_has_is_not_presented(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """It is in force as soon as what came before is there, and the other has not looked yet."""
    other = await kitchen.replica("spool_two")
    await refreshed(replica, 1)
    await refreshed(other, 2)
    presented = len(world.org.presented)
    await backup.restore()
    await restarted(kitchen, other)

    again = await restarted(kitchen, replica)
    assert (await world.tokens()).generation == 2
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(again, 2)

    assert len(world.org.presented) == presented
    back = await restarted(kitchen, other)  # what it has lies there, whenever it is back
    assert (await world.tokens()).generation == 3
    await refreshed(back, 3)
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_the_replica_itself_settles_what_it_foresaw(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Asked before its next round, which finds nothing left to do then."""
    other = await kitchen.replica("spool_two")
    await refreshed(replica, 1)
    await refreshed(other, 2)
    presented = len(world.org.presented)
    await backup.restore()
    back = await restarted(kitchen, other)
    await restarted(kitchen, replica)

    await refreshed(back, 2)

    assert (await world.tokens()).generation == 3
    assert len(world.org.presented) == presented
    assert await back.replay() == 1
    assert world.audit.types.count("token.replayed") == 1


async def test_what_was_foreseen_and_found_lost_is_settled_once(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Asked before its next round: the outcome is unknown, and stays so."""
    other = await kitchen.replica("spool_two")
    await refreshed(replica, 1)
    world.org.next.append(OutcomeUnknown())
    with pytest.raises(ConnectionCannotServe):
        await refreshed(other, 2)
    await backup.restore()
    back = await restarted(kitchen, other)
    await restarted(kitchen, replica)
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(back, 2)
    ended = await world.outcomes()

    assert await back.replay() == 1

    assert await world.outcomes() == ended
    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    assert world.audit.types.count("token.replayed") == 1


async def test_an_intent_that_the_database_forgot_is_remembered(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Killed with the answer in hand: the token may be used up, and the journal alone says so."""

    class Dying(MemorySpool):
        async def put(self, answer: SpooledAnswer) -> None:
            del answer
            raise asyncio.CancelledError

    killed = await kitchen.replica(Dying(world.journal))
    with pytest.raises(asyncio.CancelledError):
        await refreshed(killed, 1)
    assert len(world.org.presented) == 1
    await backup.restore()

    replica.spool.begun = killed.spool.begun
    again = await restarted(kitchen, replica)

    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(again, 1)
    assert len(world.org.presented) == 1


async def test_what_did_not_leave_is_no_intent(replica: Replica, world: World) -> None:
    """A restored database is to be believed about it."""
    world.org.next.append(NotProcessed("refused"))
    with pytest.raises(ConnectionCannotServe):
        await refreshed(replica, 1)

    assert not await replica.spool.intents()


async def test_a_grant_that_is_given_anew_ends_what_was_foreseen(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Its generation has the number of one that the grant before had."""
    other = await kitchen.replica("spool_two")
    await refreshed(other, 1)
    await refreshed(replica, 2)
    await backup.restore()
    again = await restarted(kitchen, replica)

    anew = await authorized_anew(world)

    assert await again.replay() == 1
    assert (await world.tokens()).refresh_token == anew
    assert "token.replayed" not in world.audit.types


async def test_what_a_new_grant_has_ended_is_not_put_in_force_out_of_turn(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Though nobody is awaited, and its generation is not reached."""
    other = await kitchen.replica("spool_two")
    await refreshed(other, 1, 2)
    await refreshed(replica, 3)
    await backup.restore()
    again = await restarted(kitchen, replica)
    anew = await authorized_anew(world)

    assert await again.replay.nobody_is_awaited() == 1

    assert (await world.tokens()).refresh_token == anew


async def test_a_journal_that_comes_after_a_new_grant_changes_nothing(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The answer says which token it was for."""
    other = await kitchen.replica("spool_two")
    await refreshed(other, 1)
    await refreshed(replica, 2)
    await backup.restore()
    anew = await authorized_anew(world)

    again = await restarted(kitchen, replica)

    assert await again.replay() == 0
    assert (await world.tokens()).refresh_token == anew
    assert "token.replayed" not in world.audit.types


async def authorized_anew(world: World) -> RefreshToken:
    """Put a new grant in force, at generation 2."""
    connection, tokens = await world.connection(), await world.tokens()
    store = world.base.stores
    lease = await store.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert lease is not None
    granted = replace(tokens, generation=2, refresh_token=RefreshToken("granted anew"))
    assert await store.tokens.renew(
        replace(connection, generation=2, state=ConnectionState.ACTIVE, problem=None),
        granted,
        instead_of=1,
        fence=lease.fence,
        anew=True,
    )
    await store.leases.release(lease)
    return RefreshToken("granted anew")


async def test_without_the_other_journal_the_used_token_is_never_presented(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """However long one waits."""
    other = await kitchen.replica("spool_two")
    await refreshed(other, 1)
    await refreshed(replica, 2)
    presented = len(world.org.presented)
    await backup.restore()

    again = await restarted(kitchen, replica)
    for _ in range(3):
        world.clock.advance(days=1)
        with pytest.raises(ConnectionCannotServe):
            await refreshed(again, 1)

    assert len(world.org.presented) == presented


async def test_an_answer_that_was_lost_is_lost_after_the_restore_too(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The journal says that nothing came: the outcome is unknown, as it was."""
    world.org.next.append(OutcomeUnknown())
    with pytest.raises(ConnectionCannotServe):
        await refreshed(replica, 1)
    await backup.restore()

    await restarted(kitchen, replica)

    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    assert [form["refresh_token"] for form in world.org.presented] == [REFRESH]


async def test_killed_in_the_middle_it_is_finished_at_the_next_start(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The attempt is known again then, and its answer lies there."""
    await refreshed(replica, 1, 2)
    await backup.restore()
    dying = await kitchen.replica(replica.spool)
    dying.store.fails["replace"] = [RuntimeError("killed")]
    await dying.deliver.recover()
    with pytest.raises(RuntimeError):
        await dying.replay.recover()

    await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 3


async def test_a_lease_that_somebody_holds_is_waited_for(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """The next round does it."""
    await refreshed(replica, 1)
    await backup.restore()
    other = await kitchen.replica("spool_two")
    held = await other.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert held is not None

    again = await restarted(kitchen, replica)
    assert (await world.tokens()).generation == 1
    await other.stores.leases.release(held)

    assert await again.replay() == 1
    assert (await world.tokens()).generation == 2


async def test_what_does_not_open_is_tried_again(
    kitchen: Kitchen, replica: Replica, backup: Copy
) -> None:
    """It does not keep the replica from starting."""
    await refreshed(replica, 1)
    await backup.restore()
    again = await kitchen.replica(replica.spool)
    again.store.fails["load"] = [SealRefused("changed")]

    assert await again.replay.recover() == 0
    assert await again.replay() == 1


@pytest.mark.parametrize(
    "changed",
    [
        "DELETE FROM token_sets",
        "UPDATE connections SET state = 'revoked'",
        "UPDATE connections SET renewal = 'jwt_bearer'",
    ],
)
async def test_what_is_over_is_not_replayed(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy, changed: str
) -> None:
    """There is nothing to put it into."""
    await refreshed(replica, 1)
    await backup.restore()
    await world.base.execute(changed)

    again = await restarted(kitchen, replica)

    assert await again.replay() == 0
    assert "token.replayed" not in world.audit.types


async def test_what_needs_the_customer_anyway_stays_so(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """A gap makes nothing uncertain that does not serve."""
    await refreshed(replica, 1, 2)
    await backup.restore()
    waiting = ConnectionState.REAUTHORIZATION_REQUIRED
    await world.base.execute("UPDATE connections SET state = :state", state=waiting)
    first = next(iter(replica.spool.kept))
    del replica.spool.kept[first]

    await restarted(kitchen, replica)

    assert (await world.connection()).state is waiting


async def test_answers_to_codes_are_none_of_the_journals(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """No attempt is noted for a code; the delivery ends such a grant."""
    await refreshed(replica, 1)
    for name in ("cs_one", "cs_one.0123456789abcdef"):
        replica.spool.kept[AttemptId(name)] = next(iter(replica.spool.kept.values()))

    again = await restarted(kitchen, replica)

    assert await again.replay() == 0
    assert "token.replayed" not in world.audit.types


async def test_what_was_purged_meanwhile_is_passed_over(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Between the list and the look."""
    await refreshed(replica, 1)
    await backup.restore()

    class Purging(MemorySpool):
        async def newest_first(self) -> Sequence[AttemptId]:
            return [AttemptId("att_purged")]

    again = await kitchen.replica(Purging(world.journal))

    assert await again.replay.recover() == 0
    assert (await world.tokens()).generation == 1
