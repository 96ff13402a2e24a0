"""`use_cases.deliver_spool`: what a replica that lives on left open keeps no other one waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, attempt

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown, TokenAnswer
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import AuditUnavailable, StoreUnavailable
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL


async def generation_of(replica: Replica) -> int:
    """Refresh generation 1; return the new one."""
    _, tokens = await replica.refresh(CONNECTION, refused=1)
    return tokens.generation


async def cut_off(replica: Replica, *, told: bool = False) -> None:
    """Begin an attempt that never leaves, and whose end the database does not hear of."""
    replica.store.fails["end_attempt"] = [StoreUnavailable("gone")]
    if told:
        replica.world.org.next.append(NotProcessed("no connection"))
    else:
        replica.store.loses["begin_attempt"] = [StoreUnavailable("cut off")]
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)


@pytest.mark.parametrize("told", [False, True])
async def test_what_never_left_is_told_to_the_others(
    kitchen: Kitchen, replica: Replica, world: World, *, told: bool
) -> None:
    """Only who began it knows, and nobody asks that replica: its rounds say it."""
    await cut_off(replica, told=told)
    presented = len(world.org.presented)
    other = await kitchen.replica("spool_two")
    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await generation_of(other)

    assert await replica.deliver() == 0

    assert await world.outcomes() == [AttemptOutcome.NOT_PRESENTED]
    world.clock.advance(seconds=1)
    assert await generation_of(other) == 2
    assert len(world.org.presented) == presented + 1
    assert "token.decided_to_present_again" not in world.audit.types
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_a_spool_without_an_answer_says_so_while_its_replica_lives(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """No answer, no disk, and no database for a moment; the others may decide then."""

    async def nothing(form: object) -> TokenAnswer:
        assert form
        replica.spool.full = True
        raise OutcomeUnknown("no status came")

    world.org.next.append(nothing)
    replica.store.fails["end_attempt"] = [StoreUnavailable("gone")]
    with pytest.raises(StoreUnavailable):
        await generation_of(replica)

    await replica.deliver()

    [left] = await world.attempts()
    assert (left.outcome, left.spool_answered) == (AttemptOutcome.UNKNOWN, True)
    world.clock.advance(minutes=12)  # the pause is over, however far clocks differ
    assert await generation_of(await kitchen.replica("spool_two")) == 2
    assert world.audit.types.count("token.decided_to_present_again") == 1


async def waited_in_vain(replica: Replica) -> None:
    """Be told that another presentation is under way, and wait until the database is away."""
    said = refused("invalid_grant", "token request is already being processed")
    replica.world.org.next.append(said)

    async def gone() -> None:
        replica.store.fails["load"] = [StoreUnavailable("gone")]

    replica.waiting.meanwhile.append(gone)
    with pytest.raises(StoreUnavailable):
        await generation_of(replica)
    assert await replica.world.outcomes() == [None]
    assert replica.spool.open == []


async def test_what_ended_without_any_answer_is_told_to_the_others(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """A fault of ours after the token left: nothing lies on the spool, nothing is in hand."""

    async def fails(form: object) -> TokenAnswer:
        assert form
        raise ValueError("a fault of ours")

    world.org.next.append(fails)
    with pytest.raises(ValueError, match="a fault of ours"):
        await generation_of(replica)

    await replica.deliver()

    [left] = await world.attempts()
    assert (left.outcome, left.spool_answered) == (AttemptOutcome.UNKNOWN, True)
    world.clock.advance(minutes=12)  # the pause is over, however far clocks differ
    assert await generation_of(await kitchen.replica("spool_two")) == 2
    assert world.audit.types.count("token.decided_to_present_again") == 1


async def test_who_waited_for_another_presentation_in_vain_leaves_nothing_open(
    replica: Replica, world: World
) -> None:
    """What came for it was delivered: nothing of the kind was on the spool any more."""
    await waited_in_vain(replica)

    await replica.deliver()

    [left] = await world.attempts()
    assert (left.outcome, left.spool_answered) == (AttemptOutcome.UNKNOWN, True)


async def test_what_is_under_way_is_not_ended_though_its_lease_is_over(
    replica: Replica, world: World
) -> None:
    """The process was paused in the middle of it, and its rounds wake up first."""
    replica.refresh.left_open.add(CONNECTION)

    async def paused(form: Any) -> TokenAnswer:
        await world.base.execute("UPDATE refresh_leases SET ends_at = 0")
        await replica.deliver()
        assert await world.outcomes() == [None]
        return world.org.process(form)

    world.org.next.append(paused)

    assert await generation_of(replica) == 2
    assert await world.outcomes() == [AttemptOutcome.STORED]


async def test_what_began_while_a_round_was_paused_is_not_ended(
    replica: Replica, world: World
) -> None:
    """The round's own lease was over, too."""
    await cut_off(replica)
    looks = iter([False, True])

    class Begun:
        """A refresh begins between the round's two looks."""

        left_open = replica.refresh.left_open

        def is_under_way(self, connection_id: object) -> bool:
            assert connection_id == CONNECTION
            return next(looks)

    await replace(replica.deliver, refresh=Begun())()  # type: ignore[arg-type]

    assert await world.outcomes() == [None]
    assert replica.refresh.left_open == {CONNECTION}


@pytest.mark.parametrize("keeps", ["lease", "disk", "audit"])
async def test_what_cannot_be_ended_yet_is_ended_by_a_later_round(
    kitchen: Kitchen, replica: Replica, world: World, keeps: str
) -> None:
    """It is not forgotten meanwhile."""
    await waited_in_vain(replica)
    [name] = replica.spool.kept
    other = await kitchen.replica("spool_two")
    held = (
        await other.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL) if keeps == "lease" else None
    )
    world.audit.down = keeps == "audit"
    if keeps == "disk":
        replica.spool.unread[name] = OSError(5, "Input/output error")
    if world.audit.down:
        with pytest.raises(AuditUnavailable):
            await replica.deliver()
    else:
        await replica.deliver()
    assert await world.outcomes() == [None]

    world.audit.down = False
    replica.spool.unread.clear()
    if held is not None:
        await other.stores.leases.release(held)
    await replica.deliver()

    assert await world.outcomes() == [AttemptOutcome.UNKNOWN]
    assert replica.refresh.left_open == set()


async def test_what_is_foreseen_waits_for_its_turn(replica: Replica, world: World) -> None:
    """It is at a generation that is not in force yet."""
    lease = await replica.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert lease is not None
    await replica.store.foresee(attempt(generation=2, fence=lease.fence))
    await replica.stores.leases.release(lease)
    replica.refresh.left_open.add(CONNECTION)

    await replica.deliver()

    assert await world.outcomes() == [None]
