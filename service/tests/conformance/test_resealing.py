"""What retired data keys sealed is sealed anew, on both databases, and nothing is lost by it."""

# ruff: noqa: S608 - the statements are ours

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.conformance.test_tampering import COLUMNS, Column, fill, sealed_columns
from service.tests.support.databases import Base
from service.tests.support.fakes import CountedRandomness, FakeClock, LeapingWaiting
from service.tests.support.values import (
    CONNECTION,
    NO_MOMENT,
    OTHER_WORKSPACE,
    SPOOL,
    VERIFIER,
    WORKSPACE,
    app,
    attempt,
    awaiting,
    connection,
    consumer_secret,
    grant,
    hash_of,
    pending,
    private_key,
    revocation,
    signing_key,
    tokens,
)

from keyturn_core.secrets import CodeVerifier
from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.sql.sealed_rows import SEALED_TABLES, SqlSealedRows
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.domain.connect_session import SessionStatus
from keyturn_service.domain.ids import ConnectionId, SpoolId
from keyturn_service.ports import StoreUnavailable, ToRevoke
from keyturn_service.vault.data_key_rotation import DataKeyRotation
from keyturn_service.vault.data_keys import DataKeyId
from keyturn_service.vault.resealing import CLAIM, SETTLES, Reseal, Resealing
from keyturn_service.vault.vault import data_key_of

RUNS = itertools.count()
KEY = bytes(range(32))  # of the vault that every test's base has


def rows_of(base: Base, owner: str = SPOOL) -> SqlSealedRows:
    """Return the sealed rows as a replica sees them."""
    return SqlSealedRows(base.database, SpoolId(owner))


def rotation_of(base: Base) -> DataKeyRotation:
    """Return what rotates."""
    assert isinstance(base.clock, FakeClock)
    return DataKeyRotation(
        key_source=KeyFile("kek_test", {"kek_test": KEY}, CountedRandomness("rotation")),
        data_keys=SqlDataKeys(base.database),
        rows=rows_of(base),
        audit=base.audit_log(f"run_rotation_{next(RUNS)}"),
        clock=base.clock,
        randomness=CountedRandomness("new keys"),
        waiting=LeapingWaiting(base.clock),
    )


def round_of(base: Base, owner: str = SPOOL) -> Reseal:
    """Return the round of a replica."""
    assert isinstance(base.clock, FakeClock)
    return Reseal(
        vault=base.vault,
        rows=rows_of(base, owner),
        audit=base.audit_log(f"run_{owner}_{next(RUNS)}"),
        clock=base.clock,
        waiting=LeapingWaiting(base.clock),
    )


async def reseal(base: Base, owner: str = SPOOL) -> None:
    """Go the round until it has nothing to do: once to see the keys, once when all seal anew."""
    assert isinstance(base.clock, FakeClock)
    one = round_of(base, owner)
    await one()
    base.clock.advance(seconds=SETTLES)
    await one()


async def retired_keys(base: Base) -> list[DataKeyId]:
    """Retire what is in use; return it."""
    await rotation_of(base).rotate()
    return [key.id for key in await SqlDataKeys(base.database).retired()]


async def begun(base: Base) -> Resealing:
    """Begin a pass, and take it."""
    assert isinstance(base.clock, FakeClock)
    rows = rows_of(base)
    await rows.begin(await retired_keys(base), at=base.clock.now())
    latest = await rows.latest()
    assert latest is not None
    claimed = await rows.claim(latest, ttl=CLAIM)
    assert claimed is not None
    base.clock.advance(seconds=1)  # every vault looks for the new key again
    return claimed


async def keys_of(base: Base) -> dict[tuple[str, str], set[str]]:
    """Return the data keys under which each column's values rest."""
    found = {}
    for table, name in sealed_columns() - {("data_keys", "wrapped")}:
        asked = f"SELECT {name} FROM {table} WHERE {name} IS NOT NULL"
        rows = await base.rows(asked)
        assert rows, (table, name)
        found[table, name] = {str(data_key_of(bytes(value))) for (value,) in rows}
    return found


def test_every_sealed_column_of_the_schema_is_sealed_anew() -> None:
    """A new one has to be added: its values would keep their retired key for ever."""
    known = {(name, column) for name, one in SEALED_TABLES.items() for column in one.places}

    assert known == sealed_columns() - {("data_keys", "wrapped")}


async def test_everything_is_sealed_anew_and_opens(base: Base) -> None:
    """Every column of both workspaces; then the old keys go, and it still opens."""
    await fill(base)
    before = set().union(*(await keys_of(base)).values())
    rotation = rotation_of(base)
    made = (await rotation.rotate()).made

    await reseal(base)

    assert set().union(*(await keys_of(base)).values()) == set(made.values())
    standing = await rotation.standing()
    assert standing.in_use == len(made) == 2
    assert {key.id for key in standing.retired} == before
    assert all(key.unneeded_since for key in standing.retired)
    assert (await rotation.destroy()).gone == sorted(before)
    async with base.replica("spool_two") as restarted:
        fresh = replace(base, stores=restarted)
        for column in COLUMNS:
            assert await column.read(fresh) is not None


async def test_a_rotation_of_one_workspace_leaves_the_others_alone(base: Base) -> None:
    """Neither key nor value of theirs changes."""
    await fill(base)
    asked = "SELECT consumer_secret FROM apps WHERE workspace_id = :workspace"
    theirs = await base.rows(asked, workspace=OTHER_WORKSPACE)
    ours = await base.rows(asked, workspace=WORKSPACE)

    await rotation_of(base).rotate(WORKSPACE)
    await reseal(base)

    assert await base.rows(asked, workspace=OTHER_WORKSPACE) == theirs
    assert await base.rows(asked, workspace=WORKSPACE) != ours


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.table}.{column.name}")
async def test_what_changed_meanwhile_is_not_overwritten(base: Base, column: Column) -> None:
    """A row that somebody wrote between reading and writing stays as they left it."""
    await fill(base)
    rows, resealing = rows_of(base), await begun(base)
    while resealing.table_name != column.table:
        batch = await rows.batch(resealing, limit=100)
        following = await rows.put(resealing, batch, [], refused=[], ttl=CLAIM)
        assert following is not None
        resealing = following
    batch = await rows.batch(resealing, limit=100)
    anew = [(row, await _anew(base, row.kept, row.due)) for row in batch.rows]
    refreshed = b"written by a refresh meanwhile"
    await column.plant(base, refreshed)

    after = await rows.put(resealing, batch, anew, refused=[], ttl=CLAIM)

    assert await column.sealed(base) == refreshed
    assert after is not None
    assert after.resealed == len(anew) - 1
    assert len(anew) >= 2


async def _anew(
    base: Base, kept: tuple[bytes | None, ...], due: object
) -> tuple[bytes | None, ...]:
    new = list(kept)
    for value in due:  # type: ignore[attr-defined]
        new[value.column] = await base.vault.seal_anew(value.sealed, value.place)
    return tuple(new)


async def test_in_batches_of_one_every_row_has_its_turn(base: Base) -> None:
    """No row is left out between two batches, and none is looked at twice."""
    await fill(base)
    rows, resealing = rows_of(base), await begun(base)
    seen: list[tuple[str, ...]] = []
    while resealing.table_name is not None:
        batch = await rows.batch(resealing, limit=1)
        seen += [(resealing.table_name, *row.key) for row in batch.rows]
        anew = [(row, await _anew(base, row.kept, row.due)) for row in batch.rows]
        following = await rows.put(resealing, batch, anew, refused=[], ttl=CLAIM)
        assert following is not None
        resealing = following
    assert await rows.end(resealing, at=base.clock.now())

    assert len(seen) == len(set(seen)) == resealing.resealed
    assert resealing.looked == resealing.total >= resealing.resealed
    assert await rows.latest() == replace(resealing, ended_at=base.clock.now())
    assert await rows.counts(resealing.key_ids) == {}


async def test_one_replica_has_the_pass_until_its_claim_is_over(base: Base) -> None:
    """By the database's clock; then another has it, and the first one keeps nothing more."""
    await fill(base)
    first, second = rows_of(base), rows_of(base, "spool_two")
    resealing = await begun(base)
    assert await second.claim(resealing, ttl=CLAIM) is None
    assert await first.claim(resealing, ttl=timedelta(0)) == resealing

    taken = await second.claim(resealing, ttl=CLAIM)

    assert taken == resealing
    assert await first.claim(resealing, ttl=CLAIM) is None
    batch = await first.batch(resealing, limit=100)
    anew = [(row, await _anew(base, row.kept, row.due)) for row in batch.rows]
    assert await first.put(resealing, batch, anew, refused=[], ttl=CLAIM) is None
    assert not await first.end(resealing, at=base.clock.now())
    before = await second.latest()
    assert before is not None
    assert (before.step, before.resealed) == (0, 0)
    assert await second.put(taken, batch, anew, refused=[], ttl=CLAIM) is not None


async def test_a_pass_claimed_before_the_clock_was_put_back_is_taken_over(base: Base) -> None:
    """The claim lies further ahead than any can, and holds nobody off."""
    await fill(base)
    resealing = await begun(base)
    await base.execute("UPDATE resealings SET ends_at = ends_at + 7200000000")

    assert await rows_of(base, "spool_two").claim(resealing, ttl=CLAIM) == resealing

    assert await rows_of(base).claim(resealing, ttl=CLAIM) is None


async def test_of_two_that_begin_at_once_one_does(base: Base) -> None:
    """There is one pass, whoever asked for it."""
    await fill(base)
    keys = await retired_keys(base)

    async with base.replica("spool_two"):
        await asyncio.gather(*(rows_of(base).begin(keys, at=base.clock.now()) for _ in range(4)))

    [(count,)] = await base.rows("SELECT count(*) FROM resealings")
    assert count == 1


async def test_a_damaged_value_stays_and_is_counted(base: Base) -> None:
    """Its key is needed for it, and is not destroyed; cut to nothing, it needs none."""
    await fill(base)
    [damaged] = [one for one in COLUMNS if one.name == "access_token"]
    [cut] = [one for one in COLUMNS if one.name == "tokens"]
    whole = await damaged.sealed(base)
    await damaged.plant(base, whole[:-1] + bytes([whole[-1] ^ 1]))
    await cut.plant(base, b"\x01")
    [old] = {data_key_of(whole)}
    rotation = rotation_of(base)
    await rotation.rotate()

    await reseal(base)

    assert (await rotation.destroy()).needed == {old: None}
    latest = await rows_of(base).latest()
    assert latest is not None
    assert latest.refused == 1
    assert latest.needed == {old}
    assert await rows_of(base).counts([old]) == {old: 1}
    assert await cut.sealed(base) == b"\x01"


async def test_a_retired_key_is_not_destroyed_while_anything_is_under_it(base: Base) -> None:
    """Whatever a pass said: it is counted once more, and looked after by the next one."""
    await fill(base)
    [column] = [one for one in COLUMNS if one.name == "refresh_token"]
    late = await column.sealed(base)
    rotation = rotation_of(base)
    await rotation.rotate()
    await reseal(base)
    await column.plant(base, late)

    done = await rotation.destroy()

    assert done.needed == {data_key_of(late): 1}
    assert len(done.gone) == 1
    assert await rows_of(base).due_keys() == [data_key_of(late)]
    await reseal(base)
    assert await rotation.destroy() == replace(done, gone=[data_key_of(late)], needed={})
    assert await column.read(base) is not None


async def test_a_key_that_is_in_use_is_not_destroyed(base: Base) -> None:
    """Not even where it seals nothing."""
    await fill(base)
    made = (await rotation_of(base).rotate()).made

    assert await rows_of(base).destroy(list(made.values())) == {}

    assert all([await SqlDataKeys(base.database).get(one) for one in made.values()])


async def _consumer_secret(base: Base) -> Callable[[], Awaitable[object]]:
    return lambda: base.stores.apps.put_consumer_credentials(
        app(), consumer_key="3MVG9", consumer_secret=consumer_secret()
    )


async def _signing_key(base: Base) -> Callable[[], Awaitable[object]]:
    return lambda: base.stores.signing_keys.add(signing_key(), private_key())


async def _verifier(base: Base) -> Callable[[], Awaitable[object]]:
    waiting = awaiting()
    await base.stores.connect_sessions.add(waiting)
    return lambda: base.stores.connect_sessions.replace(waiting, verifier=CodeVerifier(VERIFIER))


async def _pending_grant(base: Base) -> Callable[[], Awaitable[object]]:
    waiting = awaiting()
    await base.stores.connect_sessions.add(waiting)
    return lambda: base.stores.connect_sessions.await_confirmation(
        waiting, grant(), new_connection=pending()
    )


async def _confirmed(base: Base) -> Callable[[], Awaitable[object]]:
    await (await _pending_grant(base))()
    completed = replace(awaiting(), version=2, status=SessionStatus.COMPLETED)

    async def confirm() -> bool:
        sessions = base.stores.connect_sessions
        await sessions.confirm(completed, connection(), tokens(), superseded=None)
        return True

    return confirm


async def _dropped(base: Base) -> Callable[[], Awaitable[object]]:
    await (await _pending_grant(base))()
    expired = replace(awaiting(), version=2).failed("session_expired")
    job = ToRevoke(revocation=revocation(ends_connection=False), tokens=[tokens().access_token])
    return lambda: base.stores.connect_sessions.drop_pending(expired, unconfirmed=job)


async def _added(base: Base) -> Callable[[], Awaitable[object]]:
    return lambda: base.stores.tokens.add(connection(), tokens())


async def _replaced(base: Base) -> Callable[[], Awaitable[object]]:
    await base.with_connection()
    await base.stores.leases.acquire(CONNECTION, ttl=CLAIM)
    await base.stores.tokens.begin_attempt(attempt())
    renewed = replace(connection(), generation=2)
    return lambda: base.stores.tokens.replace(renewed, tokens(generation=2), attempt=attempt())


async def _renewed(base: Base) -> Callable[[], Awaitable[object]]:
    await base.with_connection()
    lease = await base.stores.leases.acquire(CONNECTION, ttl=CLAIM)
    assert lease is not None
    renewed = replace(connection(), generation=2)
    return lambda: base.stores.tokens.renew(
        renewed, tokens(generation=2), instead_of=1, fence=lease.fence
    )


async def _revocation(base: Base) -> Callable[[], Awaitable[object]]:
    job = revocation(connection_id=ConnectionId(""), ends_connection=False)
    return lambda: base.stores.revocations.add(job, [tokens().access_token])


async def _kept_answer(base: Base) -> Callable[[], Awaitable[object]]:
    await base.stores.idempotency_keys.begin(
        WORKSPACE, "retry", request_hash=hash_of("request"), now=base.clock.now()
    )
    return lambda: base.stores.idempotency_keys.end(WORKSPACE, "retry", status=200, body=b"{}")


WRITERS = {
    _consumer_secret: {("apps", "consumer_secret")},
    _signing_key: {("signing_keys", "private_key")},
    _verifier: {("connect_sessions", "verifier")},
    _pending_grant: {("connect_sessions", "pending_grant")},
    _confirmed: {("token_sets", "access_token"), ("token_sets", "refresh_token")},
    _dropped: {("revocations", "tokens")},
    _added: {("token_sets", "access_token"), ("token_sets", "refresh_token")},
    _replaced: {("token_sets", "access_token"), ("token_sets", "refresh_token")},
    _renewed: {("token_sets", "access_token"), ("token_sets", "refresh_token")},
    _revocation: {("revocations", "tokens")},
    _kept_answer: {("idempotency_keys", "body")},
}


def test_every_sealed_column_has_its_writers() -> None:
    """A new one has to be added: it could be written under a key that is gone."""
    assert set().union(*WRITERS.values()) == sealed_columns() - {("data_keys", "wrapped")}


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
async def test_nothing_is_written_under_a_destroyed_key(
    base: Base, writer: Callable[[Base], Awaitable[Callable[[], Awaitable[object]]]]
) -> None:
    """Who slept between seal and write is refused as by a database that is away; it tries again."""
    assert isinstance(base.clock, FakeClock)
    await base.stores.apps.put_consumer_credentials(  # the key is in memory from here on
        app(), consumer_key="3MVG9", consumer_secret=consumer_secret()
    )
    write = await writer(base)
    await rotation_of(base).rotate()
    await base.execute("DELETE FROM data_keys WHERE retired_at IS NOT NULL")

    with pytest.raises(StoreUnavailable, match="destroyed"):
        await write()

    base.clock.advance(seconds=1)
    assert await write() in {None, True}
    for table, column in WRITERS[writer]:
        rows = await base.rows(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
        newest = await SqlDataKeys(base.database).latest(WORKSPACE)
        assert newest is not None
        assert {data_key_of(bytes(value)) for (value,) in rows} == {newest.id}


@pytest.mark.parametrize(
    "odd",
    [
        "table_name = 'odd'",
        "key_ids = '7'",
        "key_ids = '[]'",
        "needed = 'no JSON'",
        "last_row = '[]'",
        "goes_on = NULL",
        f"begun_at = {NO_MOMENT}",
        f"ended_at = {NO_MOMENT}",
    ],
)
async def test_a_pass_that_cannot_be_gone_on_with_keeps_no_other_from_beginning(
    base: Base, odd: str
) -> None:
    """It is over, whoever wrote it, and says of no key that nothing needs it."""
    await fill(base)
    old = await retired_keys(base)
    await base.execute(
        "INSERT INTO resealings (number, goes_on, key_ids, ends_at, step, table_name, total,"
        " looked, resealed, refused, needed, begun_at)"
        " VALUES (7, true, '[\"dk_odd\"]', 0, 0, 'apps', 0, 0, 0, 0, '[]', 1)"
    )
    await base.execute(f"UPDATE resealings SET {odd}")

    await reseal(base)
    await reseal(base)

    assert set((await rotation_of(base).destroy()).gone) == set(old)
