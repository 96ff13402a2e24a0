"""Each port's tests, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from service.tests.support.databases import (
    Base,
    migrated,
    postgres_base,
    sqlite_base,
    sqlite_template,
)
from tests.support.postgres import Server, running_postgres


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite database, to be copied."""
    return sqlite_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Give a PostgreSQL server, one for all tests of this process."""
    with running_postgres() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_url(server: Server) -> str:
    """Return the URL of a migrated database on the server."""
    url = server.create_database()
    migrated(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
async def base(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Base]:
    """Give an empty database of each kind, with two workspaces and an app."""
    if request.param == "sqlite":
        template = request.getfixturevalue("template")
        opening = sqlite_base(tmp_path, template=template)
    else:
        url = request.getfixturevalue("migrated_url")
        opening = postgres_base(url, request.getfixturevalue("server").execute)
    async with opening as base:
        await base.with_workspace()
        yield base
