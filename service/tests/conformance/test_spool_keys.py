"""What spools said that they need, and data keys put under another key."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.fakes import FakeClock
from service.tests.support.faulty import SpoolKeysByWorldClock
from service.tests.support.values import CONNECTION, SPOOL, START, attempt

from keyturn_service.adapters.sql.spool_keys import SqlSpoolKeys
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.ids import AttemptId, SpoolId
from keyturn_service.ports import StoreUnavailable
from keyturn_service.vault.data_keys import DataKeyId, WrappedDataKey
from keyturn_service.vault.root_keys import SpoolNeed

LATER = START + timedelta(days=1)


def need(spool_id: str, key_id: str | None, files: int) -> SpoolNeed:
    """Return a need that was said at the start."""
    return SpoolNeed(spool_id=spool_id, key_id=key_id, files=files, seen_at=key_id and START)  # type: ignore[arg-type]


async def test_a_spool_says_all_that_it_needs_each_time(base: Base) -> None:
    """What it said before is over; others' needs stay."""
    keys = SpoolKeysByWorldClock(base.database, FakeClock())
    await keys.say("spool_b", {"kek_old": 7})
    await keys.say("spool_a", {"kek_old": 2, "kek_new": 0})
    await keys.say("spool_a", {"kek_new": 1})

    assert await keys.all(since=START) == [
        need("spool_a", "kek_new", 1),
        need("spool_b", "kek_old", 7),
    ]


async def test_when_it_was_said_is_told_by_the_clock_of_the_database(base: Base) -> None:
    """Replicas' own clocks are apart: the one that is slow would seem to have stopped."""
    await base.stores.spool_keys.say(SPOOL, {"kek_old": 1})

    [said] = await base.stores.spool_keys.all(since=START)

    assert said.seen_at is not None
    assert abs(datetime.now(UTC) - said.seen_at) < timedelta(minutes=1)


async def test_a_spool_of_attempts_that_never_said_anything_is_named(base: Base) -> None:
    """As of a release before this one; not one whose answers are too old to be kept."""
    await base.with_connection()
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1))
    assert lease is not None
    made = attempt(fence=lease.fence, spool_id=SpoolId("spool_silent"), started_at=START)
    await base.stores.tokens.begin_attempt(made)
    await base.stores.tokens.begin_attempt(
        replace(made, id=AttemptId("att_two"), spool_id=SPOOL, started_at=LATER)
    )
    keys = SpoolKeysByWorldClock(base.database, FakeClock())
    await keys.say(SPOOL, {"kek_old": 1})

    found = await keys.all(since=START)

    assert found == [need(SPOOL, "kek_old", 1), need("spool_silent", None, 0)]
    assert await keys.all(since=LATER) == [need(SPOOL, "kek_old", 1)]
    assert await keys.forget("spool_silent", at=START)
    assert await keys.all(since=START) == [need(SPOOL, "kek_old", 1)]


async def test_a_spool_is_heard_for_a_while(base: Base) -> None:
    """By the database's clock; one that was declared lost is not."""
    clock = FakeClock()
    keys, within = SpoolKeysByWorldClock(base.database, clock), timedelta(minutes=2)
    await keys.say("spool_a", {"kek_old": 2, "kek_new": 0})
    clock.advance(seconds=119)

    assert await keys.was_heard("spool_a", within=within)
    assert not await keys.was_heard("spool_b", within=within)

    clock.advance(seconds=1)
    assert not await keys.was_heard("spool_a", within=within)
    await keys.say("spool_a", {"kek_old": 2})
    await keys.forget("spool_a", at=clock.now())
    assert not await keys.was_heard("spool_a", within=within)


async def test_a_lost_spool_needs_nothing_until_it_comes_back(base: Base) -> None:
    """One that nobody knows is not forgotten: it may be written wrongly."""
    keys = SpoolKeysByWorldClock(base.database, FakeClock())
    await keys.say("spool_a", {"kek_old": 2})

    assert await keys.forget("spool_a", at=START)
    assert not await keys.forget("spool_unknown", at=START)

    assert await keys.all(since=START) == []
    await keys.say("spool_a", {"kek_old": 2})
    assert await keys.all(since=START) == [need("spool_a", "kek_old", 2)]


async def test_a_lost_spool_has_answered_all_attempts_that_wait_for_it(base: Base) -> None:
    """Open ones and unknown ones; not those that ended, nor those of another spool."""
    await base.with_connection()
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1))
    assert lease is not None
    made = attempt(fence=lease.fence, spool_id=SpoolId("spool_gone"), started_at=START)
    for name in ("open", "unknown", "refused", "elsewhere"):
        spool_id = SPOOL if name == "elsewhere" else made.spool_id
        await base.stores.tokens.begin_attempt(
            replace(made, id=AttemptId(f"att_{name}"), spool_id=spool_id)
        )
    for outcome in (AttemptOutcome.UNKNOWN, AttemptOutcome.REFUSED):
        one = await base.stores.tokens.attempt(AttemptId(f"att_{outcome}"))
        assert one is not None
        await base.stores.tokens.end_attempt(one, outcome, at=START, spool_answered=False)

    assert await SqlSpoolKeys(base.database).forget("spool_gone", at=START)

    assert await base.stores.tokens.open_attempts_of(SpoolId("spool_gone")) == []
    [waiting] = await base.stores.tokens.open_attempts_of(SPOOL)
    assert waiting.id == "att_elsewhere"
    ended = await base.stores.tokens.attempt(AttemptId("att_open"))
    assert ended is not None
    assert (ended.outcome, ended.ended_at) == (AttemptOutcome.UNKNOWN, START)


async def test_data_keys_are_looked_through_and_put_under_another_key(base: Base) -> None:
    """In order, only those under another key, and only where nobody was first."""
    store = SqlDataKeys(base.database)
    await base.execute("DELETE FROM data_keys")
    made = [
        WrappedDataKey(
            id=DataKeyId(f"dk_{number}"),
            workspace_id="ws_one",
            key_id="kek_old" if number else "kek_new",
            wrapped=bytes([number]),
            created_at=START,
        )
        for number in range(5)
    ]
    for key in reversed(made):
        await store.add(key)

    assert await store.needs() == {"kek_old": 4, "kek_new": 1}
    batch = await store.after(DataKeyId(""), but_under="kek_new", limit=2)
    assert list(batch) == made[1:3]
    assert await store.rewrap(made[1], key_id="kek_new", wrapped=b"new")
    assert not await store.rewrap(made[1], key_id="kek_new", wrapped=b"newer")
    assert list(await store.after(DataKeyId(""), but_under="kek_new", limit=9)) == made[2:]
    assert list(await store.after(DataKeyId("dk_3"), but_under="kek_new", limit=9)) == made[4:]
    assert await store.get(made[1].id) == replace(made[1], key_id="kek_new", wrapped=b"new")
    assert await store.needs() == {"kek_old": 3, "kek_new": 2}


async def test_nothing_is_put_under_a_key_that_was_destroyed(base: Base) -> None:
    """However long ago it was wrapped: nobody could open it any more."""
    store = SqlDataKeys(base.database)
    await base.execute("DELETE FROM data_keys")
    one = WrappedDataKey(
        id=DataKeyId("dk_1"),
        workspace_id="ws_one",
        key_id="kek_old",
        wrapped=b"old",
        created_at=START,
    )
    await store.add(one)
    assert await store.bar("kek_old", at=START) == 1
    assert await store.rewrap(one, key_id="kek_new", wrapped=b"new")
    assert [await store.bar("kek_old", at=START) for _ in range(2)] == [0, 0]

    with pytest.raises(StoreUnavailable, match="kek_old was destroyed"):
        await store.add(replace(one, id=DataKeyId("dk_2")))
    now = replace(one, key_id="kek_new", wrapped=b"new")
    with pytest.raises(StoreUnavailable, match="kek_old was destroyed"):
        await store.rewrap(now, key_id="kek_old", wrapped=b"older")

    assert await store.get(one.id) == now
    assert await store.get(DataKeyId("dk_2")) is None
    assert await store.add(one) == now  # its id is kept already


async def test_a_key_that_is_known_again_is_put_to_use_again(base: Base) -> None:
    """Whoever knows it again says so; the others stay destroyed, and saying it twice is no harm."""
    store = SqlDataKeys(base.database)
    made = WrappedDataKey(
        id=DataKeyId("dk_again"),
        workspace_id="ws_one",
        key_id="kek_held",
        wrapped=b"wrapped",
        created_at=START,
    )
    for key_id in ("kek_held", "kek_other"):
        assert await store.bar(key_id, at=START) == 0

    await store.allow("kek_held")
    await store.allow("kek_held")

    assert await store.add(made) == made
    assert await store.get(made.id) == made
    with pytest.raises(StoreUnavailable, match="kek_other was destroyed"):
        await store.rewrap(made, key_id="kek_other", wrapped=b"other")


async def test_of_a_key_and_its_destruction_at_once_one_is_refused(base: Base) -> None:
    """Never both: the count waits for who is writing, and who writes sees what was counted."""
    store = SqlDataKeys(base.database)
    for number in range(20):
        key_id = f"kek_{number}"
        made = WrappedDataKey(
            id=DataKeyId(f"dk_at_once_{number}"),
            workspace_id="ws_one",
            key_id=key_id,
            wrapped=b"wrapped",
            created_at=START,
        )
        kept, needed = await asyncio.gather(
            store.add(made), store.bar(key_id, at=START), return_exceptions=True
        )

        assert (needed == 1) is not isinstance(kept, StoreUnavailable)
