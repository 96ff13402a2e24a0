"""The use cases on a SQLite database in a temporary folder, and fakes of all else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from service.tests.support.databases import sqlite_base, sqlite_template
from service.tests.support.fakes import FakeClock
from service.tests.support.replicas import Kitchen, Replica, World, kitchen_over


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database, to be copied."""
    return sqlite_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
async def kitchen(template: Path, tmp_path: Path) -> AsyncIterator[Kitchen]:
    """Give a kitchen without a replica or connection yet."""
    clock = FakeClock()
    async with (
        sqlite_base(tmp_path, template=template, clock=clock) as base,
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
    """Return a replica with a connection in force at generation 1."""
    await bare.world.base.with_connection()
    return bare
