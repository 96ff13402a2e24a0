"""Bring the database's tables up to date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, inspect, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.database import Database, DatabaseRefused
from keyturn_service.adapters.sql.tables import audit_events, audit_trims

VERSIONS: Final = Path(__file__).parent / "migrations/versions"
VERSION_TABLE: Final = "schema_version"
_LOCK: Final = 0x6B657974  # "keyt": one replica migrates, the others wait
_WITH_CODES: Final = "0014"

Fill = Callable[[AsyncConnection], Awaitable[None]]


class SchemaTooNew(Exception):
    """A newer release of the service made the tables; this one would harm them."""


async def migrate(database: Database, *, fill: Fill | None = None) -> None:
    """Bring the tables up to date; all of it or nothing.

    `fill` makes the codes of rows that were there before rows had any, once, in the same
    transaction: later, a row without one was written by somebody else.

    Raises:
        SchemaTooNew: the tables are of a later release, or of a later version than they say.
        StoreUnavailable: the database does not answer.
    """
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = await connection.run_sync(_upgrade)
        if before is not None and before < _WITH_CODES and fill is not None:
            await fill(connection)


async def see_audit_tables(database: Database) -> None:
    """See that the service has made its tables here and the audit's can be read; change nothing.

    Raises:
        DatabaseRefused: it has not, or this user may not read it.
        StoreUnavailable: the database does not answer.
    """
    for table in (audit_events, audit_trims):
        async with database.read() as connection:
            await _see_table(connection, table)


async def _see_table(connection: AsyncConnection, table: Table) -> None:
    name = table.name
    if not await connection.run_sync(lambda found: inspect(found).has_table(name)):
        raise DatabaseRefused(
            f"there is no table {name} of ours in the database: look whether it is the service's"
            " (KEYTURN_DATA_DIR, KEYTURN_DATABASE_URL) and this release has started on it once"
        )
    try:
        await connection.execute(select(table.c.writer).limit(1))
    except ProgrammingError:
        raise DatabaseRefused(
            f"this database user may not read {name}: its owner has to GRANT SELECT ON {name} to it"
        ) from None


def _upgrade(connection: Connection) -> str | None:
    """Return the version before, where there was one and it was older."""
    newest = max(path.stem for path in VERSIONS.glob("[0-9]*.py"))
    if _said(connection) == [newest.partition("_")[0]]:
        return None
    # Half a second of a processor, which a start on tables that are up to date does not need.
    from keyturn_service.adapters.sql.migrating import upgrade

    return upgrade(connection)


def _said(connection: Connection) -> list[str]:
    """Return the versions that the tables say they have."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return []
    rows = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - ours
    return [str(version) for version in rows.scalars()]
