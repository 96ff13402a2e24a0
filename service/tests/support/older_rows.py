"""A connection's rows as they stood once, to be put back by somebody who can write the database."""

from __future__ import annotations

from typing import Any

from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION

BOTH = ("connections", "token_sets")
_KEY = {"connections": "id", "token_sets": "connection_id"}


class Copy:
    """Rows of the connection as they stood, to be put back."""

    def __init__(self, world: World) -> None:
        self._base = world.base
        self._rows: dict[str, dict[str, Any]] = {}

    async def take(self) -> None:
        """Keep how both rows stand."""
        for table in BOTH:
            names = [row[1] for row in await self._base.rows(f"PRAGMA table_info({table})")]
            chosen = ", ".join(f'"{name}"' for name in names)
            [row] = await self._base.rows(f"SELECT {chosen} FROM {table}")  # noqa: S608 - ours
            self._rows[table] = dict(zip(names, row, strict=True))

    async def put_back(self, *tables: str) -> None:
        """Write them over what stands there now."""
        for table in tables:
            values = self._rows[table]
            changed = ", ".join(f'"{name}" = :{name}' for name in values)
            key = _KEY[table]
            statement = f"UPDATE {table} SET {changed} WHERE {key} = :{key}"  # noqa: S608 - ours
            await self._base.execute(statement, **values)

    async def restore(self) -> None:
        """Put all back as a backup does, which knows of no attempt since."""
        await self.put_back(*BOTH)
        await self._base.execute("DELETE FROM attempts")


async def restarted(kitchen: Kitchen, replica: Replica) -> Replica:
    """Start a replica again on its spool."""
    again = await kitchen.replica(replica.spool)
    await again.deliver.recover()
    await again.replay.recover()
    return again


async def refreshed(replica: Replica, *generations: int) -> None:
    """Refresh each of these generations."""
    for generation in generations:
        await replica.refresh(CONNECTION, refused=generation)
