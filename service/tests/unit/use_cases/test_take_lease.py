"""`use_cases.take_lease`: waited for, but not for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION

from keyturn_service.domain.errors import Conflict
from keyturn_service.ports import Lease
from keyturn_service.use_cases.take_lease import take_lease


async def taken(replica: Replica) -> Lease:
    """Take the lease of the connection."""
    return await take_lease(
        CONNECTION,
        leases=replica.stores.leases,
        clock=replica.world.clock,
        waiting=replica.waiting,
    )


async def test_a_free_lease_is_had_at_once(replica: Replica) -> None:
    """Without waiting."""
    assert (await taken(replica)).connection_id == CONNECTION
    assert replica.waiting.slept == []


async def test_a_lease_that_is_given_back_is_had_then(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Its fence is the next one."""
    other = await kitchen.replica("spool_two")
    theirs = await other.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1))
    assert theirs is not None
    replica.waiting.meanwhile.append(lambda: other.stores.leases.release(theirs))

    assert (await taken(replica)).fence == theirs.fence + 1
    assert world.clock.monotonic() < 1001


async def test_after_ten_seconds_the_caller_is_told(kitchen: Kitchen, replica: Replica) -> None:
    """And when to come back."""
    other = await kitchen.replica("spool_two")
    await other.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=5))

    with pytest.raises(Conflict) as refusal:
        await taken(replica)

    assert (refusal.value.code, refusal.value.retry_after) == ("refresh_under_way", 5)
    assert 10 <= sum(replica.waiting.slept) < 11
