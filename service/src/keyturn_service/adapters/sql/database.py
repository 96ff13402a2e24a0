"""Carry statements out on SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from keyturn_service.ports import StoreUnavailable

_BUSY_SECONDS: Final = 10
_POOL: Final = 8
_CONNECT_SECONDS: Final = 5
_SERVING_SECONDS: Final = 15.0
"""What a transaction of a serving replica may take, waiting for its connection included.

Who asked waits for no more than 25 (`use_cases.refresh_tokens`). A healthy one takes milliseconds.
"""
_PATIENT_SECONDS: Final = 600.0  # of one that goes through as many rows as there are
_CLOSE_SECONDS: Final = 2.0
IDLE_SECONDS: Final = 60
"""How long the server keeps a transaction open whose client says nothing, and its locks."""
_SILENT: Final = (  # a machine that is gone without a word is given up after some ten seconds
    ("TCP_KEEPIDLE", 5),
    ("TCP_KEEPINTVL", 2),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 10_000),  # milliseconds
)
_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}",
)
_IDENTITY: Final = (
    "SELECT system_identifier || '/' || CASE WHEN pg_is_in_recovery() THEN 'standby'"
    " ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END FROM pg_control_system()"
)
"""The system identifier, and the timeline that is written now.

`pg_control_checkpoint()` would name a promoted standby's only after its next checkpoint.
"""
_OID: Final = "SELECT oid FROM pg_database WHERE datname = current_database()"
_OPTIONS: Final = frozenset(
    {
        "application_name",
        "host",
        "passfile",
        "port",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)
_TELLING: Final = (  # what is said as somebody connects; nothing of a row is in it
    asyncpg.CannotConnectNowError,
    asyncpg.ClientConfigurationError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.TooManyConnectionsError,
    sqlite3.Error,
)
_DRIVERS: Final = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


class DatabaseRefused(Exception):
    """The database URL is not one that we can use; the text says why and what to do."""


def read_database_url(text: str) -> URL:
    """Return the URL with our driver.

    Raises:
        DatabaseRefused: it names another kind of database, or is none.
    """
    try:
        url = make_url(text)
        driver = _DRIVERS.get(url.get_backend_name())
    except (SQLAlchemyError, ValueError):
        driver = None
    if driver is None:
        raise DatabaseRefused(
            "KEYTURN_DATABASE_URL: write postgresql://user:password@host/database, or leave it"
            " out for SQLite in the data folder"
        )
    unknown = sorted(set(url.query) - _OPTIONS) if driver == _DRIVERS["postgresql"] else []
    if unknown:
        tls = "; TLS is asked for by sslmode, as libpq has it" if "ssl" in unknown else ""
        raise DatabaseRefused(
            f"KEYTURN_DATABASE_URL: {', '.join(unknown)} is no option that is known here{tls}."
            f" Known are {', '.join(sorted(_OPTIONS))}"
        )
    twice = sorted(name for name, value in url.query.items() if not isinstance(value, str))
    if twice:
        raise DatabaseRefused(
            f"KEYTURN_DATABASE_URL: {', '.join(twice)} is there more than once; write several hosts"
            " as host=one,two"
        )
    ports = str(url.query.get("port", "0")).split(",")
    if not all(port.isascii() and port.isdigit() for port in ports):
        raise DatabaseRefused("KEYTURN_DATABASE_URL: port is a number, or one for each host")
    return url.set(drivername=driver)


class Closing(Protocol):
    """Something that is closed with its database."""

    async def close(self) -> None:
        """Close it; a second time changes nothing."""
        ...

    async def renew(self) -> None:
        """Let go of the connection, so that the next use makes a new one."""
        ...


async def identity_of(connection: asyncpg.Connection) -> str:
    """Return which database of which server, in which of its lives, a connection leads to.

    Where this user may not ask the server, or a managed one does not say, only the database's
    own number is told.
    """
    try:
        server = await connection.fetchval(_IDENTITY)
    except asyncpg.PostgresError:
        server = "?"
    return f"{server}/{await connection.fetchval(_OID)}"


class PostgresConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """A connection of PostgreSQL whose end is not waited for without an end."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        """Close it; where its other end does not answer, all the same."""
        await super().close(timeout=_CLOSE_SECONDS if timeout is None else timeout)

    def hear_silence(self) -> None:
        """Have the system end it where its other end is gone without a word."""
        line = self._transport.get_extra_info("socket")
        if line is None or line.family == socket.AF_UNIX:
            return
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _SILENT:
            if hasattr(socket, name):  # Linux has all
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _is_alive(connection: Any) -> bool:
    """Tell whether a connection of the pool can be used; another one is made where it cannot.

    Without a transaction around it, as the driver has it: it would have to be rolled back on a
    connection that does not answer, and nothing ends that.
    """
    try:
        connection.run_async(lambda line: line.fetchrow(";"))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        return False
    return True


async def postgres_connection(
    dsn: str, *, seconds: float | None, settings: Mapping[str, str] = MappingProxyType({})
) -> PostgresConnection:
    """Return a new connection; `seconds` is what a statement on it may take, its own limit apart.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError: there is none.
    """
    connection: PostgresConnection = await asyncpg.connect(
        dsn,
        timeout=_CONNECT_SECONDS,
        command_timeout=seconds,
        connection_class=PostgresConnection,
        server_settings=dict(settings),
    )
    connection.hear_silence()
    return connection


class Database:
    """A database: reads side by side, writes in transactions.

    On SQLite one connection of this process writes, one transaction after the other, each
    synchronized to the disk before it ends. From the first connection on it stays with the
    database that it found there: one that leads to another one is refused until `accept`.

    On PostgreSQL a transaction that takes longer than `seconds` is given up, a patient one (which
    goes through as many rows as there are) after `patient_seconds`. Neither has a limit before
    `serve`.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.seconds: float | None = None
        self.patient_seconds: float | None = None
        self._identity: str | None = None
        self.exchanged = 0
        """Counts up where another database is gone over to: before, and when that is done."""
        self._turn = asyncio.Lock()
        self._lines: list[Closing] = []
        self._there: weakref.WeakSet[PostgresConnection] = weakref.WeakSet()
        self._threads: list[threading.Thread] = []  # one a connection of SQLite
        if self.is_sqlite:
            if url.database:
                path = Path(url.database)
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.touch(mode=0o600)  # nobody else's to read, whatever the umask
            self._reader = self._sqlite_engine(url, pool_size=2, begin="BEGIN")
            self._writer = self._sqlite_engine(url, pool_size=1, begin="BEGIN IMMEDIATE")
        else:
            self._reader = self._writer = create_async_engine(
                URL.create(url.drivername),  # what it says is read by the driver
                pool_size=_POOL,
                max_overflow=0,
                pool_timeout=_BUSY_SECONDS,
                pool_pre_ping=True,  # by `_is_alive`
                async_creator=self._pooled,
            )

            sync = self._writer.sync_engine
            sync.dialect.do_ping = _is_alive  # type: ignore[assignment]

            @event.listens_for(sync, "connect")
            def see(connection: Any, record: Any) -> None:
                del record
                self._there.add(connection.driver_connection)
                connection.run_async(self.see)

    async def _pooled(self) -> PostgresConnection:
        settings = {"idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s"}
        return await postgres_connection(self.dsn, seconds=None, settings=settings)

    def serve(self) -> None:
        """Wait for no transaction longer than those do who ask a serving replica."""
        if not self.is_sqlite:  # which has its own limits, and an operation there has no other end
            self.seconds, self.patient_seconds = _SERVING_SECONDS, _PATIENT_SECONDS

    @property
    def engine(self) -> AsyncEngine:
        """The engine that writes, for migrations."""
        return self._writer

    @property
    def dsn(self) -> str:
        """The URL for drivers; it holds the password."""
        return self.url.set(drivername=self.url.get_backend_name()).render_as_string(
            hide_password=False
        )

    def closes(self, line: Closing) -> None:
        """Take a connection of its own kind along when this database is closed."""
        self._lines.append(line)

    async def see(self, connection: asyncpg.Connection) -> None:
        """See that a new connection of PostgreSQL leads where the earlier ones did.

        Raises:
            StoreUnavailable: it does not.
        """
        self._stay(await identity_of(connection))

    def see_file(self) -> None:
        """See that the file of SQLite is the one that was there before.

        Raises:
            StoreUnavailable: it is not.
        """
        if self.is_sqlite and self.url.database:
            self._stay(file_identity(self.url.database))

    def _stay(self, found: str) -> None:
        if self._identity is None:
            self._identity = found
        elif found != self._identity:
            raise StoreUnavailable("another database")

    async def accept(self, identity: str) -> None:
        """Go over to another database, with new connections only.

        Until the old ones are gone, new ones are refused: nobody reads here and writes there.
        What is under way on PostgreSQL fails: it may be a server that says nothing any more.
        """
        self.exchanged += 1
        for line in self._lines:
            await line.renew()
        for connection in list(self._there):
            connection.terminate()
        await self._reader.dispose()
        await self._writer.dispose()
        self._identity = identity
        self.exchanged += 1

    @contextlib.asynccontextmanager
    async def carrying(self) -> AsyncIterator[None]:
        """Stand around a statement on such a connection.

        Raises:
            StoreUnavailable: the database does not answer; what the statement writes may or
                may not be durable then.
        """
        with translated():
            yield

    async def close(self) -> None:
        """Close every connection, and wait for the threads that carried them."""
        for line in self._lines:
            await line.close()
        await self._reader.dispose()
        await self._writer.dispose()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, _BUSY_SECONDS)

    def _sqlite_engine(self, url: URL, *, pool_size: int, begin: str) -> AsyncEngine:
        engine = create_async_engine(
            url, pool_size=pool_size, max_overflow=0, pool_timeout=_BUSY_SECONDS
        )

        @event.listens_for(engine.sync_engine, "connect")
        def set_up(connection: Any, record: Any) -> None:
            del record
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._threads.append(connection.driver_connection._thread)  # noqa: SLF001 - no other way
            connection.isolation_level = None  # we begin transactions ourselves
            connection.driver_connection.text_factory = text_or_bytes
            cursor = connection.cursor()
            for pragma in _PRAGMAS:
                cursor.execute(pragma)
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def begin_transaction(connection: Any) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def _limit(self, *, patient: bool) -> asyncio.Timeout:
        return asyncio.timeout(self.patient_seconds if patient else self.seconds)

    @contextlib.asynccontextmanager
    async def read(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection to read by.

        Raises:
            StoreUnavailable: the database does not answer, or not in time.
        """
        with translated():
            self.see_file()
            # A transaction with an end of its own: closing a connection is not to be cancelled.
            async with self._limit(patient=patient), self._reader.begin() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """Wait for those before, but not for all who wait for somebody else's lock one by one."""
        async with asyncio.timeout(_BUSY_SECONDS):
            await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.asynccontextmanager
    async def write(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a transaction; it is durable when the block has ended without an error.

        Raises:
            StoreUnavailable: the database does not answer, or not in time; the transaction may or
                may not be durable then.
        """
        with translated():
            self.see_file()
            turn = self._in_turn() if self.is_sqlite else self._limit(patient=patient)
            async with turn, self._writer.begin() as connection:
                yield connection


def text_or_bytes(kept: bytes) -> str | bytes:
    """Return a text of SQLite; as bytes where somebody wrote one that is in no encoding of ours.

    sqlite3 would fail the whole statement, and nobody could tell which row it is.
    """
    try:
        return kept.decode()
    except UnicodeDecodeError:
        return kept


def file_identity(path: str) -> str:
    """Return which file lies at a path: a restored one is another one."""
    found = Path(path).stat()
    return f"{found.st_dev}/{found.st_ino}"


@contextlib.contextmanager
def translated() -> Any:
    """Turn a driver's errors into ours; broken constraints and faulty statements pass.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError):
        raise
    except (
        DBAPIError,
        PoolTimeout,
        sqlite3.Error,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # a statement met the end of its connection
        OSError,
        TimeoutError,
    ) as error:
        raise StoreUnavailable(_because(error)) from error


def _because(error: BaseException) -> str:
    """Return why, in words that hold nothing of what is kept."""
    if isinstance(error, DBAPIError):
        error = error.orig or error
        if not isinstance(error, sqlite3.Error):  # the driver's own stands behind the adapter's
            error = error.__cause__ or error
    if isinstance(error, _TELLING):
        return " ".join(str(error).split())
    words = (error.strerror or str(error)) if isinstance(error, OSError) else None
    return words or type(error).__name__
