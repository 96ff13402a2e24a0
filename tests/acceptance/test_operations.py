"""What two replicas do by themselves for two months, and what an operator stops at once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from tests.support.evidence import read_evidence
from tests.support.postgres import running_postgres
from tests.support.server_to_server import Road
from tests.support.vendor import Vendor
from tools.world import BIN, World, running_world

_STEP = "P5D"  # a refresh is due after 24 of 30 idle days at the latest
_STEPS = 12

pytestmark = pytest.mark.takes(40)


@dataclass(frozen=True, kw_only=True)
class Operated:
    """A world of its own, whose clock is moved by months, and the settings of its service."""

    world: World
    settings: Mapping[str, str]

    def incident(self, *arguments: str) -> dict[str, Any]:
        """Run `keyturn incident` on the service's machine; return the envelope."""
        ended = subprocess.run(
            [BIN / "keyturn", "incident", *arguments, "--json"],
            env={**os.environ, **self.settings, "KEYTURN_DEV_WORLD": json.dumps(self._world())},
            capture_output=True,
            text=True,
            check=False,
        )
        said: dict[str, Any] = json.loads(ended.stdout)
        assert ended.returncode == said["status"], ended.stderr
        return said

    def _world(self) -> dict[str, Any]:
        """Return what has the command follow the world's clock, as the replicas do."""
        simulator = self.world.line["simulator"]
        hosts = {
            "production": simulator["login_url"],
            "sandbox": simulator["sandbox_login_url"],
        }
        return {
            "clock_url": simulator["control_url"],
            "loopback": [*hosts.values(), *(org["my_domain_url"] for org in simulator["orgs"])],
            "login_hosts": {self.world.service_url: hosts},
            "mark": simulator["canary"],
        }


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


def test_an_incident_of_one_app_ends_its_grants_and_its_customers_come_back(
    operated: Operated, vendor: Vendor, tmp_path: Path
) -> None:
    """The rest goes on; what Salesforce cannot end for us is named with its place in Setup."""
    app_id = _second_app(vendor)
    road = Road(vendor, app_id)
    active = vendor.connect("acme-eu", vendor.org("Northwind"), app_id=app_id)["id"]
    lost = vendor.connect("uat-eu", vendor.org("Northwind UAT"), app_id=app_id)["id"]
    vendor.fault("lost_answer", match={"grant_type": "refresh_token"})
    assert vendor.token(lost, rejected_generation=1).json()["code"] == "connection_uncertain"
    by_key = _server_to_server(road)
    bystander = operated.world.line["connections"][0]["id"]
    since = vendor.next_entry()

    opened = operated.incident("open", "--app", app_id, "--reason", "a secret in a forum")["result"]
    vendor.until(lambda: operated.incident("status")["result"]["incidents"][0]["done"])

    told = operated.incident("status")["result"]
    assert (opened["new"], opened["data_keys_rotated"]) == (True, 1)
    assert told["incidents"][0]["id"] == opened["id"]
    assert told["incidents"][0]["grants"] == {"waiting": 0, "failed": 0, "revoked": 1, "admin": 2}
    assert told["sealed"] is False
    assert vendor.token(bystander).status_code == 200
    refused = vendor.token(active).json()
    assert (refused["code"], refused["reason"]) == (
        "reauthorization_required",
        "revoked_in_incident",
    )
    asked = vendor.journal(path="/services/oauth2/revoke", since=since)
    assert sorted(entry["status"] for entry in asked) == [200, 200, 200, 400]
    assert len({entry["token_ref"] for entry in asked}) == len(asked), "none twice"

    operated.incident("report", "--out", str(tmp_path / "e"), "--return-url", vendor.return_url)
    found = read_evidence(tmp_path / "e")
    become = {name: (one["outcome"], one["because"]) for name, one in found.connections.items()}
    assert become == {
        active: ("revoked", "refresh_token"),
        lost: ("admin", "outcome_unknown"),
        by_key: ("admin", "pre_authorized"),
    }
    assert found.connections[lost]["access_token_ended"]
    assert "Connected Apps OAuth Usage" in found.connections[lost]["admin"]["where"]
    assert "Policies" in found.connections[by_key]["admin"]["where"]
    assert set(found.links) == {active, lost}
    assert _follow(vendor, found.links[active], vendor.org("Northwind")) == active
    assert vendor.token(active).status_code == 200
    assert road.verify(by_key)["works"]
    assert vendor.token(by_key).status_code == 200
    road.leave()


def _second_app(vendor: Vendor) -> str:
    """Register another app, with the world's own consumer credentials; return its id."""
    [first] = vendor.api.get("/v1/apps").json()["data"]
    names = ("namespace", "callback_urls", "return_origins", "scopes", "login_hosts")
    made = vendor.api.post("/v1/apps", json={"name": "EU", **{n: first[n] for n in names}})
    app_id = str(made.raise_for_status().json()["id"])
    app = vendor.world.line["simulator"]["apps"][0]
    given = {name: app[name] for name in ("consumer_key", "consumer_secret")}
    vendor.api.put(f"/v1/apps/{app_id}/consumer-credentials", json=given).raise_for_status()
    return app_id


def _server_to_server(road: Road) -> str:
    """Connect an org by assertion; return the connection's id."""
    org = road.vendor.org("Oakhollow")
    user_id = road.user(org, "integration")
    road.setup(road.policies(org), {"pre_authorized": [user_id]}, pre_authorized=[user_id])
    road.put_certificate(road.signing_key())
    return str(road.connect(org).raise_for_status().json()["id"])


def _follow(vendor: Vendor, link: Mapping[str, Any], org: Mapping[str, Any]) -> str:
    """Grant access again by a link; return the connection's id."""
    with vendor.browser() as browser:
        vendor.to_login(browser, link, org["environment"])
        vendor.log_in(browser, org)
        code = vendor.consent(browser)
        [session_id] = parse_qs(urlsplit(browser.stopped_at or "").query)["connect_session"]
    return str(vendor.confirm(session_id, code)["id"])


def test_kept_alive_it_lives_and_let_go_it_dies(vendor: Vendor) -> None:
    """The org's own idle limit decides: what was let go is refused there, and nothing was done."""
    kept = vendor.connect("larkfield", vendor.org("Larkfield"))
    gone = vendor.connect("brightwater", vendor.org("Brightwater"))
    vendor.api.patch(f"/v1/connections/{gone['id']}", json={"keep_alive": False}).raise_for_status()
    begun = vendor.next_entry()

    neighbour = vendor.world.line["connections"][0]["id"]  # other tests need it alive
    for _ in range(_STEPS):
        vendor.advance(_STEP)
        vendor.until(partial(_is_kept, vendor, kept["id"]))
        vendor.until(partial(_is_kept, vendor, neighbour))

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
    assert "connection.dies_soon" not in vendor.events(gone["id"]), "its owner wants it to end"
    refused = vendor.token(gone["id"])
    assert refused.status_code == 409, refused.text
    assert vendor.connection(gone["id"])["state"] == "reauthorization_required"


def _is_kept(vendor: Vendor, connection_id: str) -> bool:
    now = datetime.fromisoformat(vendor.control.get("/clock").json()["now"])
    found = vendor.connection(connection_id)
    refreshed = found["last_refreshed_at"] or found["created_at"]
    return now - datetime.fromisoformat(refreshed) < timedelta(days=24)
