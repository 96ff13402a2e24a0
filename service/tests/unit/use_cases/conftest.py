"""The use cases on a SQLite database in a temporary folder, and fakes of all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiosqlite
import pytest
from service.tests.support.databases import Base, sqlite_base, sqlite_template
from service.tests.support.fakes import FakeClock
from service.tests.support.older_rows import Copy
from service.tests.support.replicas import Kitchen, Replica, World, furnish, kitchen_over


@pytest.fixture(scope="session", autouse=True)
def at_once() -> Iterator[None]:
    """Ask SQLite in the loop's own thread, which saves these tests much of their time.

    The driver hands each step to a thread and back. The conformance tests, on both databases,
    and everything above them run with that.
    """

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

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(aiosqlite.Connection, "_connect", connect)
        patched.setattr(aiosqlite.Connection, "_execute", execute)
        yield


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with an app that has its consumer credentials, to be copied."""
    folder = tmp_path_factory.mktemp("furnished")
    return _kept(folder, sqlite_template(folder), furnish)


@pytest.fixture(scope="session")
def connected(tmp_path_factory: pytest.TempPathFactory, furnished: Path) -> Path:
    """Return a furnished database with a connection in force at generation 1, to be copied."""
    return _kept(tmp_path_factory.mktemp("connected"), furnished, Base.with_connection)


def _kept(folder: Path, template: Path, change: Callable[[Base], Awaitable[None]]) -> Path:
    """Change a copy of a database once for all tests: most of a test's time went there."""

    async def changed() -> Path:
        async with sqlite_base(folder, template=template) as base:
            await change(base)
        return folder / "keyturn.db"

    return asyncio.run(changed())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where each test's database lies, one after the other."""
    return tmp_path_factory.mktemp("database")


@pytest.fixture
async def kitchen(
    request: pytest.FixtureRequest, furnished: Path, connected: Path, folder: Path
) -> AsyncIterator[Kitchen]:
    """Give a kitchen without a replica, and with a connection where a test asks for `replica`."""
    template = connected if "replica" in request.fixturenames else furnished
    clock = FakeClock()
    async with (
        sqlite_base(folder, template=template, clock=clock) as base,
        kitchen_over(base, clock) as kitchen,
    ):
        yield kitchen


@pytest.fixture
def world(kitchen: Kitchen) -> World:
    """Return what the replicas share."""
    return kitchen.world


@pytest.fixture
async def bare(kitchen: Kitchen) -> Replica:
    """Return a replica that has no connection yet."""
    return await kitchen.replica(stores=kitchen.world.base.stores)


@pytest.fixture
async def replica(bare: Replica) -> Replica:
    """Return a replica with a connection in force at generation 1: see `kitchen`."""
    return bare


@pytest.fixture
async def backup(replica: Replica, world: World) -> Copy:
    """Return a backup of generation 1, before anything was presented."""
    del replica
    taken = Copy(world)
    await taken.take()
    return taken
