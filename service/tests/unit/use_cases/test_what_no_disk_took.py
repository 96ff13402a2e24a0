"""`use_cases.refresh_tokens`: an answer that neither disk nor database took stays in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import StoreUnavailable


@pytest.fixture(autouse=True)
def filling(replica: Replica, world: World) -> None:
    """Have the disk full by the time that the answer is there: it took the intent."""

    async def answer(form: Mapping[str, str]) -> TokenAnswer:
        replica.spool.full = True
        return world.org.process(form)

    world.org.next.append(answer)


@pytest.fixture
async def refused(replica: Replica, filling: None) -> None:
    """Have the database refuse the answer, too."""
    del filling
    replica.store.fails["replace"] = [StoreUnavailable("database or disk is full")]
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)
    assert replica.spool.kept == {}


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.usefixtures("refused")
async def test_the_next_caller_is_served_by_it(
    replica: Replica, world: World, *, room: bool
) -> None:
    """Before anything is resolved, whether there is room on the disk or not."""
    replica.spool.full = not room

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.generation == 2
    assert len(world.org.presented) == 1
    assert await world.outcomes() == [AttemptOutcome.STORED]
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert bool(replica.spool.kept) is room
    assert await replica.in_hand.undelivered() == []


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.usefixtures("refused")
async def test_the_next_round_delivers_it(replica: Replica, world: World, *, room: bool) -> None:
    """Nobody has to ask."""
    replica.spool.full = not room

    assert await replica.deliver() == 1

    assert (await world.tokens()).generation == 2
    assert await replica.deliver() == 0


@pytest.mark.usefixtures("refused")
async def test_another_replica_waits_for_it(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """This one's spool has not said that it has nothing: nobody presents the token again."""
    other = await kitchen.replica("spool_two")
    for _ in range(3):
        with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
            await other.refresh(CONNECTION, refused=1)
        world.clock.advance(minutes=20)
    assert len(world.org.presented) == 1

    assert await replica.deliver() == 1

    _, served = await other.refresh(CONNECTION, refused=1)
    assert served.generation == 2


async def test_what_lost_its_lease_is_delivered_all_the_same(
    replica: Replica, world: World
) -> None:
    """Another fence was taken meanwhile, by whoever brought nothing."""

    class Fenced:
        """A store before whose first replacement another replica takes the lease."""

        def __getattr__(self, name: str) -> object:
            return getattr(replica.store, name)

        async def replace(self, *given: object, **named: object) -> bool:
            leases = replica.stores.leases
            await world.base.execute("UPDATE refresh_leases SET ends_at = 0")
            lease = await leases.acquire(CONNECTION, ttl=timedelta(seconds=60))
            assert lease is not None
            await leases.release(lease)
            replica.refresh.settle = settle
            return bool(await replica.store.replace(*given, **named))

    settle = replica.refresh.settle
    replica.refresh.settle = replace(settle, store=Fenced())  # type: ignore[arg-type]
    with pytest.raises(ConnectionCannotServe, match="org_unavailable"):
        await replica.refresh(CONNECTION, refused=1)

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.generation == 2
    assert len(world.org.presented) == 1


@pytest.mark.parametrize("place", ["disk", "database"])
@pytest.mark.usefixtures("refused")
async def test_it_is_kept_before_the_process_ends(
    kitchen: Kitchen, replica: Replica, world: World, *, place: str
) -> None:
    """By whichever of the two takes it first; it is tried again for a while."""
    await replica.refresh.end()

    async def room() -> None:
        replica.spool.full = False

    replica.store.fails["replace"] = [StoreUnavailable("full")] * (1 if place == "database" else 9)
    if place == "disk":
        replica.waiting.meanwhile.append(room)

    await replica.in_hand.empty(replica.deliver, replica.waiting)

    assert replica.waiting.slept == [1.0]
    replica.spool.full = False
    again = await kitchen.replica(replica.spool)
    await again.deliver.recover()
    assert (await world.tokens()).generation == 2
