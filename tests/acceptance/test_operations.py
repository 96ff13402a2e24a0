"""What two replicas do by themselves for two months, and what an operator stops at once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import pytest
from tests.support.postgres import running_postgres
from tests.support.vendor import Vendor
from tools.world import BIN, World, running_world

_STEP = "P5D"  # a refresh is due after 24 of 30 idle days at the latest
_STEPS = 12


@dataclass(frozen=True, kw_only=True)
class Operated:
    """A world of its own, whose clock is moved by months, and the settings of its service."""

    world: World
    settings: Mapping[str, str]

    def incident(self, *arguments: str) -> dict[str, Any]:
        """Run `keyturn incident` on the service's machine; return the envelope."""
        ended = subprocess.run(
            [BIN / "keyturn", "incident", *arguments, "--json"],
            env={**os.environ, **self.settings},
            capture_output=True,
            text=True,
            check=False,
        )
        said: dict[str, Any] = json.loads(ended.stdout)
        assert ended.returncode == said["status"], ended.stderr
        return said


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """Two replicas on PostgreSQL."""
    folder = tmp_path_factory.mktemp("operated")
    with running_postgres() as server:
        environment = {"KEYTURN_DATABASE_URL": server.create_database()}
        with running_world(
            *("--replicas", "2", "--data", str(folder / "data")),
            log=folder / "dev.log",
            environment=environment,
        ) as world:
            settings = {
                **environment,
                "KEYTURN_PUBLIC_URLS": world.service_url,
                "KEYTURN_DATA_DIR": str(folder / "data" / "service"),
            }
            yield Operated(world=world, settings=settings)


@pytest.fixture
def world(operated: Operated) -> World:
    """The world itself, for the vendor."""
    return operated.world


def test_the_seal_stops_every_replica_from_its_next_request_on(
    operated: Operated, vendor: Vendor
) -> None:
    """Reads and proxied calls, what was hot in memory too; and all goes on when it is off."""
    connection = vendor.connect("northwind", vendor.org("Northwind UAT"))
    path = f"/v1/connections/{connection['id']}"
    urls = operated.world.line["service_urls"]

    def answers() -> list[httpx2.Response]:
        asked = [vendor.api.post(f"{url}{path}/access-token") for url in urls]
        query = "/services/data/v68.0/limits"
        return asked + [vendor.api.get(f"{url}{path}/salesforce{query}") for url in urls]

    assert operated.incident("status")["result"]["sealed"] is False
    for _ in range(2):
        assert {answer.status_code for answer in answers()} == {200}
    since = vendor.next_entry()

    assert operated.incident("seal", "--reason", "a stolen laptop")["status"] == 0
    refused = answers()

    assert {answer.status_code for answer in refused} == {503}
    assert {answer.json()["code"] for answer in refused} == {"sealed"}
    assert {answer.headers["retry-after"] for answer in refused} == {"60"}
    assert vendor.journal(org_id=connection["org_id"], since=since) == []
    told = operated.incident("status")["result"]
    assert (told["sealed"], told["reason"]) == (True, "a stolen laptop")

    assert operated.incident("unseal")["status"] == 0
    assert {answer.status_code for answer in answers()} == {200}


def test_kept_alive_it_lives_and_let_go_it_dies(vendor: Vendor) -> None:
    """The org's own idle limit decides: what was let go is refused there, and was announced."""
    kept = vendor.connect("larkfield", vendor.org("Larkfield"))
    gone = vendor.connect("brightwater", vendor.org("Brightwater"))
    vendor.api.patch(f"/v1/connections/{gone['id']}", json={"keep_alive": False}).raise_for_status()
    begun = vendor.next_entry()

    for _ in range(_STEPS):
        vendor.advance(_STEP)
        vendor.until(partial(_is_kept, vendor, kept["id"]))

    refreshes = vendor.events(kept["id"]).count("token.stored")
    assert 2 <= refreshes <= 6
    presented = [
        entry["token_ref"]
        for entry in vendor.journal(grant_type="refresh_token", since=begun)
        if entry["org_id"] == kept["org_id"]
    ]
    assert refreshes == len(presented) == len(set(presented)), "each token once"
    assert vendor.connection(kept["id"])["state"] == "active"
    assert vendor.token(kept["id"]).status_code == 200
    assert vendor.events(gone["id"]).count("token.presented") == 0
    assert "connection.dies_soon" in vendor.events(gone["id"])
    refused = vendor.token(gone["id"])
    assert refused.status_code == 409, refused.text
    assert vendor.connection(gone["id"])["state"] == "reauthorization_required"


def _is_kept(vendor: Vendor, connection_id: str) -> bool:
    now = datetime.fromisoformat(vendor.control.get("/clock").json()["now"])
    refreshed = vendor.connection(connection_id)["last_refreshed_at"]
    return now - datetime.fromisoformat(refreshed) < timedelta(days=24)
