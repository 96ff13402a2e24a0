"""`ports.Seals`: one word for all replicas, which hot reads heed."""

from __future__ import annotations

import asyncio

from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    NO_MOMENT,
    START,
    api_key,
    event,
    hash_of,
)

from keyturn_service.ports import ServiceSeal

SEAL = ServiceSeal(sealed_at=START, reason="a stolen laptop")


async def test_a_service_is_not_sealed_by_itself(base: Base) -> None:
    """There is nothing to take off."""
    assert await base.stores.seals.current() is None
    assert not await base.stores.seals.take_off(at=START)


async def test_a_seal_is_seen_by_every_replica(base: Base) -> None:
    """And is gone for every one when it is taken off."""
    async with base.replica("spool_two") as other:
        assert await base.stores.seals.put_on(SEAL)
        assert await other.seals.current() == SEAL

        assert await other.seals.take_off(at=START + HOUR)
        assert await base.stores.seals.current() is None


async def test_of_two_seals_at_once_one_is_on(base: Base) -> None:
    """The other operator is told so."""
    later = ServiceSeal(sealed_at=START + HOUR, reason="another one")

    put = await asyncio.gather(base.stores.seals.put_on(SEAL), base.stores.seals.put_on(later))

    assert sorted(put) == [False, True]
    assert await base.stores.seals.current() in (SEAL, later)


async def test_it_can_be_sealed_again(base: Base) -> None:
    """Earlier seals stay in the table."""
    await base.stores.seals.put_on(SEAL)
    await base.stores.seals.take_off(at=START + HOUR)

    assert await base.stores.seals.put_on(ServiceSeal(sealed_at=START + 2 * HOUR, reason="again"))
    assert await base.rows("SELECT count(*) FROM service_seals") == [(2,)]


async def test_a_seal_of_an_odd_moment_is_a_seal(base: Base) -> None:
    """Whoever put it on: it is told, keeps its reason, and comes off."""
    seals = base.stores.seals
    await base.execute(
        "INSERT INTO service_seals (sealed_at, reason, \"on\") VALUES (:at, 'odd', true)",
        at=NO_MOMENT,
    )

    assert not await seals.put_on(SEAL)
    kept = await seals.current()

    assert kept is not None
    assert kept.reason == "odd"
    assert await seals.take_off(at=START + HOUR)
    assert await seals.current() is None
    assert await seals.put_on(SEAL)


async def test_under_the_seal_a_read_opens_no_token(base: Base) -> None:
    """Key and connection are there, so that the caller can be told."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.seals.put_on(SEAL)

    found = await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))

    assert (found.sealed, found.tokens) == (True, None)
    assert found.api_key == api_key()
    assert found.connection is not None
    await base.stores.seals.take_off(at=START + HOUR)
    again = await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    assert not again.sealed
    assert again.tokens is not None


async def test_what_was_remembered_before_the_seal_does_not_stand(base: Base) -> None:
    """Where anything is remembered at all."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    remembered = base.stores.serving.recall(CONNECTION, key_hash=hash_of("key"))
    if remembered is None:
        assert base.database.is_sqlite
        return
    assert remembered.basis is not None
    log = base.audit_log()
    named = event(actor=api_key().id, connection_id=CONNECTION)
    assert await log.record_on(named, remembered.basis)

    await base.stores.seals.put_on(SEAL)

    assert not await log.record_on(named, remembered.basis)
