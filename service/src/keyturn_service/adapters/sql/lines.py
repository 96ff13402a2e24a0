"""Single connections that speak to a driver directly, for the two hot statements."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

import aiosqlite
import asyncpg

from keyturn_service.adapters.sql.database import Database, translated

_CONNECT_SECONDS: Final = 5
_STATEMENT_SECONDS: Final = 10


class Line(Protocol):
    """One connection to read by, made again after it broke."""

    async def rows(self, keys: Sequence[str] | Sequence[bytes]) -> Sequence[Sequence[Any]]:
        """Return the rows of these keys.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class PostgresLine:
    """A line of PostgreSQL; the statement is prepared once a connection."""

    def __init__(self, database: Database, statement: str) -> None:
        self._dsn = database.dsn
        self._statement = statement
        self._connection: Any = None
        self._prepared: Any = None

    async def rows(self, keys: Sequence[str] | Sequence[bytes]) -> Sequence[Sequence[Any]]:
        """Return the rows of these keys; `$1` is an array of them."""
        with translated():
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn, timeout=_CONNECT_SECONDS)
                self._prepared = await self._connection.prepare(self._statement)
            try:
                rows: Sequence[Sequence[Any]] = await self._prepared.fetch(
                    keys, timeout=_STATEMENT_SECONDS
                )
            except BaseException:
                self._connection.terminate()
                raise
            return rows

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
                await self._connection.close(timeout=1)


class SqliteLine:
    """A line of SQLite: `?` stands for each key."""

    def __init__(self, database: Database, statement: str) -> None:
        self._path = database.url.database or ""
        self._before, _, self._behind = statement.partition("?")
        self._connection: aiosqlite.Connection | None = None
        self._turn = asyncio.Lock()

    async def rows(self, keys: Sequence[str] | Sequence[bytes]) -> Sequence[Sequence[Any]]:
        """Return the rows of these keys."""
        with translated():
            async with self._turn:
                if self._connection is None:
                    self._connection = await aiosqlite.connect(
                        self._path, isolation_level=None, timeout=_CONNECT_SECONDS
                    )
            marks = ",".join("?" * len(keys))
            found = await self._connection.execute_fetchall(
                f"{self._before}{marks}{self._behind}", tuple(keys)
            )
            return list(found)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
