"""Worlds for acceptance tests: one on SQLite, one on PostgreSQL, each started once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.postgres import running_postgres
from tests.support.server_to_server import Road
from tests.support.vendor import Vendor
from tools.world import World, running_world


@pytest.fixture(scope="session")
def sqlite_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world on SQLite."""
    with running_world(log=tmp_path_factory.mktemp("sqlite") / "dev.log") as world:
        yield world


@pytest.fixture(scope="session")
def postgres_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of two replicas on PostgreSQL."""
    log = tmp_path_factory.mktemp("postgres") / "dev.log"
    with running_postgres() as server:
        environment = {"KEYTURN_DATABASE_URL": server.create_database()}
        with running_world("--replicas", "2", log=log, environment=environment) as world:
            yield world


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> World:
    """A world on each database."""
    name = "sqlite_world" if request.param == "sqlite" else "postgres_world"
    found: World = request.getfixturevalue(name)
    return found


@pytest.fixture
def vendor(world: World) -> Iterator[Vendor]:
    """The vendor, in a world that is calm again afterwards."""
    vendor = Vendor(world)
    yield vendor
    vendor.calm()
    vendor.close()


@pytest.fixture
def kept_folder(tmp_path: Path) -> Path:
    """A folder for `keyturn dev --data`."""
    return tmp_path / "world"


@pytest.fixture
def road(vendor: Vendor) -> Iterator[Road]:
    """The vendor, whose app has no signing key yet."""
    road = Road(vendor, str(vendor.world.line["app_id"]))
    yield road
    road.leave()


@pytest.fixture
def signing(road: Road) -> Road:
    """The vendor, whose app has a signing key and its certificate at Salesforce."""
    road.put_certificate(road.signing_key())
    return road


@pytest.fixture
def oakhollow(road: Road) -> Mapping[str, Any]:
    """The org whose admin has to pre-authorize users."""
    return road.vendor.org("Oakhollow")
