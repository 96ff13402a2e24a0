"""`ports.IdempotencyKeys`: a repeated write is done once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import HOUR, OTHER_WORKSPACE, START, WORKSPACE, hash_of

from keyturn_service.ports import KeptAnswer, StoreUnavailable

KEY = "retry-42 Ω"
REQUEST = hash_of("request")
AT_WORK = KeptAnswer(request_hash=REQUEST, status=None, body=b"")
ANSWER = bytes(range(256))


async def claim(base: Base, request: bytes = REQUEST) -> KeptAnswer | None:
    """Claim the key for a request."""
    return await base.stores.idempotency_keys.begin(WORKSPACE, KEY, request_hash=request, now=START)


async def test_the_first_request_claims_the_key(base: Base) -> None:
    """Whoever repeats it meanwhile is told that it is still at work."""
    assert await claim(base) is None

    assert await claim(base) == AT_WORK


async def test_of_many_at_once_one_claims_the_key(base: Base) -> None:
    """On all replicas together."""
    async with base.replica("spool_two") as other:
        keys = [base.stores.idempotency_keys, other.idempotency_keys] * 4
        told = await asyncio.gather(
            *(key.begin(WORKSPACE, KEY, request_hash=REQUEST, now=START) for key in keys)
        )

    assert told.count(None) == 1
    assert told.count(AT_WORK) == 7


async def test_a_repeated_request_gets_the_kept_answer(base: Base) -> None:
    """Status and body, byte by byte."""
    await claim(base)

    await base.stores.idempotency_keys.end(WORKSPACE, KEY, status=201, body=ANSWER)

    assert await claim(base) == KeptAnswer(request_hash=REQUEST, status=201, body=ANSWER)


async def test_another_request_under_the_same_key_can_be_told_apart(base: Base) -> None:
    """The hash of the first request comes back."""
    await claim(base)
    await base.stores.idempotency_keys.end(WORKSPACE, KEY, status=204, body=b"")

    told = await claim(base, hash_of("another"))

    assert told == KeptAnswer(request_hash=REQUEST, status=204, body=b"")


async def test_a_key_belongs_to_a_workspace(base: Base) -> None:
    """Two workspaces may use the same key; neither sees the other's answer."""
    await claim(base)

    other = await base.stores.idempotency_keys.begin(
        OTHER_WORKSPACE, KEY, request_hash=REQUEST, now=START
    )

    assert other is None
    await base.stores.idempotency_keys.end(WORKSPACE, KEY, status=200, body=ANSWER)
    again = await base.stores.idempotency_keys.begin(
        OTHER_WORKSPACE, KEY, request_hash=REQUEST, now=START
    )
    assert again == AT_WORK


async def test_a_key_given_back_can_be_claimed_again(base: Base) -> None:
    """Nothing was done, so nothing is repeated."""
    await claim(base)

    await base.stores.idempotency_keys.drop(WORKSPACE, KEY)

    assert await claim(base) is None


async def test_a_claim_of_who_was_killed_ends(base: Base) -> None:
    """After two minutes the same request, once, and no other; an answer stays."""
    late = START + timedelta(minutes=2)

    async def begin(now: datetime, request: bytes = REQUEST) -> KeptAnswer | None:
        keys = base.stores.idempotency_keys
        return await keys.begin(WORKSPACE, KEY, request_hash=request, now=now)

    await claim(base)
    assert await begin(late - timedelta(microseconds=1)) == AT_WORK
    assert await begin(late, hash_of("another")) == AT_WORK

    told = await asyncio.gather(*(begin(late) for _ in range(4)))

    assert sorted(told, key=bool) == [None, AT_WORK, AT_WORK, AT_WORK]
    await base.stores.idempotency_keys.end(WORKSPACE, KEY, status=204, body=b"")
    answered = KeptAnswer(request_hash=REQUEST, status=204, body=b"")
    assert await begin(late + HOUR) == answered


async def test_old_answers_are_forgotten(base: Base) -> None:
    """Those that are older than asked, and no younger one."""
    keys = base.stores.idempotency_keys
    await claim(base)
    await keys.begin(WORKSPACE, "later", request_hash=REQUEST, now=START + HOUR)

    assert await keys.purge(START) == 0
    assert await keys.purge(START + timedelta(microseconds=1)) == 1

    assert await claim(base) is None
    later = await keys.begin(WORKSPACE, "later", request_hash=REQUEST, now=START + HOUR)
    assert later == AT_WORK


async def test_a_key_is_not_claimed_in_silence(base: Base) -> None:
    """Without the database nobody may think to be the first."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await claim(base)
