"""A world for programs that we did not write, and the two roads they take into an org."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest
from tests.support.vendor import Vendor
from tools.world import World, running_world


@dataclass(frozen=True)
class Road:
    """Where a client is pointed to, and the session ID that it takes."""

    instance_url: str
    session_id: str


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world on SQLite."""
    with running_world(log=tmp_path_factory.mktemp("clients") / "dev.log") as world:
        yield world


@pytest.fixture(scope="session")
def vendor(world: World) -> Iterator[Vendor]:
    """The vendor."""
    vendor = Vendor(world)
    yield vendor
    vendor.close()


@pytest.fixture(scope="session")
def org_road(vendor: Vendor) -> Road:
    """Straight to the org under its true-looking name, by the CONNECT proxy."""
    connection = vendor.world.line["connections"][0]
    org = vendor.world.org(connection["org_id"])
    token = vendor.token(connection["id"]).json()
    return Road(f"https://{org['my_domain']}.my.salesforce.com", token["access_token"])


@pytest.fixture(scope="session")
def service_road(vendor: Vendor) -> Road:
    """Through the service with a proxy session, under the service's name."""
    line = vendor.world.line
    connection = line["connections"][0]["id"]
    with httpx2.Client(
        proxy=line["tls"]["connect_proxy_url"],
        verify=ssl.create_default_context(cafile=line["tls"]["ca_file"]),
        headers={"Authorization": f"Bearer {vendor.world.api_key}"},
        trust_env=False,
    ) as http:
        made = http.post(
            f"{line['tls']['names']['service']}/v1/connections/{connection}/proxy-sessions"
        )
    made.raise_for_status()
    session = made.json()
    assert session["instance_url"].startswith(line["tls"]["names"]["service"])
    return Road(session["instance_url"], session["session_id"])


@pytest.fixture(params=["org", "service"])
def road(request: pytest.FixtureRequest) -> Road:
    """Both roads, one after the other."""
    found: Road = request.getfixturevalue(f"{request.param}_road")
    return found
