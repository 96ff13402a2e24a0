"""Server to server from `keyturn.toml` on; what the customer's admin does is done in Chromium."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Playwright
from tests.browser.admin import log_in, tick, to_setup
from tests.browser.hands import Mouse
from tests.browser.looks import faults_of
from tests.support.browser import Person, person_at, running_chromium
from tools.package_journey import PACKAGED_SET, PackageJourney, user_of
from tools.vendor_machine import VendorMachine
from tools.world import BIN, World, running_world

from keyturn import Keyturn

ORG = "Oakhollow"

# App and package are made by the real `sf`: two dozen commands of a second or two.
pytestmark = [pytest.mark.timeout(480), pytest.mark.takes(90)]


@pytest.fixture(scope="module")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world without app, package and connection."""
    with running_world("--bare", log=tmp_path_factory.mktemp("bare") / "dev.log") as world:
        yield world


@pytest.fixture(scope="module")
def released(bare_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The vendor's half: app and package made from the one file; the version's id."""
    machine = VendorMachine(tmp_path_factory.mktemp("machine"), bare_world)
    journey = PackageJourney(bare_world, machine)
    for _, step in journey.vendors_steps():
        step()
    yield journey.version_id
    journey.close()


@pytest.fixture
def admin(playwright: Playwright, bare_world: World, tmp_path: Path) -> Iterator[Person]:
    """The org's admin, with a browser of their own."""
    with (
        running_chromium(playwright, bare_world, tmp_path) as browser,
        person_at(browser, bare_world) as person,
    ):
        yield person


class Command:
    """`keyturn connection`, as the vendor types it; returns exit status and what it said."""

    def __init__(self, world: World, folder: Path) -> None:
        self.key = folder / "key.txt"
        self.key.write_text(world.api_key)
        self.url = world.service_url

    def __call__(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run it."""
        where = ("--json", "--url", self.url, "--api-key-file", str(self.key))
        done = subprocess.run(
            [BIN / "keyturn", "connection", *arguments, *where],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        said: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, said


def test_an_admin_lets_the_integration_user_in_where_the_command_says(
    released: str, admin: Person, bare_world: World, tmp_path: Path
) -> None:
    """Each step that is missing is named; the admin goes there and clicks; Contacts are pulled."""
    org, hands = bare_world.org_named(ORG), Mouse(admin)
    command = Command(bare_world, tmp_path)
    username = user_of(org, "integration")["username"]
    named = ("--customer", "oakhollow", "--username", username)

    def missing(*arguments: str) -> tuple[str, str]:
        status, said = command(*arguments)
        problem = said["problem"]
        assert (status, problem["who"]) == (3, "admin"), said
        return problem["code"], problem["where"]

    create = ("create", *named, "--my-domain", org["my_domain_url"])
    code, place = missing(*create)
    assert code == "user_not_preauthorized"
    assert "the package's install link" in place

    admin.open(f"https://login.salesforce.com/packaging/installPackage.apexp?p0={released}")
    log_in(hands, org)
    hands.choose("install_for", "all")
    hands.press("install")
    assert admin.has("done")
    code, place = missing(*create)
    assert code == "user_not_preauthorized"
    assert "External Client App Manager > (the app) > Policies" in place
    assert "Admin approved users are pre-authorized" in place

    to_setup(admin, hands, org)
    assert admin.text("#to-apps") == "External Client App Manager"
    hands.press("to-apps")
    hands.press("app-acme_connect")
    hands.choose("permitted_users", "pre_authorized")
    tick(admin, hands, f"through-{PACKAGED_SET.lower()}")
    hands.press("save")
    assert faults_of(admin, "setup-built-app") == []
    code, place = missing(*create)
    assert code == "user_not_authorized"
    assert "Permission Set Assignments" in place

    _assign(admin, org)
    status, made = command(*create)
    assert (status, made["result"]["state"]) == (0, "active"), made
    connection_id = made["result"]["id"]
    status, said = command("verify", connection_id)
    assert (status, said["result"]["works"]) == (0, True)
    with Keyturn(bare_world.service_url, api_key=bare_world.api_key) as keyturn:
        pulled = keyturn.connection(connection_id).pull.query("SELECT Id, Email FROM Contact")
        assert len(list(pulled)) > 10

    _assign(admin, org)  # takes the tick away again
    code, place = missing("verify", connection_id)
    assert code == "user_not_authorized"
    assert "App Policies" in place
    _assign(admin, org)
    assert command("verify", connection_id)[0] == 0


def _assign(admin: Person, org: dict[str, Any]) -> None:
    """Change whether the integration user has the package's permission set."""
    hands = Mouse(admin)
    to_setup(admin, hands, org)
    hands.press("to-sets")
    hands.press(f"set-{PACKAGED_SET.lower()}")
    tick(admin, hands, "user-integration")
    hands.press("save")
    assert "saved" in admin.text("#said")
