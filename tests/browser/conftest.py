"""One world and one Chromium for all tests here; each test has browser windows of its own."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Playwright
from tests.support.browser import Person, person_at, playing, running_chromium
from tests.support.vendor import RETURN_PATH, Vendor
from tools.walker import Walker
from tools.world import World, running_world


class NamedVendor(Vendor):
    """The vendor under the true-looking names, so that its links lead there."""

    def __post_init__(self) -> None:
        """Open the API's client by the CONNECT proxy."""
        super().__post_init__()
        self.api.close()
        tls = self.world.line["tls"]
        self.api = httpx2.Client(
            base_url=tls["names"]["service"],
            headers={"Authorization": f"Bearer {self.world.api_key}"},
            proxy=tls["connect_proxy_url"],
            verify=ssl.create_default_context(cafile=tls["ca_file"]),
            trust_env=False,
            timeout=60,
        )

    def browser(self) -> Walker:
        """Open a browser without script that knows the names."""
        tls = self.world.line["tls"]
        trusted = ssl.create_default_context(cafile=tls["ca_file"])
        proxy = tls["connect_proxy_url"]
        return Walker(httpx2.Client(proxy=proxy, verify=trusted, trust_env=False, timeout=60))

    @property
    def return_url(self) -> str:
        """Acme's page, by its name."""
        return f"{self.world.line['tls']['names']['acme']}{RETURN_PATH}"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world on SQLite."""
    with running_world(log=tmp_path_factory.mktemp("world") / "dev.log") as world:
        yield world


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the browser's user."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What drives the browser."""
    with playing() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def chromium(playwright: Playwright, world: World, home: Path) -> Iterator[Browser]:
    """A Chromium; where there is none, every test here fails and says so."""
    with running_chromium(playwright, world, home) as browser:
        yield browser


@pytest.fixture
def open_browser(chromium: Browser, world: World) -> Iterator[Callable[..., Person]]:
    """Open browser windows; they are closed, and asked for complaints, after the test."""
    with ExitStack() as opened:

        def open_one(**how: Any) -> Person:
            return opened.enter_context(person_at(chromium, world, **how))

        yield open_one


@pytest.fixture
def person(open_browser: Callable[..., Person]) -> Person:
    """Somebody with a wide window."""
    return open_browser()


@pytest.fixture
def vendor(world: World) -> Iterator[Vendor]:
    """The vendor; what a test connected is let go afterwards."""
    kept = {connection["id"] for connection in world.line["connections"]}
    vendor = NamedVendor(world)
    yield vendor
    vendor.calm()
    for connection in vendor.api.get("/v1/connections?limit=100").json()["data"]:
        if connection["id"] not in kept and connection["state"] not in {"revoked", "pending"}:
            vendor.api.delete(f"/v1/connections/{connection['id']}").raise_for_status()
            vendor.until(partial(_is_revoked, vendor, connection["id"]))
    vendor.close()


def _is_revoked(vendor: Vendor, connection_id: str) -> bool:
    return bool(vendor.connection(connection_id)["state"] == "revoked")
