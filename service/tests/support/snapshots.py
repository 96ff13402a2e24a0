"""What outlives a crash, taken and put back: rows of a connection, disks, org, judge and clock.

A process that is killed leaves this and nothing else, so what follows a crash is decided by it:
the same state, looked at again, needs no second run.
"""

# ruff: noqa: S608 - the names in statements are of our own tables

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import shutil
import sqlite3
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg
from service.tests.support import fakes
from service.tests.support.oracle import Oracle
from service.tests.support.strict_org import StrictOrg

from keyturn_service.domain.ids import ConnectionId

# The tables that have rows of one connection, and the column that says so; in order of reference.
TABLES: Final = {
    "connections": "id",
    "token_sets": "connection_id",
    "attempts": "connection_id",
    "refresh_leases": "connection_id",
    "audit_events": "connection_id",
    "revocations": "connection_id",
}
Rows = dict[str, Any]


class Looking(Protocol):
    """A connection of the test's own to the database, past the product."""

    async def look(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        """Carry a statement with `?` for its values out, and return its rows."""
        ...

    async def rows(self, connection_id: ConnectionId) -> Rows:
        """Return all rows of a connection, by table."""
        ...

    async def put_back(self, connection_id: ConnectionId, rows: Rows) -> None:
        """Have exactly those rows of a connection."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class SqliteLooking:
    """A connection to a database's file, which a link leads to.

    What takes the file's place is another one, and who has the one before open stays on it, as
    connections to an old primary do.
    """

    def __init__(self, link: Path) -> None:
        self._link = link
        self._numbers = count(1)
        self._connect()

    @classmethod
    def on_copy(cls, link: Path, template: Path) -> SqliteLooking:
        """Have a database that is like another one."""
        lead_to(link, template, link.with_name("database-0"))
        return cls(link)

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._link, isolation_level=None)
        self._connection.execute("PRAGMA synchronous=OFF")

    def copy(self) -> Path:
        """Take a copy of the database as it is now."""
        path = self._link.with_name(f"copy-{next(self._numbers)}")
        with contextlib.closing(sqlite3.connect(path)) as there:
            self._connection.backup(there)
        return path

    def exchange(self, copy: Path) -> None:
        """Put a database that is like a copy in the place of this one."""
        self._connection.close()
        lead_to(self._link, copy, self._link.with_name(f"database-{next(self._numbers)}"))
        self._connect()

    async def look(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        """Carry a statement out."""
        return self._connection.execute(statement, given).fetchall()

    async def rows(self, connection_id: ConnectionId) -> Rows:
        """Return all rows of a connection, by table."""
        return {
            table: self._connection.execute(
                f"SELECT * FROM {table} WHERE {column} = ?",
                (connection_id,),
            ).fetchall()
            for table, column in TABLES.items()
        }

    async def put_back(self, connection_id: ConnectionId, rows: Rows) -> None:
        """Have exactly those rows of a connection."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        for table, column in reversed(TABLES.items()):
            run(f"DELETE FROM {table} WHERE {column} = ?", (connection_id,))
        for table, found in rows.items():
            for row in found:
                marks = ",".join("?" * len(row))
                run(f"INSERT INTO {table} VALUES ({marks})", row)
        run("COMMIT")

    async def close(self) -> None:
        """Close it."""
        self._connection.close()


def lead_to(link: Path, copied: Path, file: Path) -> None:
    """Have a link lead to a new file with the content of another, in one step."""
    shutil.copy(copied, file)
    beside = link.with_name("beside")
    beside.symlink_to(file)
    beside.replace(link)


class PostgresLooking:
    """A connection to a PostgreSQL; rows travel as JSON, a whole state in one statement."""

    _TAKE = "SELECT " + ", ".join(
        f"(SELECT json_agg(t)::text FROM {table} t WHERE {column} = $1)"
        for table, column in TABLES.items()
    )
    _PUT_BACK = (
        "CREATE OR REPLACE FUNCTION put_back(connection text, "
        + ", ".join(f"had_{table} json" for table in TABLES)
        + ") RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
        + " ".join(
            f"DELETE FROM {table} WHERE {column} = connection;"
            for table, column in reversed(TABLES.items())
        )
        + " ".join(
            f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, had_{table});"  # noqa: E501
            for table in TABLES
        )
        + " END $$"
    )

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        marks = ", ".join(f"${number + 2}" for number in range(len(TABLES)))
        self._putting = f"SELECT put_back($1, {marks})"

    @classmethod
    async def on(cls, url: str, *, puts_back: bool = True) -> PostgresLooking:
        """Open it."""
        connection = await asyncpg.connect(url)
        if puts_back:
            await connection.execute(cls._PUT_BACK)
        return cls(connection)

    async def look(self, statement: str, *given: object) -> list[tuple[Any, ...]]:
        """Carry a statement out."""
        parts = statement.split("?")
        numbered = parts[0] + "".join(f"${n}{part}" for n, part in enumerate(parts[1:], start=1))
        return [tuple(row) for row in await self._connection.fetch(numbered, *given)]

    async def rows(self, connection_id: ConnectionId) -> Rows:
        """Return all rows of a connection, by table."""
        found = await self._connection.fetchrow(self._TAKE, connection_id)
        return dict(zip(TABLES, found, strict=True))

    async def put_back(self, connection_id: ConnectionId, rows: Rows) -> None:
        """Have exactly those rows of a connection."""
        given = [rows.get(table) for table in TABLES]
        await self._connection.fetch(self._putting, connection_id, *given)

    async def close(self) -> None:
        """Close it."""
        await self._connection.close()


class Snapshotted(Protocol):
    """A world that can be taken and put back."""

    folder: Path
    looking: Looking
    connection_id: ConnectionId
    org: StrictOrg
    oracle: Oracle
    clock: fakes.FakeClock
    randomness: fakes.CountedRandomness
    numbers: count[int]

    def forget(self) -> None:
        """Have no process, and no memory of one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What outlived: all that a new process, another replica or the org can know."""

    connection_id: ConnectionId
    rows: Rows
    disks: dict[str, tuple[bytes, int]]
    org: StrictOrg
    oracle: Oracle
    clock: dict[str, Any]
    counters: tuple[Any, Any]  # where names and nonces go on; no program looks at them

    @classmethod
    async def of(cls, world: Snapshotted) -> Snapshot:
        """Take how it stands."""
        return cls(
            connection_id=world.connection_id,
            rows=await world.looking.rows(world.connection_id),
            disks=dict(_disks(world.folder)),
            org=_org(world.org),
            oracle=_oracle(world.oracle),
            clock=dict(vars(world.clock)),
            counters=(copy.copy(world.randomness._numbers), copy.copy(world.numbers)),
        )

    async def put_back(self, world: Snapshotted) -> None:
        """Have all as it was; memory of processes is gone."""
        world.forget()
        if world.connection_id != self.connection_id:
            await world.looking.put_back(world.connection_id, {})  # names may come again
            world.connection_id = self.connection_id
        await world.looking.put_back(self.connection_id, self.rows)
        for disk in world.folder.glob("disk-*"):
            shutil.rmtree(disk)
        for name, (content, changed) in self.disks.items():
            path = world.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, ns=(changed, changed))
        world.org, world.oracle = _org(self.org), _oracle(self.oracle)
        world.org.sees = world.oracle.presented
        vars(world.clock).update(self.clock)
        randomness, numbers = self.counters
        world.randomness._numbers, world.numbers = copy.copy(randomness), copy.copy(numbers)

    def digest(self) -> bytes:
        """Return the same bytes for the same state, and for no other."""
        org = {k: v for k, v in vars(self.org).items() if k not in {"clock", "sees"}}
        org["access_tokens"] = sorted(self.org.access_tokens)
        judge = {k: v for k, v in vars(self.oracle).items() if k != "world"}
        state = (self.connection_id, self.rows, sorted(self.disks.items()), org, judge, self.clock)
        return hashlib.sha256(repr(state).encode()).digest()


def _disks(folder: Path) -> Any:
    for disk in sorted(folder.glob("disk-*")):
        for path in sorted(disk.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(folder)), (path.read_bytes(), path.stat().st_mtime_ns)


def _org(org: StrictOrg) -> StrictOrg:
    new = copy.copy(org)
    new.sees = None
    new.script, new.presented = deque(org.script), list(org.presented)
    new.access_tokens, new._busy = set(org.access_tokens), dict(org._busy)
    return new


def _oracle(oracle: Oracle) -> Oracle:
    new = copy.copy(oracle)
    new.given_up, new.intents = set(oracle.given_up), dict(oracle.intents)
    new.on_disk = {disk: dict(answers) for disk, answers in oracle.on_disk.items()}
    new.intended = {disk: dict(intents) for disk, intents in oracle.intended.items()}
    new.presentations = Counter(oracle.presentations)
    new.handed_out = list(oracle.handed_out)
    return new
