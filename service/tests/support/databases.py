"""Databases for tests: opened with a vault, broken and mended, looked through for secrets."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final

from service.tests.support import values
from service.tests.support.fakes import FakeClock, fake_hash
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from keyturn_core.salesforce.ids import OrgId
from keyturn_service.adapters.key_sources.file import KeyFile
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.schema import migrate
from keyturn_service.adapters.sql.stores import Stores, stores_over
from keyturn_service.adapters.sql.tables import metadata
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.adapters.system import SystemRandomness
from keyturn_service.domain.attempt import Attempt
from keyturn_service.domain.connect_session import SessionStatus
from keyturn_service.domain.ids import ID_BYTES, ConnectSessionId, SpoolId, new_id
from keyturn_service.ports import Clock, Randomness, StoreUnavailable
from keyturn_service.vault.refusals import Refusals
from keyturn_service.vault.vault import Vault

_KEY: Final = bytes(range(32))
_DRIVER_THREAD: Final = "_connection_worker_thread"  # what aiosqlite runs in each of its threads
_ENDS_WITHIN: Final = 5.0  # seconds


class ForgetfulDatabase(Database):
    """A database whose answer to a write may be lost, on either side of the commit.

    One that is opened on a file takes over the engines of one that was closed there: an engine
    compiles each statement once, and that took a quarter of the time of a use case's tests.
    """

    lose_before_commit = 0
    lose_after_commit = 0
    _free: ClassVar[dict[tuple[URL, str], list[AsyncEngine]]] = {}

    def _sqlite_engine(self, url: URL, *, pool_size: int, begin: str) -> AsyncEngine:
        free = self._free.setdefault((url, begin), [])
        return free.pop() if free else super()._sqlite_engine(url, pool_size=pool_size, begin=begin)

    async def close(self) -> None:
        """Close every connection, and leave the engines to the next one on this file."""
        await super().close()
        for engine, begin in ((self._reader, "BEGIN"), (self._writer, "BEGIN IMMEDIATE")):
            free = self._free.get((self.url, begin))
            if free is not None and engine not in free:
                free.append(engine)

    @contextlib.asynccontextmanager
    async def write(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a transaction, and forget to say how it ended where a test asked for it."""
        async with super().write(patient=patient) as connection:
            yield connection
            if self.lose_before_commit:
                self.lose_before_commit -= 1
                raise StoreUnavailable("before the commit")
        if self.lose_after_commit:
            self.lose_after_commit -= 1
            raise StoreUnavailable("after the commit")

    @contextlib.asynccontextmanager
    async def carrying(self) -> AsyncIterator[None]:
        """Stand around a hot statement, which is its own transaction, and forget as above."""
        if self.lose_before_commit:
            self.lose_before_commit -= 1
            raise StoreUnavailable("before the commit")
        async with super().carrying():
            yield
        if self.lose_after_commit:
            self.lose_after_commit -= 1
            raise StoreUnavailable("after the commit")


@dataclass(kw_only=True)
class Base:
    """One database, with stores over it, as one replica has them."""

    database: ForgetfulDatabase
    vault: Vault
    stores: Stores
    clock: Clock
    break_it: Callable[[], Coroutine[Any, Any, None]]
    mend_it: Callable[[], Coroutine[Any, Any, None]]
    dump: Callable[[], Coroutine[Any, Any, bytes]]

    def audit_log(self, writer: str = "run_one") -> SqlAuditLog:
        """Return the log of one run."""
        return SqlAuditLog(self.database, writer, self.clock)

    @contextlib.asynccontextmanager
    async def replica(self, owner: str) -> AsyncIterator[Stores]:
        """Give the stores of another replica: its own connections, vault and spool."""
        database = Database(self.database.url)
        try:
            vault = a_vault(database, self.clock)
            yield stores_over(database, vault, fake_hash, owner=SpoolId(owner), clock=self.clock)
        finally:
            await database.close()

    async def execute(self, statement: str, **parameters: Any) -> None:
        """Change the database behind the stores' back."""
        async with self.database.write() as connection:
            await connection.execute(text(statement), parameters)

    async def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Look into the database behind the stores' back."""
        async with self.database.read() as connection:
            found = await connection.execute(text(statement), parameters)
            return [tuple(row) for row in found]

    async def refuse(self, change: str, table: str) -> None:
        """Have the database refuse an `INSERT`, `UPDATE` or `DELETE` of a table's rows."""
        refusing = f"CREATE TRIGGER refusing BEFORE {change} ON {table}"
        if self.database.is_sqlite:
            await self.execute(f"{refusing} BEGIN SELECT RAISE(ABORT, 'refused'); END")
            return
        await self.execute(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RAISE integrity_constraint_violation; END'"
        )
        await self.execute(f"{refusing} FOR EACH ROW EXECUTE FUNCTION refuse()")

    async def allow(self, table: str) -> None:
        """Take the refusal away."""
        await self.execute(
            "DROP TRIGGER refusing"
            if self.database.is_sqlite
            else f"DROP TRIGGER refusing ON {table}"
        )

    async def with_workspace(self) -> None:
        """Keep two workspaces and an app."""
        await self.stores.workspaces.ensure(values.workspace())
        await self.stores.workspaces.ensure(values.workspace(values.OTHER_WORKSPACE))
        await self.stores.apps.add(values.app())

    async def with_connection(self, **changes: Any) -> None:
        """Put a connection in force at generation 1, as a vendor's confirmation does.

        Its org may have others: for the confirmation it has one of its own.
        """
        made = values.connection(**changes)
        own = OrgId(f"00D{values.hash_of(made.id).hex()[:15]}")
        session = values.awaiting(
            id=ConnectSessionId(f"cs_{made.id}"),
            link_hash=values.hash_of(f"link {made.id}"),
            authorization=values.authorization(state_hash=values.hash_of(f"state {made.id}")),
            connection_id=made.id,
        )
        grant = values.grant(session_id=session.id, connection_id=made.id)
        new = values.pending(
            id=made.id, customer_id=made.customer_id, org_id=made.org_id, created_at=made.created_at
        )
        sessions = self.stores.connect_sessions
        await sessions.add(session)
        assert await sessions.await_confirmation(session, grant, new_connection=new)
        completed = replace(session, version=2, status=SessionStatus.COMPLETED)
        await sessions.confirm(
            completed, replace(made, org_id=own), values.tokens(), superseded=None
        )
        await self.execute(
            "UPDATE connections SET org_id = :org_id WHERE id = :id",
            org_id=made.org_id,
            id=made.id,
        )

    async def begun(self, **changes: Any) -> Attempt:
        """Take the lease and commit an intent at the generation in force."""
        lease = await self.stores.leases.acquire(values.CONNECTION, ttl=timedelta(0))
        assert lease is not None
        intent = values.attempt(fence=lease.fence, **changes)
        await self.stores.tokens.begin_attempt(intent)
        return intent


def a_vault(database: Database, clock: Clock, randomness: Randomness | None = None) -> Vault:
    """Return a vault over a key source that every test shares."""
    randomness = randomness or SystemRandomness()
    key_source = KeyFile("kek_test", {"kek_test": _KEY}, randomness)
    audit = SqlAuditLog(database, new_id("run", randomness.token_bytes(ID_BYTES)), clock)
    return Vault(key_source, SqlDataKeys(database), randomness, clock, Refusals(audit, clock))


@contextlib.asynccontextmanager
async def opened(
    url: str,
    *,
    break_it: Callable[[], Coroutine[Any, Any, None]],
    mend_it: Callable[[], Coroutine[Any, Any, None]],
    dump: Callable[[], Coroutine[Any, Any, bytes]],
    clock: FakeClock | None = None,
) -> AsyncIterator[Base]:
    """Give a migrated database with stores over it."""
    clock = clock or FakeClock()
    database = ForgetfulDatabase(read_database_url(url))
    vault = a_vault(database, clock)
    try:
        yield Base(
            database=database,
            vault=vault,
            stores=stores_over(database, vault, fake_hash, owner=values.SPOOL, clock=clock),
            clock=clock,
            break_it=break_it,
            mend_it=mend_it,
            dump=dump,
        )
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def sqlite_base(
    folder: Path, *, template: Path, clock: FakeClock | None = None
) -> AsyncIterator[Base]:
    """Give a database in a file of a folder, a copy of another, in the place of the last one."""
    path = folder / "keyturn.db"
    for left in folder.glob("keyturn.db*"):
        left.unlink()
    aside, nowhere = folder / "aside", folder / "link"
    shutil.copy(template, path)

    async def break_it() -> None:
        await base.database.close()
        aside.hardlink_to(path)
        nowhere.symlink_to(folder / "nowhere" / "keyturn.db")
        nowhere.replace(path)  # at once: a moment without the file would make a new one

    async def mend_it() -> None:
        await base.database.close()
        aside.replace(path)

    async def dump() -> bytes:
        return b"".join(file.read_bytes() for file in sorted(folder.glob("keyturn.db*")))

    try:
        async with opened(
            f"sqlite:///{path}", break_it=break_it, mend_it=mend_it, dump=dump, clock=clock
        ) as base:
            yield base
    finally:
        await _last_words()


async def _last_words() -> None:
    """Wait for the driver's threads.

    The thread of a connection that could not be opened ends by itself, and tells our loop so:
    the loop has to be there to hear it.
    """
    for thread in threading.enumerate():
        if _DRIVER_THREAD in thread.name:
            await asyncio.to_thread(thread.join, _ENDS_WITHIN)
            assert not thread.is_alive(), "a connection was left open"


@contextlib.asynccontextmanager
async def postgres_base(
    url: str, execute: Callable[[str], None], *, clock: FakeClock | None = None
) -> AsyncIterator[Base]:
    """Give the database of a URL, emptied. `execute` carries a statement out beside it."""
    name = make_url(url).database

    async def break_it() -> None:
        await asyncio.to_thread(execute, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        sessions = f"pg_stat_activity WHERE datname = '{name}'"
        await asyncio.to_thread(execute, f"SELECT pg_terminate_backend(pid) FROM {sessions}")  # noqa: S608 - ours

    async def mend_it() -> None:
        await asyncio.to_thread(execute, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    async def dump() -> bytes:
        parts = []
        for table in metadata.sorted_tables:
            for (row,) in await base.rows(f"SELECT t::text FROM {table.name} t"):  # noqa: S608 - ours
                parts.append(row.encode())
            for column in table.columns:
                if column.type.python_type is bytes:
                    asked = f"SELECT {column.name} FROM {table.name}"  # noqa: S608 - ours
                    parts += [value for (value,) in await base.rows(asked) if value]
        return b"\n".join(parts)

    async with opened(url, break_it=break_it, mend_it=mend_it, dump=dump, clock=clock) as base:
        tables = ", ".join(table.name for table in metadata.sorted_tables)
        await base.execute(f"TRUNCATE {tables}")
        try:
            yield base
        finally:
            await mend_it()


def migrated(url: str) -> None:
    """Bring a new database up to date, from a program with or without an event loop."""

    async def work() -> None:
        database = Database(read_database_url(url))
        try:
            await migrate(database)
        finally:
            await database.close()

    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 - told to whoever started the thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def sqlite_template(folder: Path) -> Path:
    """Make an empty, migrated database in a file, to be copied."""
    path = folder / "template.db"
    migrated(f"sqlite:///{path}")
    assert not path.with_name("template.db-wal").exists()
    return path
