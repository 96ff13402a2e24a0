"""`use_cases.refresh_tokens`: what never left is told apart from what nobody knows about."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta

import pytest
from service.tests.support.fakes import refused
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    CONNECTION,
)

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import StaleWrite, StoreUnavailable
from keyturn_service.vault.errors import KeySourceUnavailable


async def code_of(asked: Awaitable[object]) -> tuple[str, str | None]:
    """Return the code and reason that something is refused with."""
    with pytest.raises(ConnectionCannotServe) as refusal:
        await asked
    return refusal.value.code, refusal.value.reason


@pytest.mark.parametrize("error", [NotProcessed("no connection"), None])
async def test_what_never_left_is_presented_again(
    replica: Replica, world: World, error: NotProcessed | None
) -> None:
    """No connection, or too late for the lease: not presented, and no uncertainty."""
    if error is None:
        begin = replica.stores.tokens.begin_attempt

        class Slow:
            """A store so slow that the lease's deadline passes."""

            def __getattr__(self, name: str) -> object:
                return getattr(replica.store, name)

            async def begin_attempt(self, attempt: object) -> None:
                await begin(attempt)  # type: ignore[arg-type]
                world.clock.advance(seconds=61)

        replica.refresh.store = Slow()  # type: ignore[assignment]
    else:
        world.org.next.append(error)

    assert await code_of(replica.refresh(CONNECTION, refused=1)) == ("org_unavailable", None)

    assert await world.outcomes() == [AttemptOutcome.NOT_PRESENTED]
    assert world.audit.types[-1] == "token.not_presented"
    assert (await world.connection()).state is ConnectionState.ACTIVE
    replica.refresh.store = replica.store
    world.clock.advance(seconds=1)
    _, new = await replica.refresh(CONNECTION, refused=1)
    assert new.generation == 2


@pytest.mark.parametrize("away", [False, True])
async def test_intents_that_are_durable_unbeknown_to_us_cost_no_connection(
    replica: Replica, world: World, *, away: bool
) -> None:
    """Nothing left after them, time and again: that is not the token's second chance."""
    for _ in range(3):
        replica.store.loses["begin_attempt"] = [StoreUnavailable("cut off")]
        if away:
            replica.store.fails["end_attempt"] = [StoreUnavailable("gone")]
        with pytest.raises(StoreUnavailable):
            await replica.refresh(CONNECTION, refused=1)
        world.clock.advance(seconds=61)
    replica.store.loses.clear()

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.generation == 2
    assert len(world.org.presented) == 1
    assert "token.decided_to_present_again" not in world.audit.types
    *before, last = await world.outcomes()
    assert set(before) == {AttemptOutcome.NOT_PRESENTED}
    assert last is AttemptOutcome.STORED


async def test_what_never_left_costs_nothing_where_the_database_is_away_then(
    replica: Replica, world: World
) -> None:
    """No connection to the org, and none to the database: the process knows what it did."""
    world.org.next.append(NotProcessed("no connection"))
    replica.store.fails["end_attempt"] = [StoreUnavailable("gone")]
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.generation == 2
    assert "token.decided_to_present_again" not in world.audit.types


async def test_no_token_is_presented_whose_answer_could_not_be_kept(
    replica: Replica, world: World
) -> None:
    """Where the key source is away and no data key is open, nothing is begun or recorded."""
    replica.store.fails["prepare"] = [KeySourceUnavailable("away")]

    with pytest.raises(KeySourceUnavailable):
        await replica.refresh(CONNECTION, refused=1)

    assert world.org.presented == []
    assert world.journal == []
    assert await world.attempts() == []


async def test_an_attempt_that_lost_its_lease_presents_nothing(
    replica: Replica, world: World
) -> None:
    """A newer fence stops it before the call."""

    class Late:
        """Leases that are over as soon as they are had."""

        def __getattr__(self, name: str) -> object:
            return getattr(replica.stores.leases, name)

        async def acquire(self, connection_id: ConnectionId, *, ttl: timedelta) -> object:
            del ttl
            lease = await replica.stores.leases.acquire(connection_id, ttl=timedelta(0))
            await replica.stores.leases.acquire(connection_id, ttl=timedelta(0))
            return lease

    replica.refresh.leases = Late()  # type: ignore[assignment]

    assert await code_of(replica.refresh(CONNECTION, refused=1)) == ("org_unavailable", None)

    assert world.org.presented == []


async def test_what_did_not_leave_is_on_record_before_it_is_known(
    replica: Replica, world: World
) -> None:
    """Else who dies between leaves two presentations of a token with nothing between them."""
    replica.store.fails["end_attempt"] = [StoreUnavailable()]
    world.org.next.append(NotProcessed("no connection"))

    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)
    assert world.audit.types == ["token.presented", "token.not_presented"]

    await replica.refresh(CONNECTION, refused=1)
    assert await world.outcomes() == [AttemptOutcome.NOT_PRESENTED, AttemptOutcome.STORED]


async def test_an_intent_that_is_not_in_force_any_more_is_on_record_as_not_presented(
    replica: Replica, world: World
) -> None:
    """Somebody else was first."""
    replica.store.fails["begin_attempt"] = [StaleWrite("att_one")]

    assert await code_of(replica.refresh(CONNECTION, refused=1)) == ("org_unavailable", None)

    assert world.audit.types == ["token.presented", "token.not_presented"]
    assert world.org.presented == []


async def waits_told(replica: Replica, world: World, *, tries: int) -> list[int]:
    """Return for how long callers are told to wait, who come as soon as they may."""
    waits: list[int] = []
    for _ in range(tries):
        world.org.next.append(NotProcessed("no connection"))
        with pytest.raises(ConnectionCannotServe) as refusal:
            await replica.refresh(CONNECTION, refused=1)
        assert refusal.value.code == "org_unavailable"
        waits.append(refusal.value.retry_after or 0)
        world.clock.advance(seconds=waits[-1])
    return waits


async def test_an_org_that_cannot_be_reached_is_tried_less_and_less(
    replica: Replica, world: World
) -> None:
    """Soon at first, then after twice as long as before, up to a minute; nothing grows."""
    waits = await waits_told(replica, world, tries=30)

    assert waits[:2] == [1, 2]
    assert waits[2] in {3, 4}
    assert all(45 <= wait <= 60 for wait in waits[8:])
    assert len(set(waits[8:])) > 3, "not all connections at one moment"
    assert replica.refresh._unsent == {}


async def test_what_is_reached_again_begins_anew(replica: Replica, world: World) -> None:
    """The org's own refusals wait for as long as they say, and count by themselves."""
    await waits_told(replica, world, tries=10)
    world.org.next.append(refused("invalid_grant", "ip restricted"))
    with pytest.raises(ConnectionCannotServe) as refusal:
        await replica.refresh(CONNECTION, refused=1)
    assert refusal.value.retry_after == 10
    world.clock.advance(seconds=10)

    assert await waits_told(replica, world, tries=2) == [1, 2]


async def test_what_the_database_has_nothing_of_is_not_remembered_for_ever(
    replica: Replica, world: World
) -> None:
    """An intent that did not become durable is forgotten with the next look, whatever comes."""
    replica.store.fails["begin_attempt"] = [StoreUnavailable("gone")]
    replica.store.fails["end_attempt"] = [StoreUnavailable("gone")]
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)
    assert len(replica.refresh._unsent[CONNECTION]) == 1

    await waits_told(replica, world, tries=1)

    assert replica.refresh._unsent == {}


async def test_what_the_database_may_not_know_is_remembered_beside_a_lost_answer(
    replica: Replica, world: World
) -> None:
    """As long as an attempt is open, until something leaves again."""
    world.org.next.append(OutcomeUnknown("no status came"))
    assert await code_of(replica.refresh(CONNECTION, refused=1)) == ("connection_uncertain", None)
    world.clock.advance(seconds=60)
    replica.store.fails["begin_attempt"] = [StoreUnavailable("gone")]
    replica.store.fails["end_attempt"] = [StoreUnavailable("gone")]
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)
    remembered = set(replica.refresh._unsent[CONNECTION])

    assert await waits_told(replica, world, tries=1) == [1]
    assert replica.refresh._unsent == {CONNECTION: remembered}

    await replica.refresh(CONNECTION, refused=1)
    assert replica.refresh._unsent == {}
