"""Alembic's part of bringing the tables up to date."""

from __future__ import annotations

import re
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from keyturn_service.adapters.sql.schema import VERSION_TABLE, VERSIONS, SchemaTooNew

_POSTGRESQL_SAYS: Final = frozenset({"42P07", "42701"})  # there is such a table, such a column
_SQLITE_SAYS: Final = re.compile("already exists|duplicate column")  # it has no codes for them


def upgrade(connection: Connection) -> str | None:
    """Bring the tables to the newest version; return the one before, where there was one.

    Raises:
        SchemaTooNew: the tables are of a later release, or of a later version than they say.
    """
    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    current = context.get_current_heads()
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
        if _is_there(error):
            raise SchemaTooNew(
                f"the database says that it has version {before}, and has tables of a later one:"
                " restore the backup made before somebody changed it"
            ) from None
        raise
    return before


def _is_there(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlstate", None)  # PostgreSQL's words are in the server's language
    return code in _POSTGRESQL_SAYS if code else bool(_SQLITE_SAYS.search(str(error.orig)))
