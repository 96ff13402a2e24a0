"""`use_cases.guard_connections`: nothing dies idle, and no end comes unannounced."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from service.tests.support.fakes import refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import APP, CONNECTION, START, WORKSPACE

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown
from keyturn_service.domain.connection import FIXED_LIFETIME, ConnectionState, Renewal
from keyturn_service.domain.ids import ConnectionId, SigningKeyId
from keyturn_service.domain.signing_key import SigningKeyState
from keyturn_service.ports import StoreUnavailable
from keyturn_service.use_cases.refresh_tokens import RefreshTokens

DAY = timedelta(days=1)


async def let_go(replica: Replica) -> None:
    """Have the vendor keep it alive no longer."""
    await replica.stores.connections.set_keep_alive(
        CONNECTION, keep_alive=False, now=replica.world.clock.now()
    )


async def claims_end(world: World) -> None:
    """Let the time of all claims be over: thirty seconds of the database's clock."""
    await world.base.execute("UPDATE connections SET claimed_until = 0")


async def told_of(replica: Replica, world: World, *, days: int, every: int = 1) -> list[int]:
    """Let the days pass, some at a time; return those on which the owner was told of an end."""
    told: list[int] = []
    before = world.audit.types.count("connection.dies_soon")
    begun = world.clock.now()
    while (day := (world.clock.now() - begun).days) < days:
        await replica.guard()
        told += [day] * (world.audit.types.count("connection.dies_soon") - before - len(told))
        world.clock.advance(days=every)
    return told


async def test_a_connection_that_nobody_uses_lives_for_ninety_days(
    replica: Replica, world: World
) -> None:
    """By about six refreshes."""
    for _ in range(90):
        world.clock.advance(days=1)
        await replica.guard()

    kept = await world.connection()
    assert kept.state is ConnectionState.ACTIVE
    assert 90 / 24 - 1 <= kept.generation - 1 <= 90 / 10
    assert "connection.dies_soon" not in world.audit.types


async def test_nothing_is_done_before_it_is_due(replica: Replica, world: World) -> None:
    """One look finds nothing, and presents nothing."""
    world.clock.advance(days=9)

    assert await replica.guard() == 0
    assert (await world.connection()).generation == 1


async def test_what_was_let_go_dies_in_peace(replica: Replica, world: World) -> None:
    """Its token is not presented, and nobody is told."""
    await let_go(replica)
    assert await told_of(replica, world, days=40) == []
    assert (await world.connection()).generation == 1


class WantedMeanwhile:
    """Connections of which the vendor wants one kept alive, once, before a call is made."""

    def __init__(self, replica: Replica, before: str) -> None:
        self._connections = replica.stores.connections
        self._clock = replica.world.clock
        self._before = [before]

    def __getattr__(self, name: str) -> Any:
        """Return the port's own method; where it is the one, the vendor is first."""
        method = getattr(self._connections, name)
        if name not in self._before:
            return method
        self._before.clear()

        async def second(*given: Any, **named: Any) -> Any:
            now = self._clock.now()
            await self._connections.set_keep_alive(CONNECTION, keep_alive=True, now=now)
            return await method(*given, **named)

        return second


async def test_what_is_wanted_again_while_it_is_looked_at_is_kept_alive(
    replica: Replica, world: World
) -> None:
    """Let go, and taken back before the guardian had written what follows from the former."""
    await let_go(replica)
    wanted: Any = WantedMeanwhile(replica, "looked_after")

    assert await replace(replica.guard, connections=wanted)() == 2

    await told_of(replica, world, days=30)
    assert (await world.connection()).generation > 1


async def test_an_end_is_told_once_though_the_vendor_speaks_meanwhile(
    replica: Replica, world: World
) -> None:
    """That it was told counts, whatever is due by then."""
    world.clock.advance(days=FIXED_LIFETIME.days - 31)
    await replica.guard()
    world.clock.advance(days=1)
    wanted: Any = WantedMeanwhile(replica, "set_warned")

    assert await replace(replica.guard, connections=wanted)() == 2

    assert world.audit.types.count("connection.dies_soon") == 1


async def test_what_an_assertion_took_over_is_told_of_its_certificates_end(
    replica: Replica, world: World
) -> None:
    """The guardian refreshed it by its token, found that lost, and looks at it again."""
    world.org.next.append(OutcomeUnknown("no status came"))
    world.clock.advance(days=24)
    await replica.guard()
    await replica.with_signing_key(not_after=world.clock.now() + 90 * DAY)

    assert await told_of(replica, world, days=100) == [60, 83, 89]

    assert (await world.connection()).renewal is Renewal.JWT_BEARER


async def test_a_fixed_end_is_announced_to_whoever_keeps_it_alive(
    replica: Replica, world: World
) -> None:
    """Though it is refreshed all the time."""
    assert await told_of(replica, world, days=330, every=5) == []

    told = await told_of(replica, world, days=36)

    assert [FIXED_LIFETIME.days - 330 - day for day in told] == [30, 7, 1]


async def test_a_certificates_end_is_announced_for_what_hangs_on_it(
    bare: Replica, world: World
) -> None:
    """Once each time, and nothing is presented for it."""
    await bare.with_signing_key(not_after=START + 90 * DAY)
    made, _ = await bare.asserted()

    assert await told_of(bare, world, days=100) == [60, 83, 89]

    event = next(one for one in world.audit.events if one.type == "connection.dies_soon")
    assert event.connection_id == made.id
    assert dict(event.detail) == {
        "dies_at": (START + 90 * DAY).isoformat(),
        "dies_because": "certificate",
    }
    assert (await world.connection(made.id)).generation == made.generation


async def test_another_certificate_has_an_end_of_its_own(bare: Replica, world: World) -> None:
    """Once it signs; what was told of the one before counts for nothing."""
    await bare.with_signing_key(not_after=START + 90 * DAY)
    await bare.asserted()
    assert await told_of(bare, world, days=70) == [60]
    later = SigningKeyId("sk_two")
    await bare.with_signing_key(id=later, not_after=START + 130 * DAY, state=SigningKeyState.STAGED)
    key = await bare.stores.signing_keys.get(WORKSPACE, APP, later)
    assert key is not None
    assert await bare.stores.signing_keys.activate(key, at=world.clock.now())

    assert [70 + day for day in await told_of(bare, world, days=65)] == [100, 123, 129]


async def test_without_a_certificate_there_is_no_end_to_tell_of(
    bare: Replica, world: World
) -> None:
    """Its key was retired: what becomes of the connection is another matter."""
    await bare.with_signing_key(not_after=START + 90 * DAY)
    await bare.asserted()
    [key] = await bare.stores.signing_keys.list(WORKSPACE, APP)
    await bare.stores.signing_keys.retire(key, at=START)

    assert await told_of(bare, world, days=100) == []


async def test_an_org_that_is_away_is_asked_again_within_hours(
    replica: Replica, world: World
) -> None:
    """Not at once, and not in ten days."""
    world.org.next.append(NotProcessed())
    world.clock.advance(days=24)
    await replica.guard()
    assert (await world.connection()).generation == 1

    world.clock.advance(minutes=59)
    assert await replica.guard() == 0
    world.clock.advance(minutes=2)
    assert await replica.guard() == 1
    assert (await world.connection()).generation == 2


async def test_what_the_org_refuses_for_good_is_left_alone(replica: Replica, world: World) -> None:
    """The customer has to grant access again."""
    world.org.next.append(refused("invalid_grant", "expired access/refresh token"))
    world.clock.advance(days=24)
    await replica.guard()
    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED

    world.clock.advance(days=30)
    assert await replica.guard() == 0


async def test_of_two_replicas_one_refreshes(kitchen: Kitchen, replica: Replica) -> None:
    """What one has claimed the other leaves alone."""
    other = await kitchen.replica()
    kitchen.world.clock.advance(days=24)

    assert [await replica.guard(), await other.guard()] == [1, 0]
    assert (await kitchen.world.connection()).generation == 2


async def test_an_end_is_told_once_though_a_refresh_is_due_with_it(
    kitchen: Kitchen, replica: Replica
) -> None:
    """The refresh ends the claim, and another replica looks at once."""
    world, other = kitchen.world, await kitchen.replica()
    world.clock.advance(days=FIXED_LIFETIME.days - 30)

    async def refresh(connection_id: ConnectionId, *, refused: int) -> Any:
        renewed = await replica.refresh(connection_id, refused=refused)
        await other.guard()
        return renewed

    assert await replace(replica.guard, refresh=cast("RefreshTokens", refresh))() == 1

    assert (await world.connection()).generation == 2
    assert world.audit.types.count("connection.dies_soon") == 1


async def test_a_claim_of_a_dead_replica_ends(replica: Replica, world: World) -> None:
    """After thirty seconds another one takes over."""
    world.clock.advance(days=24)
    now = world.clock.now()
    claimed = await replica.stores.connections.claim_due(now, ttl=timedelta(seconds=30), limit=5)
    assert [one.id for one, _ in claimed] == [CONNECTION]
    world.clock.advance(minutes=10)
    assert await replica.guard() == 0, "whatever the replicas' clocks say"

    await claims_end(world)
    assert await replica.guard() == 1


async def test_without_a_record_there_is_no_warning(replica: Replica, world: World) -> None:
    """It is told once the audit can be written."""
    world.clock.advance(days=FIXED_LIFETIME.days - 30)
    world.audit.down = True
    await replica.guard()

    world.audit.down = False
    await claims_end(world)
    await replica.guard()
    assert world.audit.types.count("connection.dies_soon") == 1


async def test_one_that_fails_does_not_stop_the_others(replica: Replica, world: World) -> None:
    """The round goes on; this one is due again when the claim ends."""
    world.clock.advance(days=24)
    replica.store.fails["load"] = [StoreUnavailable("gone")]

    assert await replica.guard() == 1

    await claims_end(world)
    assert await replica.guard() == 1
    assert (await world.connection()).generation == 2


async def test_an_org_that_does_not_answer_keeps_the_guardian_from_no_other(
    replica: Replica, world: World
) -> None:
    """It is not waited for, and the connection is looked at again an hour later."""
    world.clock.advance(days=24)

    async def hold(connection_id: ConnectionId, *, refused: int) -> None:
        assert (connection_id, refused) == (CONNECTION, 1)
        await asyncio.Event().wait()

    patient = replace(replica.guard, refresh=cast("RefreshTokens", hold), patience=0)
    assert await patient() == 1

    await claims_end(world)
    assert await replica.guard() == 0
    world.clock.advance(minutes=61)
    assert await replica.guard() == 1
    assert (await world.connection()).generation == 2
