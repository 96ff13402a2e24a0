"""Storage and clocks that go wrong when they are told to, and threads that are none."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiosqlite
from service.tests.support import fakes
from service.tests.support.databases import (
    ForgetfulDatabase,
)
from sqlalchemy import BigInteger, ColumnElement, literal

from keyturn_service.adapters.sql.database import file_identity
from keyturn_service.adapters.sql.leases import SqlRefreshLeases
from keyturn_service.adapters.sql.spool_keys import SqlSpoolKeys
from keyturn_service.adapters.sql.types import to_micros
from keyturn_service.ports import Clock, StoreUnavailable


class Inline(ThreadPoolExecutor):
    """What is handed to a thread is done at once: a story is the same each time."""

    def submit(self, call: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        """Do it, and return what is done."""
        done: Future[Any] = Future()
        try:
            done.set_result(call(*given, **named))
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            done.set_exception(error)
        return done


@contextlib.contextmanager
def at_once(patched: Any) -> Iterator[None]:
    """Ask SQLite in the loop's own thread: the driver hands each step to a thread and back."""

    async def connect(self: aiosqlite.Connection) -> aiosqlite.Connection:
        if self._connection is None:
            self._connection = self._connector()
        return self

    async def execute(
        self: aiosqlite.Connection, call: Callable[..., object], *given: object, **named: object
    ) -> object:
        if not self._running or not self._connection:
            raise ValueError("Connection closed")
        return call(*given, **named)

    patched.setattr(aiosqlite.Connection, "_connect", connect)
    patched.setattr(aiosqlite.Connection, "_execute", execute)
    yield


class FaultyDatabase(ForgetfulDatabase):
    """A database that is away for its replica, or whose n-th write from now on goes wrong."""

    away = False
    fails_before: int | None = None
    fails_after: int | None = None

    async def without_sync(self) -> None:
        """Leave it to the system when the disk gets it: enough for the death of a process."""
        self.see_file()
        async with self._writer.connect() as connection:
            await connection.exec_driver_sql("ROLLBACK")
            await connection.exec_driver_sql("PRAGMA synchronous=OFF")
            await connection.exec_driver_sql("BEGIN")

    async def accept(self, identity: str) -> None:
        """Go over to another database, whose disk is not waited for either."""
        await super().accept(identity)
        if self.is_sqlite:
            await self.without_sync()

    async def find_anew(self) -> None:
        """Be on the file that is there now, as a process that starts is."""
        found = file_identity(self.url.database or "")
        if self._identity not in {None, found}:
            await self.accept(found)

    @contextlib.asynccontextmanager
    async def read(self, *, patient: bool = False) -> AsyncIterator[Any]:
        """Give a connection to read by, where it is not away."""
        if self.away:
            raise StoreUnavailable("away")
        async with super().read(patient=patient) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def write(self, *, patient: bool = False) -> AsyncIterator[Any]:
        """Give a transaction, and fail on the side of its commit that was asked for."""
        if self.away:
            raise StoreUnavailable("away")
        async with super().write(patient=patient) as connection:
            yield connection
            if self._now("fails_before"):
                raise StoreUnavailable("before the commit")
        if self._now("fails_after"):
            raise StoreUnavailable("after the commit")

    @contextlib.asynccontextmanager
    async def carrying(self) -> AsyncIterator[None]:
        """Stand around a hot read."""
        if self.away:
            raise StoreUnavailable("away")
        async with super().carrying():
            yield

    def _now(self, which: str) -> bool:
        left: int | None = getattr(self, which)
        if left is None:
            return False
        setattr(self, which, None if left == 0 else left - 1)
        return left == 0

    def mend(self) -> None:
        """Have no fault any more."""
        self.away, self.fails_before, self.fails_after = False, None, None


@dataclass(frozen=True, slots=True)
class LeasesByWorldClock(SqlRefreshLeases):
    """Leases whose database has the world's clock; the statements are the product's."""

    def _now(self) -> ColumnElement[int]:
        return literal(round(self.clock.monotonic() * 1_000_000), BigInteger)


@dataclass(frozen=True, slots=True)
class SpoolKeysByWorldClock(SqlSpoolKeys):
    """What spools said, in a database that has the world's clock."""

    clock: Clock

    def _now(self) -> ColumnElement[int]:
        return literal(to_micros(self.clock.now()), BigInteger)


class SkewedClock:
    """A replica's clock: its time of day is off, its monotonic clock is not."""

    def __init__(self, clock: fakes.FakeClock, off: timedelta) -> None:
        self._clock = clock
        self._off = off

    def now(self) -> Any:
        """Return the time as this replica has it."""
        return self._clock.now() + self._off

    def monotonic(self) -> float:
        """Return seconds of the machine's own clock."""
        return self._clock.monotonic()
