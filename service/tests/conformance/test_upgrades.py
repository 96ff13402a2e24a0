"""A release starts on the tables of every release before it, and finds what they kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from service.tests.support.databases import a_vault
from service.tests.support.fakes import FakeClock
from service.tests.support.values import SPOOL, api_key, hash_of
from sqlalchemy import Connection, text

from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.schema import VERSIONS, migrate
from keyturn_service.adapters.sql.stores import stores_over
from keyturn_service.adapters.sql.types import to_micros
from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.bootstrap_keys import fill_row_macs
from keyturn_service.vault.data_keys import NOBODY, DataKeyId, associated_data
from keyturn_service.vault.hashes import KeyedHashes

KEY = api_key(hash=hash_of("own"))
ROOT = b"dummy root of the keyed hashes.."
ROOT_ID = DataKeyId("dk_hashes")
MOMENT = to_micros(KEY.created_at)
STARTS = (
    "INSERT INTO workspaces (id, name, created_at) VALUES (:workspace_id, 'One', :at)",
    (
        "INSERT INTO api_keys (id, workspace_id, name, hash, rights, created_at, expires_at)"
        " VALUES (:id, :workspace_id, :name, :hash, :rights, :at, :expires_at)"
    ),
    (
        "INSERT INTO data_keys (id, workspace_id, key_id, wrapped, created_at)"
        " VALUES (:root_id, :nobody, 'kek_test', :wrapped, :at)"
    ),
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Give a new database of each kind, without a table."""
    url = f"sqlite:///{tmp_path / 'keyturn.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("server").create_database()
    made = Database(read_database_url(url))
    yield made
    await made.close()


def bring_to(version: str, connection: Connection) -> None:
    """Make the tables as they were at a version."""
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    config.attributes["connection"] = connection
    command.upgrade(config, version)


@pytest.mark.parametrize(
    "version", sorted(path.stem.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))[:-1]
)
async def test_a_key_of_an_earlier_release_opens_after_the_upgrade(
    database: Database, version: str
) -> None:
    """From every version, in one transaction that waits for nobody, itself least of all."""
    source = KeyFile("kek_test", {"kek_test": bytes(range(32))}, SystemRandomness())
    kept = {
        "id": KEY.id,
        "workspace_id": KEY.workspace_id,
        "name": KEY.name,
        "hash": KEY.hash,
        "rights": "[" + ", ".join(f'"{right}"' for right in sorted(KEY.rights)) + "]",
        "at": MOMENT,
        "expires_at": None if KEY.expires_at is None else to_micros(KEY.expires_at),
        "root_id": ROOT_ID,
        "nobody": NOBODY,
        "wrapped": await source.wrap(ROOT, associated_data=associated_data(ROOT_ID, NOBODY)),
    }
    async with database.write() as connection:
        await connection.run_sync(partial(bring_to, version))
        for start in STARTS:
            await connection.execute(text(start), kept)

    await migrate(database, fill=partial(fill_row_macs, source))

    clock = FakeClock()
    stores = stores_over(
        database, a_vault(database, clock), KeyedHashes(ROOT), owner=SPOOL, clock=clock
    )
    filled = version < "0014"
    assert await stores.api_keys.by_hash(KEY.hash) == (KEY if filled else None)
