"""What retired data keys sealed is sealed anew, on both databases, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.conformance.test_tampering import COLUMNS, Column, fill, sealed_columns
from service.tests.support.databases import Base
from service.tests.support.fakes import CountedRandomness, FakeClock, LeapingWaiting
from service.tests.support.values import CONNECTION, OTHER_WORKSPACE, SPOOL, WORKSPACE, connection
from service.tests.support.values import tokens as token_set

from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.sql.sealed_rows import SEALED_TABLES, SqlSealedRows
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.domain.ids import SpoolId
from keyturn_service.ports import StoreUnavailable
from keyturn_service.vault.data_key_rotation import DataKeyRotation
from keyturn_service.vault.data_keys import DataKeyId
from keyturn_service.vault.resealing import CLAIM, Reseal, Resealing
from keyturn_service.vault.vault import data_key_of

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
        audit=base.audit_log("run_rotation"),
        clock=base.clock,
        randomness=CountedRandomness("new keys"),
        waiting=LeapingWaiting(base.clock),
    )


async def reseal(base: Base, owner: str = SPOOL) -> None:
    """Go the round until it has nothing to do: once to see the keys, once when all seal anew."""
    assert isinstance(base.clock, FakeClock)
    one = Reseal(
        vault=base.vault,
        rows=rows_of(base, owner),
        audit=base.audit_log(f"run_{owner}"),
        clock=base.clock,
        waiting=LeapingWaiting(base.clock),
    )
    await one()
    base.clock.advance(seconds=5)
    await one()


async def keys_of(base: Base) -> dict[tuple[str, str], set[str]]:
    """Return the data keys under which each column's values rest."""
    found = {}
    for table, name in sealed_columns() - {("data_keys", "wrapped")}:
        asked = f"SELECT {name} FROM {table} WHERE {name} IS NOT NULL"  # noqa: S608 - ours
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
