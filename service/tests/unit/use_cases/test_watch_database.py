"""`use_cases.watch_database`: nothing is presented until all journals are in another database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.epochs import FakeEpochs, Keys
from service.tests.support.fakes import CountedRandomness, fake_hash
from service.tests.support.older_rows import Copy
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, SPOOL

from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ConnectionId, SpoolId
from keyturn_service.ports import (
    Lease,
    RefreshLeases,
    SealRefused,
    StoreUnavailable,
)
from keyturn_service.use_cases.presenting import Presenting
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL
from keyturn_service.use_cases.say_spool_keys import SaySpoolKeys
from keyturn_service.use_cases.watch_database import WatchDatabase

OTHER = SpoolId("spool_other")


@pytest.fixture
def epochs(world: World) -> FakeEpochs:
    """Return what the database is."""
    return FakeEpochs(world)


@pytest.fixture
async def watch(replica: Replica, epochs: FakeEpochs) -> WatchDatabase:
    """Return the watch of a replica that has started."""
    watch = WatchDatabase(
        epochs=epochs,
        presenting=replica.refresh.presenting,
        deliver=replica.deliver,
        replay=replica.replay,
        say_spool_keys=SaySpoolKeys(spool=replica.spool, keys=Keys(epochs)),
        store=replica.store,  # type: ignore[arg-type] - it hands everything on
        leases=replica.stores.leases,
        spool=replica.spool,
        audit=replica.world.audit,
        hashes=fake_hash,
        clock=replica.world.clock,
        randomness=CountedRandomness("watch:"),
        waiting=replica.waiting,
    )
    await watch()
    return watch


async def refresh(replica: Replica, refused: int) -> int:
    """Have a generation refreshed; return the new one."""
    _, tokens = await replica.refresh(CONNECTION, refused=refused)
    return tokens.generation


async def test_the_first_start_names_an_epoch(watch: WatchDatabase, epochs: FakeEpochs) -> None:
    """Nobody is waited for, and the rounds after it find nothing to do."""
    await watch()

    assert epochs.journal == ["begin, expects=False", "say keys", "replayed"]
    assert watch.presenting.is_open


async def test_another_database_is_taken_up(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World
) -> None:
    """What the journal has is in force before anything is presented again."""
    backup = Copy(world)
    await backup.take()
    await refresh(replica, 1)
    await backup.restore()
    epochs.identity, epochs.lost, epochs.journal = "two", 3, []

    await watch()

    assert epochs.journal == [
        "accept two",
        "begin, expects=True",
        "expect",
        "say keys",
        "replayed",
    ]
    assert (await world.tokens()).generation == 2
    [exchanged] = world.audit.of("database.exchanged")
    assert exchanged.detail | {"epoch": "any"} == {
        "epoch": "any",
        "spool_id": SPOOL,
        "replayed": 1,
        "audit_records_lost": 3,
    }
    assert await refresh(replica, 2) == 3
    assert len(world.org.presented) == 2


async def test_an_epoch_that_another_replica_named_is_joined(
    watch: WatchDatabase, epochs: FakeEpochs
) -> None:
    """Whoever was first names it."""
    epochs.epoch, epochs.journal = "epoch_of_another", []

    await watch()

    assert epochs.journal == ["accept one", "expect", "say keys", "replayed"]


async def test_a_restored_database_is_seen_at_a_start(
    watch: WatchDatabase, epochs: FakeEpochs, world: World
) -> None:
    """The replica that starts has nothing to go over from, but others may have journals, too.

    It says what its spool needs afterwards: who ran is told by when they last said so.
    """
    epochs.identity, epochs.journal, epochs.spools = "two", [], [OTHER]
    restarted = replace(watch, presenting=Presenting())

    await restarted()

    assert epochs.journal == ["begin, expects=True", "expect", "say keys", "replayed"]
    assert not restarted.presenting.is_open
    [noted] = world.audit.of("database.exchanged")
    assert noted.detail["audit_records_lost"] == 0


async def test_what_the_database_has_is_kept_for_the_next_start(
    watch: WatchDatabase, epochs: FakeEpochs, world: World
) -> None:
    """At once, and then every five seconds."""
    assert epochs.remembered == 1

    for passed in (4.9, 0.1, 0.1):
        world.clock.advance(seconds=passed)
        await watch()

    assert epochs.remembered == 2


async def test_who_else_runs_is_learnt_while_nobody_is_awaited(
    watch: WatchDatabase, epochs: FakeEpochs, world: World
) -> None:
    """Else the database may lack some that are waited for."""
    assert epochs.met == [SPOOL]
    epochs.identity, epochs.spools = "two", [OTHER]
    for _ in range(2):
        world.clock.advance(seconds=5)
        await watch()
    assert epochs.met == [SPOOL]

    epochs.spools = []
    for _ in range(2):
        world.clock.advance(seconds=5)
        await watch()

    assert epochs.met == [SPOOL, SPOOL, SPOOL]


async def test_nothing_is_presented_while_a_journal_is_awaited(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World
) -> None:
    """Callers wait a little, and are told to ask again."""
    epochs.identity, epochs.spools = "two", [OTHER]
    await watch()
    with pytest.raises(StoreUnavailable):
        await refresh(replica, 1)
    await watch()
    assert world.org.presented == []

    epochs.spools = []
    await watch()

    assert await refresh(replica, 1) == 2


@pytest.mark.parametrize(
    ("spools", "age", "opened"),
    [([], 2.9, False), ([], 3.0, True), ([OTHER], 59.0, False), ([OTHER], 60.0, True)],
)
async def test_it_waits_for_those_that_it_may_not_know_of(
    watch: WatchDatabase, epochs: FakeEpochs, spools: list[SpoolId], age: float, *, opened: bool
) -> None:
    """And not forever, where the loss of a spool was accepted."""
    watch.patience = 60.0
    epochs.identity, epochs.spools, epochs.age = "two", spools, age

    await watch()

    assert watch.presenting.is_open is opened


async def test_what_is_under_way_ends_before_the_journal_is_read(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica
) -> None:
    """Its answer is in it then."""
    epochs.identity = "two"
    with watch.presenting.of(CONNECTION, 1):
        sleep = replica.waiting.sleep

        class Ending:
            async def sleep(self, seconds: float) -> None:
                assert "expect" not in epochs.journal
                watch.presenting.under_way = 0
                await sleep(seconds)

        watch.waiting = Ending()
        await watch()
        watch.presenting.under_way = 1

    assert epochs.journal[-1] == "replayed"


async def test_a_database_is_gone_over_to_once_though_what_follows_fails(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica
) -> None:
    """That ends all that is under way; another one is gone over to all the same."""
    epochs.identity = "two"
    for _ in range(3):
        replica.store.fails["open_attempts_of"] = [StoreUnavailable("gone")]
        with pytest.raises(StoreUnavailable):
            await watch()
    assert epochs.journal.count("accept two") == 1

    epochs.identity = "three"
    await watch()

    assert epochs.journal.count("accept three") == 1
    epochs.identity = "two"
    await watch()
    assert epochs.journal.count("accept two") == 2


async def test_a_database_that_was_another_for_a_moment_is_gone_back_to(
    watch: WatchDatabase, epochs: FakeEpochs
) -> None:
    """A name led to a standby that takes no writes, and then to the same one again."""
    epochs.identity, epochs.fails = "standby", 1
    with pytest.raises(StoreUnavailable):
        await watch()

    epochs.identity = "one"
    await watch()

    assert [one for one in epochs.journal if "accept" in one] == ["accept standby", "accept one"]
    assert watch.presenting.is_open


async def test_what_hangs_is_waited_for_no_longer_than_a_lease(
    watch: WatchDatabase, epochs: FakeEpochs
) -> None:
    """No call goes on behind the end of its lease; others wait for this journal."""
    epochs.identity = "two"
    began = watch.clock.monotonic()

    with watch.presenting.of(CONNECTION, 1):
        await watch()

    assert epochs.journal[-1] == "replayed"
    assert watch.clock.monotonic() - began == pytest.approx(LEASE_TTL.total_seconds(), abs=1)


async def test_what_failed_in_the_middle_is_done_by_the_next_round(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica
) -> None:
    """The gate stays shut until then."""
    epochs.identity = "two"
    replica.store.fails["open_attempts_of"] = [StoreUnavailable("gone")]
    with pytest.raises(StoreUnavailable):
        await watch()
    assert not watch.presenting.is_open

    await watch()

    assert watch.presenting.is_open
    assert epochs.journal.count("begin, expects=True") == 1


async def test_a_journal_that_is_held_up_is_not_said_to_be_replayed(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World
) -> None:
    """Somebody holds the lease of a connection that it has an answer for."""
    backup = Copy(world)
    await backup.take()
    await refresh(replica, 1)
    await backup.restore()
    async with world.base.replica("spool_two") as other:
        held = await other.leases.acquire(CONNECTION, ttl=LEASE_TTL)
        assert held is not None
        epochs.identity, epochs.journal = "two", []
        await watch()
        assert "replayed" not in epochs.journal
        await other.leases.release(held)

    await replica.replay()
    await watch()

    assert epochs.journal[-1] == "replayed"


async def held_up(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, kitchen: Kitchen
) -> None:
    """Exchange the database while another replica holds the lease of what the journal has."""
    backup = Copy(kitchen.world)
    await backup.take()
    await refresh(replica, 1)
    await backup.restore()
    other = await kitchen.replica("spool_two")
    assert await other.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    epochs.identity, epochs.journal = "two", []
    await watch()
    assert "replayed" not in epochs.journal


class Leases:
    """Leases of which a test says what becomes of the next one that is asked for."""

    def __init__(self, leases: RefreshLeases, become: Callable[[], Awaitable[None]]) -> None:
        self._leases, self._become = leases, become

    async def acquire(self, connection_id: ConnectionId, *, ttl: timedelta) -> Lease | None:
        """Ask for it."""
        await self._become()
        return await self._leases.acquire(connection_id, ttl=ttl)


async def test_a_journal_that_is_being_looked_through_is_not_said_to_be_replayed(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, kitchen: Kitchen
) -> None:
    """The watch comes by while the round waits for the database."""
    await held_up(watch, epochs, replica, kitchen)
    epochs.age = 0.0
    replica.replay.leases = Leases(replica.stores.leases, watch)  # type: ignore[assignment]

    assert await replica.replay() == 0

    assert "replayed" not in epochs.journal


async def test_a_journal_that_was_looked_through_in_part_is_not_said_to_be_replayed(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, kitchen: Kitchen
) -> None:
    """The database was away for a moment: what came after that is held up as before."""
    await held_up(watch, epochs, replica, kitchen)

    async def away() -> None:
        raise StoreUnavailable("a moment")

    replica.replay.leases = Leases(replica.stores.leases, away)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable):
        await replica.replay()
    await watch()

    assert "replayed" not in epochs.journal
    assert not watch.presenting.is_open


async def test_what_no_journal_has_is_done_without_before_anything_is_presented(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World, kitchen: Kitchen
) -> None:
    """Once nobody is awaited; a lease that is held keeps the gate shut until then."""
    backup = Copy(world)
    await backup.take()
    gone = await kitchen.replica("spool_two")
    await gone.refresh(CONNECTION, refused=1)
    await refresh(replica, 2)
    await backup.restore()
    epochs.identity, epochs.spools = "two", [OTHER]
    await watch()
    assert (await world.connection()).state is ConnectionState.UNCERTAIN

    held = await gone.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert held is not None
    epochs.spools = []
    await watch()
    assert not watch.presenting.is_open
    await gone.stores.leases.release(held)
    await replica.replay()
    await watch()

    assert watch.presenting.is_open
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert (await world.tokens()).generation == 3


async def test_what_nobody_has_is_quarantined(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World
) -> None:
    """It was seen at a later generation: its token is used up, and is not presented."""
    epochs.identity, epochs.seen = "two", {CONNECTION: 3}

    await watch()

    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    [noted] = world.audit.of("token.unaccounted")
    assert (noted.detail["generation"], noted.detail["seen"]) == (1, 3)
    with pytest.raises(ConnectionCannotServe):
        await refresh(replica, 1)
    assert world.org.presented == []
    assert watch.presenting.seen == {}


async def test_what_was_seen_is_told_to_whoever_puts_an_older_answer_in_force(
    watch: WatchDatabase, epochs: FakeEpochs, world: World, kitchen: Kitchen
) -> None:
    """Generation 3 was served here: the token of 2 is used up, though nobody has its answer."""
    backup = Copy(world)
    await backup.take()
    other = await kitchen.replica("spool_two")
    await other.refresh(CONNECTION, refused=1)
    await backup.restore()
    epochs.identity, epochs.seen = "two", {CONNECTION: 3}
    epochs.spools = [other.spool.id]
    await watch()

    back = await kitchen.replica(other.spool)
    await back.deliver.recover()
    assert await back.replay.recover() == 1
    assert (await world.tokens()).generation == 2
    presented = len(world.org.presented)
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await back.refresh(CONNECTION, refused=2)

    assert len(world.org.presented) == presented


async def test_what_one_replica_saw_keeps_every_other_from_presenting(
    watch: WatchDatabase, epochs: FakeEpochs, world: World, kitchen: Kitchen
) -> None:
    """Also a token between, for which there is no attempt; and before anything is quarantined."""
    other = await kitchen.replica("spool_two")
    epochs.identity, epochs.seen, epochs.spools = "two", {CONNECTION: 4}, [other.spool.id]

    await watch()

    assert (await world.connection()).state is ConnectionState.ACTIVE
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await other.refresh(CONNECTION, refused=1)
    assert world.org.presented == []


async def test_what_was_seen_is_told_though_the_round_failed_after_it(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World
) -> None:
    """The next one finds nothing in memory any more, and has not forgotten it."""
    epochs.identity, epochs.seen = "two", {CONNECTION: 3}
    replica.store.fails["open_attempts_of"] = [StoreUnavailable("gone again")]
    with pytest.raises(StoreUnavailable):
        await watch()
    epochs.seen = {}

    await watch()

    assert sorted(one.generation for one in await world.attempts()) == [1, 2]


async def test_what_was_told_of_a_grant_before_says_nothing_of_the_next_one(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World
) -> None:
    """Its generations have the same numbers: a second fail-over quarantines it all the same."""
    epochs.identity, epochs.seen = "two", {CONNECTION: 3}
    await watch()
    world.clock.advance(hours=1)
    world.org.refresh_token = "5Aep861.of-the-new-grant"
    again = await replica.connect.connected(connection_id=CONNECTION)
    assert again.generation == 2
    epochs.identity, epochs.seen = "three", {CONNECTION: 3}
    await watch()
    world.org.presented.clear()

    with pytest.raises(ConnectionCannotServe):
        await replica.refresh(CONNECTION, refused=2)

    assert world.org.presented == []


async def test_what_was_seen_next_says_nothing_of_a_later_token(
    watch: WatchDatabase, epochs: FakeEpochs, world: World
) -> None:
    """The one in force was used up, and it alone is quarantined."""
    epochs.identity, epochs.seen = "two", {CONNECTION: 2}

    await watch()

    assert (await world.connection()).state is ConnectionState.UNCERTAIN
    assert [one.generation for one in await world.attempts()] == [1]


async def test_what_was_seen_and_is_there_is_left_alone(
    watch: WatchDatabase, epochs: FakeEpochs, world: World
) -> None:
    """No more than that is quarantined."""
    epochs.identity, epochs.seen = "two", {CONNECTION: 1}

    await watch()

    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert watch.presenting.seen == {}


@pytest.mark.parametrize(
    "changed",
    [
        "DELETE FROM token_sets",
        "UPDATE connections SET state = 'revoked'",
        "UPDATE connections SET renewal = 'jwt_bearer'",
        "UPDATE token_sets SET refresh_token = NULL",
    ],
)
async def test_what_presents_nothing_is_not_quarantined(
    watch: WatchDatabase, epochs: FakeEpochs, world: World, changed: str
) -> None:
    """There is nothing to keep from being presented."""
    await world.base.execute(changed)
    before = (await world.connection()).state
    epochs.identity, epochs.seen = "two", {CONNECTION: 3}

    await watch()

    assert (await world.connection()).state is before
    assert watch.presenting.seen == {}


@pytest.mark.parametrize("because", ["lease", "seal"])
async def test_what_cannot_be_quarantined_yet_is_not_presented(
    watch: WatchDatabase, epochs: FakeEpochs, replica: Replica, world: World, because: str
) -> None:
    """The others are, and a later round does it."""
    epochs.identity, epochs.seen = "two", {CONNECTION: 3}
    held: Any = None
    async with world.base.replica("spool_two") as other:
        if because == "lease":
            held = await other.leases.acquire(CONNECTION, ttl=LEASE_TTL)
        else:
            replica.store.fails["load"] = [SealRefused("changed")] * 2
        await watch()
        if held:
            await other.leases.release(held)

    assert watch.presenting.is_open
    with pytest.raises(StoreUnavailable):
        await refresh(replica, 1)
    await watch()
    assert (await world.connection()).state is ConnectionState.UNCERTAIN
