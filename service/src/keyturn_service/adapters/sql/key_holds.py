"""What is written sealed keeps its data keys: none is destroyed under a write."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.tables import data_keys
from keyturn_service.ports import StoreUnavailable
from keyturn_service.vault.vault import data_key_of


async def hold_keys(writing: AsyncConnection, *sealed: bytes | None) -> None:
    """Keep the data keys of these values from being destroyed until the transaction has ended.

    Asked at its beginning, so that nobody waits for anybody in a circle.

    Raises:
        StoreUnavailable: one is destroyed already, for the values were sealed too long ago;
            sealed anew they can be written.
    """
    ids = sorted({data_key_of(value) for value in sealed if value is not None})
    if not ids:
        return
    asked = select(data_keys.c.id).where(data_keys.c.id.in_(ids)).order_by(data_keys.c.id)
    held = await writing.execute(asked.with_for_update(read=True, key_share=True))
    if len(held.all()) < len(ids):
        raise StoreUnavailable("the data key was destroyed between seal and write")
