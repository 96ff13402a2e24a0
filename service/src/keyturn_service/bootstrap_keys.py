"""The part of the bootstrap that joins what looks after keys: the commands, and the round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.authority import fill_macs
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.sealed_rows import SqlSealedRows
from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.adapters.sql.workspaces import SqlDataKeys, kept_data_key
from keyturn_service.adapters.system import SystemRandomness, SystemWaiting
from keyturn_service.ports import AuditLog, Clock
from keyturn_service.vault.data_key_rotation import DataKeyRotation
from keyturn_service.vault.hashes import KeyedHashes, kept_root
from keyturn_service.vault.key_source import KeySource
from keyturn_service.vault.key_uri import KeyUri
from keyturn_service.vault.resealing import Reseal
from keyturn_service.vault.root_keys import RootKeyFile, RootKeys
from keyturn_service.vault.row_macs import RowMacs
from keyturn_service.vault.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What looks after key-encryption keys and data keys."""

    root_keys: RootKeys
    data_keys: DataKeyRotation
    reseal: Reseal


async def fill_row_macs(key_source: KeySource, connection: AsyncConnection) -> None:
    """Make the codes of rows that say who may do what, where a release before made none.

    All of it over the connection that is changing the tables: another would wait for it.

    Raises as `keyed_hashes` does.
    """
    root = await kept_root(key_source, partial(kept_data_key, connection))
    if root is not None:  # else no start has made a key
        await fill_macs(connection, RowMacs(KeyedHashes(root)))


def joined_keys(
    *,
    key_file: RootKeyFile,
    database: Database,
    vault: Vault,
    stores: Stores,
    audit: AuditLog,
    clock: Clock,
    newest: Callable[[], Awaitable[KeyUri | None]],
) -> Keys:
    """Join it; who takes leases here takes the pass that seals anew."""
    data_keys, rows = SqlDataKeys(database), SqlSealedRows(database, stores.leases.owner)
    waiting = SystemWaiting()
    return Keys(
        root_keys=RootKeys(
            key_file=key_file,
            data_keys=data_keys,
            spools=stores.spool_keys,
            audit=audit,
            clock=clock,
            newest=newest,
        ),
        data_keys=DataKeyRotation(
            key_source=key_file,
            data_keys=data_keys,
            rows=rows,
            audit=audit,
            clock=clock,
            randomness=SystemRandomness(),
            waiting=waiting,
        ),
        reseal=Reseal(vault=vault, rows=rows, audit=audit, clock=clock, waiting=waiting),
    )
