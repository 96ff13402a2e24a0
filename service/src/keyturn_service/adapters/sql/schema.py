"""Bring the database's tables up to date."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, inspect, select, text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.database import Database, DatabaseRefused
from keyturn_service.adapters.sql.tables import audit_events, audit_trims

_FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x6B657974  # "keyt": one replica migrates, the others wait
_THERE: Final = re.compile("already exists|duplicate column")
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


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for one connection."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> str | None:
    """Return the version before, where there was one and it was older."""
    config = alembic_config(connection)
    script = ScriptDirectory.from_config(config)
    context = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
    current = context.get_current_heads()
    if current == (script.get_current_head(),):
        return None
    known = {item.revision for item in script.walk_revisions()}
    if len(current) > 1 or not known.issuperset(current):
        raise SchemaTooNew(
            f"the database has version {' and '.join(current)}, which this release does not know:"
            " start the newer release, or restore the backup made before it"
        )
    before = current[0] if current else None
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        if _THERE.search(str(error.orig)):
            raise SchemaTooNew(
                f"the database says that it has version {before}, and has tables of a later one:"
                " restore the backup made before somebody changed it"
            ) from None
        raise
    return before
