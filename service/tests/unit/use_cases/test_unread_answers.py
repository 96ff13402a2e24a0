"""`use_cases.deliver_spool`, `replay_journal`: what cannot be read keeps nothing else waiting."""

from __future__ import annotations

import pytest
from service.tests.support.older_rows import Copy, refreshed, restarted
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, spooled

from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import AttemptId
from keyturn_service.ports import SealUnavailable, StoreUnavailable
from keyturn_service.vault.errors import KeyMissing, KeySourceRefused, KeySourceUnavailable

OLDEST = AttemptId("cs_old.0011")
BAD_SECTOR = OSError(5, "Input/output error")
UNREAD = [
    BAD_SECTOR,
    KeySourceRefused("the key is disabled"),
    KeySourceUnavailable("away"),
    KeyMissing("kek_old"),
]
EACH = [type(one).__name__ for one in UNREAD]


@pytest.fixture
async def undelivered(replica: Replica) -> AttemptId:
    """Leave an answer on the spool that the database was away for."""
    replica.store.fails["replace"] = [StoreUnavailable("a moment")]
    with pytest.raises(StoreUnavailable):
        await refreshed(replica, 1)
    [attempt_id] = replica.spool.open
    return attempt_id


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("error", UNREAD, ids=EACH)
async def test_one_that_cannot_be_read_keeps_no_later_one_waiting(
    replica: Replica, world: World, undelivered: AttemptId, error: Exception, *, start: bool
) -> None:
    """Neither in a round nor at a start; it stays where it is."""
    await replica.spool.put(spooled(attempt_id=OLDEST, status=200))
    replica.spool.open = [OLDEST, undelivered]
    replica.spool.unread[OLDEST] = error

    await (replica.deliver.recover() if start else replica.deliver())

    assert (await world.tokens()).generation == 2
    assert replica.spool.open == [OLDEST]


@pytest.mark.parametrize("error", UNREAD, ids=EACH)
async def test_one_that_cannot_be_read_is_not_taken_for_none(
    kitchen: Kitchen, replica: Replica, world: World, undelivered: AttemptId, error: Exception
) -> None:
    """Its attempt stays open over a start, nothing is presented, and it is delivered later."""
    replica.spool.unread[undelivered] = error
    again = await restarted(kitchen, replica)
    assert not again.replay.is_blocked, "the database knows of it"
    assert await world.outcomes() == [None]
    with pytest.raises((StoreUnavailable, SealUnavailable, KeyMissing)):
        await refreshed(again, 1)
    assert len(world.org.presented) == 1

    replica.spool.unread.clear()

    assert await again.deliver() == 1
    assert await world.outcomes() == [AttemptOutcome.STORED]


async def test_a_round_ends_where_the_database_is_away(
    replica: Replica, world: World, undelivered: AttemptId
) -> None:
    """All others would wait for it as long."""
    replica.store.fails["attempt"] = [StoreUnavailable("gone")]

    with pytest.raises(StoreUnavailable):
        await replica.deliver()

    assert replica.spool.open == [undelivered]
    assert (await world.tokens()).generation == 1


@pytest.mark.parametrize("error", UNREAD, ids=EACH)
async def test_a_journal_that_cannot_be_read_in_part_is_not_replayed(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy, error: Exception
) -> None:
    """What can be read is put in force; until the rest can be, the journal is held up."""
    await refreshed(replica, 1, 2)
    presented, last = len(world.org.presented), list(replica.spool.kept)[-1]
    await backup.restore()
    replica.spool.unread[last] = error

    again = await restarted(kitchen, replica)

    assert (await world.tokens()).generation == 2
    assert again.replay.is_blocked
    replica.spool.unread.clear()
    assert await again.replay() == 1
    assert not again.replay.is_blocked
    assert (await world.tokens()).generation == 3
    assert len(world.org.presented) == presented


async def test_an_intent_that_cannot_be_read_holds_its_journal_up(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """Its token may be used up, whatever the database says."""
    await refreshed(replica, 1)
    await backup.restore()
    [(name, answer)] = replica.spool.kept.items()
    replica.spool.kept.clear()
    replica.spool.begun[name] = spooled(
        attempt_id=name, token_hash=answer.token_hash, authorized_at=answer.authorized_at
    )
    replica.spool.unread[name] = BAD_SECTOR

    again = await restarted(kitchen, replica)

    assert again.replay.is_blocked
    replica.spool.unread.clear()
    await again.replay()
    assert not again.replay.is_blocked
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await refreshed(again, 1)
    assert len(world.org.presented) == 1


async def test_a_connection_whose_key_is_away_holds_its_journal_up(
    kitchen: Kitchen, replica: Replica, world: World, backup: Copy
) -> None:
    """It could be presented as soon as the key is there."""
    await refreshed(replica, 1)
    await backup.restore()
    again = await kitchen.replica(replica.spool)
    again.store.fails["load"] = [KeySourceUnavailable("away")]

    assert await again.replay.recover() == 0

    assert again.replay.is_blocked
    assert await again.replay() == 1
    assert (await world.connection(CONNECTION)).state is ConnectionState.ACTIVE
