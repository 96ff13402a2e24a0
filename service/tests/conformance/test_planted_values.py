"""What no program of ours writes: texts where bytes belong, and wrapped keys of any length.

SQLite keeps any value in any column; PostgreSQL keeps to its types.
"""

from __future__ import annotations

import pytest
from service.tests.conformance.test_resealing import (
    begun,
    reseal,
    retired_keys,
    rotation_of,
    rows_of,
)
from service.tests.conformance.test_tampering import (
    COLUMNS,
    Column,
    each_column,
    fill,
    refusals_of,
    refuses,
)
from service.tests.support.databases import Base
from service.tests.support.values import CONNECTION, app, consumer_secret

from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import SealRefused
from keyturn_service.vault.resealing import CLAIM
from keyturn_service.vault.vault import data_key_of

A_TEXT = "'🔑 planted'"
ODD = [A_TEXT, "''", "CAST(x'ff01' AS TEXT)", "7"]
each_odd_value = pytest.mark.parametrize("odd", ODD)
on_sqlite = pytest.mark.parametrize("base", ["sqlite"], indirect=True)


async def plant(base: Base, column: Column, odd: str) -> None:
    """Write an expression of SQLite into a column."""
    await base.execute(
        f"UPDATE {column.table} SET {column.name} = {odd} WHERE {column.key} = :row",  # noqa: S608 - ours
        row=column.row,
    )


async def bytes_of(base: Base, column: Column) -> bytes:
    """Return what rests in a column, whatever it is, as bytes."""
    [(value,)] = await base.rows(
        f"SELECT CAST({column.name} AS BLOB) FROM {column.table} WHERE {column.key} = :row",  # noqa: S608 - ours
        row=column.row,
    )
    return bytes(value)


@on_sqlite
@each_column
async def test_what_is_not_bytes_does_not_open(base: Base, column: Column) -> None:
    """It is refused, and said where, as what was changed."""
    await fill(base)

    for odd in ODD:
        await plant(base, column, odd)
        await refuses(base, column, odd)


@on_sqlite
@each_odd_value
async def test_what_is_not_bytes_stops_no_pass(base: Base, odd: str) -> None:
    """It stays, all else is sealed anew and opens, and the old keys can go."""
    await fill(base)
    for column in COLUMNS:
        await plant(base, column, odd)
    before = [await bytes_of(base, column) for column in COLUMNS]

    await all_is_sealed_anew(base)

    assert [await bytes_of(base, column) for column in COLUMNS] == before


@on_sqlite
@each_column
async def test_what_is_not_bytes_leaves_its_row_to_the_pass(base: Base, column: Column) -> None:
    """The other value of the row is sealed anew."""
    await fill(base)
    await plant(base, column, A_TEXT)

    await all_is_sealed_anew(base)


@on_sqlite
@each_column
async def test_what_was_made_a_text_and_is_whole_is_sealed_anew(base: Base, column: Column) -> None:
    """It is what was sealed for its place, whatever the database takes it for."""
    await fill(base)
    await plant(base, column, f"CAST({column.name} AS TEXT)")

    await all_is_sealed_anew(base)

    assert await column.read(base) is not None


async def all_is_sealed_anew(base: Base) -> None:
    """Go a whole pass; nothing needs the old keys then, and the other workspace's rows open."""
    old = await retired_keys(base)
    await reseal(base)
    latest = await rows_of(base).latest()
    assert latest is not None
    assert (latest.ended_at, latest.looked) == (base.clock.now(), latest.total)
    done = await rotation_of(base).destroy()
    assert (set(done.gone), done.needed) == (set(old), {})
    assert await base.stores.tokens.load(ConnectionId("con_two")) is not None


async def copy(base: Base, table: str, **written: str) -> None:
    """Copy a row of a table, with these columns by expressions of SQLite."""
    names = [str(row[1]) for row in await base.rows(f"PRAGMA table_info({table})")]
    taken = [written.get(name, name) for name in names]
    await base.execute(
        f"INSERT INTO {table} ({', '.join(names)})"  # noqa: S608 - ours
        f" SELECT {', '.join(taken)} FROM {table} LIMIT 1"
    )


@on_sqlite
@pytest.mark.parametrize(("table", "name"), [("revocations", "id"), ("idempotency_keys", "key")])
async def test_a_row_named_by_bytes_stops_no_pass(base: Base, table: str, name: str) -> None:
    """What it holds was sealed for that name, whatever the database takes it for."""
    await fill(base)
    await copy(base, table, **{name: f"CAST({name} AS BLOB)"})

    await all_is_sealed_anew(base)


@on_sqlite
async def test_a_workspace_named_by_bytes_stops_no_pass(base: Base) -> None:
    """In the middle of a key too."""
    await fill(base)
    await copy(base, "workspaces", id="CAST(id AS BLOB)")
    await copy(base, "idempotency_keys", workspace_id="CAST(workspace_id AS BLOB)")

    await all_is_sealed_anew(base)


@on_sqlite
async def test_a_row_of_a_strange_name_is_refused_and_passed(base: Base) -> None:
    """Nothing was sealed for that name: its key is kept, and the others can go."""
    await fill(base)
    await copy(base, "revocations", id="x'ff'")
    old = await retired_keys(base)

    await reseal(base)

    latest = await rows_of(base).latest()
    assert latest is not None
    assert (latest.ended_at, latest.looked) == (base.clock.now(), latest.total)
    assert latest.refused == len(latest.needed) == 1
    done = await rotation_of(base).destroy()
    assert set(done.gone) == set(old) - latest.needed


@on_sqlite
async def test_a_generation_that_is_no_number_stops_no_pass(base: Base) -> None:
    """Nothing was sealed at it: what rests there is refused."""
    await fill(base)
    await base.execute(
        "UPDATE token_sets SET generation = 'planted' WHERE connection_id = :row", row=CONNECTION
    )
    await retired_keys(base)

    await reseal(base)

    latest = await rows_of(base).latest()
    assert latest is not None
    assert (latest.ended_at, latest.refused) == (base.clock.now(), 2)


@on_sqlite
async def test_a_pass_goes_on_behind_a_row_named_by_bytes(base: Base) -> None:
    """Read back by another replica, it looks at each row once."""
    await fill(base)
    await copy(base, "revocations", id="CAST(id AS BLOB)")
    await copy(base, "idempotency_keys", key="CAST(key AS BLOB)")
    rows, resealing = rows_of(base), await begun(base)
    while resealing.table_name is not None:
        batch = await rows.batch(resealing, limit=1)
        assert await rows.put(resealing, batch, [], refused=[], ttl=CLAIM) is not None
        following = await rows.claim(resealing, ttl=CLAIM)
        assert following is not None
        assert following.looked <= following.total
        resealing = following

    assert resealing.looked == resealing.total


@on_sqlite
@each_column
async def test_a_damaged_text_keeps_its_key(base: Base, column: Column) -> None:
    """As damaged bytes do: somebody may know how to mend it."""
    await fill(base)
    [old] = {data_key_of(await column.sealed(base))}
    await plant(base, column, f"CAST(substr({column.name}, 1, 60) AS TEXT)")
    rotation = rotation_of(base)
    await rotation.rotate()

    await reseal(base)

    latest = await rows_of(base).latest()
    assert latest is not None
    assert (latest.refused, latest.needed) == (1, {old})
    assert (await rotation.destroy()).needed == {old: None}
    [said] = await refusals_of(base)
    assert (said["table"], said["row"], said["column"]) == (column.table, column.row, column.name)


@pytest.mark.parametrize("length", [4097, 1_000_000])
async def test_a_wrapped_key_of_any_length_is_refused(base: Base, length: int) -> None:
    """And named; no key source is asked to open it."""
    await fill(base)
    await base.execute("UPDATE data_keys SET wrapped = :wrapped", wrapped=bytes(length))

    await opens_nothing(base)


@on_sqlite
@each_odd_value
async def test_a_wrapped_key_that_is_not_bytes_is_refused(base: Base, odd: str) -> None:
    """By whoever opens and whoever seals."""
    await fill(base)
    await base.execute(f"UPDATE data_keys SET wrapped = {odd}")  # noqa: S608 - ours

    await opens_nothing(base)


async def opens_nothing(base: Base) -> None:
    """See that a replica that starts now refuses to open and to seal, and says so."""
    async with base.replica("spool_two") as restarted:
        with pytest.raises(SealRefused):
            await restarted.tokens.load(CONNECTION)
        with pytest.raises(SealRefused):
            await restarted.apps.put_consumer_credentials(
                app(), consumer_key="3MVG9", consumer_secret=consumer_secret()
            )
    assert len(await refusals_of(base)) == 2
