"""Single connections that speak to a driver directly, for the two hot statements.

A statement is asked many questions at once: tuples of plain values, which it sees as the rows of
a table named `asked`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Final, Protocol

import aiosqlite
import asyncpg
import msgspec

from keyturn_service.adapters.sql.database import (
    Database,
    postgres_connection,
    text_or_bytes,
    translated,
)
from keyturn_service.ports import StoreUnavailable

_CONNECT_SECONDS: Final = 5
_STATEMENT_SECONDS: Final = 10
# Else few questions are planned anew each time, which costs several times what they take.
_PLANNED_ONCE: Final = {"plan_cache_mode": "force_generic_plan"}
_written: Final = msgspec.json.Encoder().encode
Question = tuple[Any, ...]


class Line(Protocol):
    """One connection for one statement, made again after it broke, closed with its database."""

    async def rows(self, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        """Carry the statement out for all questions, and return what it returns.

        Raises:
            StoreUnavailable: the database does not answer; a statement that writes may or may
                not have done so.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class PostgresLine:
    """A line of PostgreSQL; the statement is prepared once a connection.

    `columns` are the names of a question's members with their types; a column `n` counts the
    questions from 1. `{asked}` in the statement stands for the table. `constants` are what is
    the same for all questions of a call: each stands in the statement by its name in braces.

    The questions travel as one document: to write them as an array a column takes the driver
    longer than all the rest of a call (`docs/explanation/performance.md`).
    """

    def __init__(
        self,
        database: Database,
        statement: str,
        columns: Sequence[tuple[str, str]],
        constants: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._database = database
        database.closes(self)
        names = ", ".join(name for name, _ in columns)
        typed = ", ".join(f"{name} {kind}" for name, kind in columns)
        numbered = enumerate(constants, start=2)
        self._statement = statement.format(
            asked=f"ROWS FROM (json_to_recordset($1::json) AS ({typed}))"
            f" WITH ORDINALITY AS asked({names}, n)",
            **{name: f"${n}::{kind}" for n, (name, kind) in numbered},
        )
        self._asked = msgspec.defstruct("Asked", [name for name, _ in columns])
        self._bytes = tuple(n for n, (_, kind) in enumerate(columns) if kind == "bytea")
        self._connection: Any = None
        self._prepared: Any = None

    async def rows(
        self, questions: Sequence[Question], *constants: str | int
    ) -> Sequence[Sequence[Any]]:
        """Carry the statement out for all questions, and return what it returns."""
        asked_in = self._database.exchanged
        async with self._database.carrying():
            if self._connection is None or self._connection.is_closed():
                self._connection = await postgres_connection(
                    self._database.dsn, seconds=_STATEMENT_SECONDS, settings=_PLANNED_ONCE
                )
                try:
                    await self._database.see(self._connection)
                    self._prepared = await self._connection.prepare(self._statement)
                except BaseException:
                    self._connection.terminate()
                    raise
            if self._database.exchanged != asked_in:
                raise StoreUnavailable("another database")
            try:
                rows: Sequence[Sequence[Any]] = await self._prepared.fetch(
                    self._document(questions), *constants
                )
            except BaseException:
                self._connection.terminate()
                raise
            return rows

    def _document(self, questions: Sequence[Question]) -> str:
        """Return questions as the statement reads them."""
        asked = []
        for question in questions:
            values = list(question)
            for n in self._bytes:
                values[n] = "\\x" + values[n].hex()  # as PostgreSQL writes bytes
            asked.append(self._asked(*values))
        return _written(asked).decode()

    async def renew(self) -> None:
        """Let go of the connection; what is under way on it fails."""
        if self._connection is not None:
            self._connection.terminate()

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
                await self._connection.close(timeout=1)


class SqliteLine:
    """A line of SQLite that reads. `{asked}` in the statement stands for the table."""

    def __init__(
        self, database: Database, statement: str, columns: Sequence[tuple[str, str]]
    ) -> None:
        self._database = database
        self._path = database.url.database or ""
        database.closes(self)
        self._statement = statement
        self._marks = f"({','.join('?' * len(columns))})"
        self._names = ", ".join(
            f"column{n} AS {name}" for n, (name, _) in enumerate(columns, start=1)
        )
        self._connection: aiosqlite.Connection | None = None
        self._turn = asyncio.Lock()

    async def rows(self, questions: Sequence[Question]) -> Sequence[Sequence[Any]]:
        """Carry the statement out for all questions, and return what it returns."""
        values = ",".join([self._marks] * len(questions))
        statement = self._statement.format(
            asked=f"(SELECT {self._names} FROM (VALUES {values})) AS asked"  # noqa: S608 - marks
        )
        with translated():
            self._database.see_file()
            async with self._turn:
                if self._connection is None:
                    self._connection = await aiosqlite.connect(
                        self._path, isolation_level=None, timeout=_CONNECT_SECONDS
                    )
                    self._connection.text_factory = text_or_bytes
            found = await self._connection.execute_fetchall(
                statement, [value for question in questions for value in question]
            )
            return list(found)

    async def renew(self) -> None:
        """Let go of the connection; what is under way on it goes on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def close(self) -> None:
        """Close the connection."""
        await self.renew()
