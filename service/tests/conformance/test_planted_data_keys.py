"""Data keys of names that no program of ours gives, and the root of the hashes marked as one."""

from __future__ import annotations

import json

import pytest
from service.tests.conformance.test_resealing import (
    begun,
    reseal,
    retired_keys,
    rotation_of,
    rows_of,
)
from service.tests.conformance.test_tampering import fill
from service.tests.support.databases import Base
from service.tests.support.fakes import CountedRandomness

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.vault.data_keys import DataKeyId
from keyturn_service.vault.hashes import keyed_hashes
from keyturn_service.vault.resealing import CLAIM
from keyturn_service.vault.root_keys import StillNeeded

WIDE = "🔑" * 64  # 256 bytes, also where a name has 64 letters at most
LONG = "dk_" + "x" * 300
ROOT = DataKeyId("dk_hashes")
on_sqlite = pytest.mark.parametrize("base", ["sqlite"], indirect=True)


async def plant(base: Base, name: str | bytes, *, unneeded: bool = False) -> None:
    """Write a retired data key of this name, otherwise a copy of another one."""
    await base.execute(
        "INSERT INTO data_keys"
        " (id, workspace_id, key_id, wrapped, created_at, retired_at, unneeded_since)"
        " SELECT :name, workspace_id, key_id, wrapped, created_at, 1, :unneeded"
        " FROM data_keys LIMIT 1",
        name=name,
        unneeded=1 if unneeded else None,
    )


async def all_is_sealed_anew(base: Base) -> None:
    """Go a whole pass; the old keys can go then."""
    old = await retired_keys(base)
    await reseal(base)
    latest = await rows_of(base).latest()
    assert latest is not None
    assert latest.ended_at == base.clock.now()
    done = await rotation_of(base).destroy()
    assert (set(done.gone), done.needed) == (set(old), {})


@pytest.mark.parametrize("name", ["", WIDE, "dk_🔑", "dk_a b", "spool_one"])
async def test_a_data_key_of_a_strange_name_stops_no_pass(base: Base, name: str) -> None:
    """It is passed over; all else is sealed anew, and the old keys can go."""
    await fill(base)
    await plant(base, name)

    await all_is_sealed_anew(base)


@on_sqlite
@pytest.mark.parametrize("name", [LONG, LONG.encode(), b"\xff"])
async def test_a_data_key_of_any_name_stops_no_pass(base: Base, name: str | bytes) -> None:
    """SQLite keeps a name of any length, and bytes."""
    await fill(base)
    await plant(base, name)

    await all_is_sealed_anew(base)


async def test_a_planted_data_key_stops_no_destruction(base: Base) -> None:
    """As if a pass had found nothing under it; and nobody can name it."""
    await fill(base)
    old = await retired_keys(base)
    await reseal(base)
    await plant(base, WIDE, unneeded=True)

    done = await rotation_of(base).destroy()

    assert (set(done.gone), done.needed) == (set(old), {})
    assert await rows_of(base).counts([DataKeyId(WIDE)]) == {}
    with pytest.raises(StillNeeded):
        await rotation_of(base).destroy([WIDE])


@pytest.mark.parametrize("planted", [[WIDE], [WIDE, 7, None]])
async def test_strange_names_in_a_pass_are_passed_over(base: Base, planted: list[object]) -> None:
    """Where an earlier version, or somebody else, put them there."""
    await fill(base)
    await begun(base)
    await base.execute(
        "UPDATE resealings SET key_ids = :names, needed = :names", names=json.dumps(planted)
    )
    latest = await rows_of(base).latest()
    assert latest is not None

    batch = await rows_of(base).batch(latest, limit=100)

    assert (latest.key_ids, latest.needed) == ([], frozenset())
    assert batch.looked
    assert not batch.rows
    assert await rows_of(base).put(latest, batch, [], refused=[], ttl=CLAIM) is not None


async def test_the_root_of_the_hashes_is_never_destroyed(base: Base) -> None:
    """Whatever its row says: without it no API key would be known again."""
    await fill(base)
    keys = SqlDataKeys(base.database)
    source = KeyFile("kek_test", {"kek_test": bytes(range(32))}, CountedRandomness("hashes"))
    hashes = await keyed_hashes(source, keys, CountedRandomness("root"), base.clock)
    known = hashes("api-key", "secret")
    await base.execute(
        "UPDATE data_keys SET retired_at = 1, unneeded_since = 1, workspace_id = 'ws_one'"
        " WHERE id = :root",
        root=ROOT,
    )

    assert (await rotation_of(base).destroy()).gone == []
    assert await keys.retired() == []
    with pytest.raises(StillNeeded):
        await rotation_of(base).destroy([ROOT])
    assert await rows_of(base).destroy([ROOT]) == {}
    await base.execute(
        "UPDATE data_keys SET unneeded_since = NULL, workspace_id = '' WHERE id = :root", root=ROOT
    )
    assert await rows_of(base).due_keys() == []
    again = await keyed_hashes(source, keys, CountedRandomness("root"), base.clock)
    assert again("api-key", "secret") == known
