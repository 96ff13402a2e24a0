"""Lock many rows in one order: two that lock the same rows in two orders wait for each other."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Update, collate, select, true
from sqlalchemy.ext.asyncio import AsyncConnection


def in_order(writing: AsyncConnection, ids: ColumnElement[str]) -> ColumnElement[str]:
    """Return what rows are locked by: their ids as Python orders them.

    The order of a language, which a database of PostgreSQL may have, is another.
    """
    return ids if writing.dialect.name == "sqlite" else collate(ids, "C")


async def change_in_order(
    writing: AsyncConnection, change: Update, *, by: str = "id"
) -> CursorResult[Any]:
    """Carry out a change of many rows, locked in order before; SQLite has one writer at a time."""
    if writing.dialect.name != "sqlite":
        which = true() if change.whereclause is None else change.whereclause
        ids = change.table.c[by]
        locking = select(ids).where(which).order_by(in_order(writing, ids))
        await writing.execute(locking.with_for_update())
    return await writing.execute(change)
