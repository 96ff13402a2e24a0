"""Lock many rows in one order: two that lock the same rows in two orders wait for each other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, CursorResult, FromClause, Update, collate, select, true
from sqlalchemy.ext.asyncio import AsyncConnection


def in_order(writing: AsyncConnection, table: FromClause) -> ColumnElement[str]:
    """Return what rows are locked by: their ids as Python orders them.

    The order of a language, which a database of PostgreSQL may have, is another.
    """
    return table.c.id if writing.dialect.name == "sqlite" else collate(table.c.id, "C")


async def change_in_order(writing: AsyncConnection, change: Update) -> CursorResult[Any]:
    """Carry out a change of many rows, locked in order before; SQLite has one writer at a time."""
    if writing.dialect.name != "sqlite":
        which = true() if change.whereclause is None else change.whereclause
        locking = select(change.table.c.id).where(which)
        await writing.execute(locking.order_by(in_order(writing, change.table)).with_for_update())
    return await writing.execute(change)
