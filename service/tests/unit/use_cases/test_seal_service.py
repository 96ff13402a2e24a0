"""`use_cases.seal_service`, and what goes on under the seal."""

from __future__ import annotations

import pytest
from service.tests.support.replicas import Replica, World
from service.tests.support.values import CONNECTION, HOUR, START, WORKSPACE, api_key, hash_of

from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import AuditUnavailable, ServiceSeal
from keyturn_service.use_cases.seal_service import SealService

ACTOR = "operator"
REASON = "a stolen laptop"
SEAL = ServiceSeal(sealed_at=START, reason=REASON)


@pytest.fixture
def seal(world: World) -> SealService:
    """Return the use case."""
    return SealService(seals=world.base.stores.seals, audit=world.audit, clock=world.clock)


async def test_it_is_put_on_and_taken_off_with_a_record(seal: SealService, world: World) -> None:
    """Who, when and why."""
    assert await seal.put_on(ACTOR, REASON) == (SEAL, True)
    assert await seal.current() == SEAL
    assert await seal.take_off(ACTOR) == SEAL
    assert await seal.current() is None

    assert world.audit.types == ["service.sealed", "service.unsealed"]
    assert {one.actor for one in world.audit.events} == {ACTOR}
    assert {one.detail["reason"] for one in world.audit.events} == {REASON}


async def test_twice_is_as_good_as_once(seal: SealService, world: World) -> None:
    """The first reason stays, in the record of who asked again too."""
    await seal.put_on(ACTOR, REASON)
    world.clock.advance(seconds=5)

    assert await seal.put_on(ACTOR, "another one") == (SEAL, False)
    await seal.take_off(ACTOR)
    assert await seal.take_off(ACTOR) is None
    assert world.audit.types == ["service.sealed", "service.sealed", "service.unsealed"]
    said = {"reason": REASON, "sealed_at": START.isoformat()}
    assert [one.detail for one in world.audit.events] == [said] * 3


async def test_without_a_record_it_is_put_on_and_not_taken_off(
    seal: SealService, world: World
) -> None:
    """Stopping comes first; going on needs a record."""
    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await seal.put_on(ACTOR, REASON)
    assert await seal.current() == SEAL

    with pytest.raises(AuditUnavailable):
        await seal.take_off(ACTOR)
    assert await seal.current() == SEAL


async def test_a_seal_that_was_put_on_unrecorded_is_recorded_when_asked_again(
    seal: SealService, world: World
) -> None:
    """As whoever was told that the audit is away is advised to."""
    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await seal.put_on(ACTOR, REASON)
    with pytest.raises(AuditUnavailable):
        await seal.put_on(ACTOR, REASON)
    world.audit.down = False

    assert await seal.put_on(ACTOR, REASON) == (SEAL, False)

    assert world.audit.types == ["service.sealed"]


async def test_under_the_seal_no_token_leaves_and_none_is_presented(
    replica: Replica, seal: SealService, world: World
) -> None:
    """Read, proxied, verified or due: refused or left, and as before when it is off."""
    await replica.stores.api_keys.add(api_key())
    await seal.put_on(ACTOR, REASON)
    world.clock.advance(days=24)

    with pytest.raises(ConnectionCannotServe, match="sealed"):
        await replica.get_access_token(CONNECTION, key_hash=hash_of("key"))
    with pytest.raises(ConnectionCannotServe, match="sealed"):
        await replica.token_for_proxy(WORKSPACE, CONNECTION)
    with pytest.raises(ConnectionCannotServe, match="sealed"):
        await replica.token_for_proxy.admit(CONNECTION, key_hash=hash_of("key"), remembered=True)
    with pytest.raises(ConnectionCannotServe, match="sealed"):
        await replica.verify(WORKSPACE, CONNECTION, ACTOR)
    assert await replica.guard() == 0
    assert world.org.presented == []

    await seal.take_off(ACTOR)
    assert await replica.guard() == 1
    served = await replica.get_access_token(CONNECTION, key_hash=hash_of("key"))
    assert served.tokens.generation == 2
    assert world.clock.now() > START + HOUR
