"""Nobody asks anything of a customer's org for two months, and the connection is there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest
from tests.support.postgres import running_postgres
from tests.support.vendor import Vendor
from tools.world import World, running_world

_STEP = "P5D"  # a refresh is due after 24 of 30 idle days at the latest
_STEPS = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of its own, whose clock is moved by months, with two replicas."""
    log = tmp_path_factory.mktemp("idle") / "dev.log"
    with running_postgres() as server:
        environment = {"KEYTURN_DATABASE_URL": server.create_database()}
        with running_world("--replicas", "2", log=log, environment=environment) as world:
            yield world


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
