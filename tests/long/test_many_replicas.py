"""Eight replicas, a thousand readers at each, and one access token that has ended."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.postgres import running_postgres
from tests.support.vendor import Vendor
from tools.world import World, running_world

REPLICAS = 8
READERS = 1000
_OPEN_FILES = 4096
_REFRESH = {"path": "/services/oauth2/token", "grant_type": "refresh_token"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of eight replicas on PostgreSQL, which may hold a connection for each reader."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _OPEN_FILES)), hard))
    log = tmp_path_factory.mktemp("many") / "dev.log"
    with running_postgres() as server:
        environment = {"KEYTURN_DATABASE_URL": server.create_database()}
        with running_world("--replicas", str(REPLICAS), log=log, environment=environment) as world:
            yield world


@pytest.fixture
def vendor(world: World) -> Iterator[Vendor]:
    """The vendor's backend."""
    vendor = Vendor(world)
    yield vendor
    vendor.close()


def test_a_thousand_readers_at_each_of_eight_replicas_make_one_token_request(
    vendor: Vendor,
) -> None:
    """The org takes its time, so that they all come while the one request is under way."""
    connection = vendor.world.line["connections"][0]["id"]
    before = vendor.token(connection).json()["generation"]
    vendor.advance("PT3H")
    since = vendor.next_entry()
    vendor.fault("slow", match=_REFRESH, options={"delay": "PT8S"})

    def readers_at(url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        asked = {
            "host": parts.hostname,
            "port": parts.port,
            "path": f"/v1/connections/{connection}/access-token",
            "api_key": vendor.world.api_key,
            "readers": READERS,
        }
        ended = subprocess.run(
            [sys.executable, "-m", "tests.long.readers"],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        said: dict[str, Any] = json.loads(ended.stdout)
        return said

    urls = vendor.world.line["service_urls"]
    assert len(urls) == REPLICAS
    with ThreadPoolExecutor(REPLICAS) as pool:
        told = list(pool.map(readers_at, urls))

    assert [one["statuses"] for one in told] == [{"200": READERS}] * REPLICAS
    assert [one["generations"] for one in told] == [{str(before + 1): READERS}] * REPLICAS
    refreshes = vendor.journal(grant_type="refresh_token", since=since)
    assert [entry["status"] for entry in refreshes] == [200]
