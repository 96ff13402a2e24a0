"""A vendor's existing second-generation project gets the app, by the real `sf`, and nothing else.

Its package has a release without the app already, which a customer has installed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.vendor import Vendor
from tools.package_journey import Admin
from tools.vendor_machine import ALIAS, VendorMachine
from tools.world import World, running_world

from keyturn import Keyturn

FIXTURE = Path("builder/tests/fixtures/northstar")
ALIASES = ("0Ho5g0000000001CAA", "04t5g0000000001AAA")
OURS = ("force-app/keyturn/", "keyturn-build/", "keyturn.toml", "keyturn.versions.json")
ORG = "Northwind"

# A command of `sf` takes a second or two by itself, and two releases are two dozen of them.
pytestmark = [pytest.mark.timeout(480), pytest.mark.takes(85)]


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """The project's files before and after, and both releases."""

    before: dict[str, bytes]
    after: dict[str, bytes]
    package_id: str
    earlier: str
    released: dict[str, Any]


@pytest.fixture(scope="module")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world without app and package."""
    with running_world("--bare", log=tmp_path_factory.mktemp("existing") / "dev.log") as world:
        yield world


@pytest.fixture(scope="module")
def machine(bare_world: World, tmp_path_factory: pytest.TempPathFactory) -> VendorMachine:
    """The vendor's machine, with the project as the product's folder."""
    machine = VendorMachine(tmp_path_factory.mktemp("machine"), bare_world)
    machine.log_in()
    shutil.copytree(FIXTURE, machine.work, dirs_exist_ok=True)
    return machine


@pytest.fixture(scope="module")
def upgrade(machine: VendorMachine) -> Upgrade:
    """The vendor releases 2.3.0 as ever, then 2.4.0 by Keyturn."""
    ids = _released_as_ever(machine)
    file = machine.work / "sfdx-project.json"
    text = file.read_text()
    for written, real in zip(ALIASES, ids, strict=True):
        assert written in text
        text = text.replace(written, real)
    file.write_text(text)
    before = bytes_below(machine.work)
    machine.start_config(
        *("--return-origin", machine.world.line["acme"]["url"], "--egress", "127.0.0.1")
    )
    key = ("--api-key-file", str(machine.key_file), "--json")
    assert machine.keyturn("app", "apply", *key).result["created"]
    released = machine.keyturn("package", "release", *key).result
    return Upgrade(
        before=before,
        after=bytes_below(machine.work),
        package_id=ids[0],
        earlier=ids[1],
        released=released,
    )


def _released_as_ever(machine: VendorMachine) -> tuple[str, str]:
    """Make the package and release its content without Keyturn; return the ids of both."""
    project = machine.folder / "earlier"
    shutil.copytree(FIXTURE, project)
    file = project / "sfdx-project.json"
    said = json.loads(file.read_text())
    said["packageAliases"] = {}
    entry = next(one for one in said["packageDirectories"] if one["path"] == "force-app")
    del entry["ancestorVersion"]  # there is none before the first
    said["packageDirectories"] = [entry]
    file.write_text(json.dumps(said))
    hub = ("--target-dev-hub", ALIAS)
    made = machine.sf_said(
        *("package", "create", "--name", "Northstar", "--package-type", "Managed"),
        *("--path", "force-app", *hub),
        cwd=project,
    )
    said["packageAliases"] = {"Northstar": made["Id"]}
    file.write_text(json.dumps(said))  # over what `sf` made of the directory
    version = machine.sf_said(
        *("package", "version", "create", "--package", made["Id"], "--wait", "5"),
        *("--version-number", "2.3.0.NEXT", "--installation-key-bypass", "--code-coverage", *hub),
        cwd=project,
    )["SubscriberPackageVersionId"]
    promote = ("package", "version", "promote", "--package", version, "--no-prompt", *hub)
    machine.sf_said(*promote, cwd=project)
    return str(made["Id"]), str(version)


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_app_is_added_and_every_other_file_is_as_it_was(upgrade: Upgrade) -> None:
    """Byte by byte, after a whole release: the project file with its directories and ancestors."""
    kept = {name: content for name, content in upgrade.after.items() if name in upgrade.before}
    added = set(upgrade.after) - set(upgrade.before)
    assert kept == upgrade.before
    assert [name for name in added if not name.startswith(OURS)] == []
    assert "force-app/keyturn/externalClientApps/Acme_Connect.eca-meta.xml" in added


def test_the_release_is_a_successor_in_the_vendors_own_package(
    upgrade: Upgrade, machine: VendorMachine
) -> None:
    """By the project's alias and its next number; the ancestor is the release before it."""
    released = upgrade.released
    named = (released["package_id"][:15], released["version"], released["package_created"])
    assert named == (upgrade.package_id[:15], "2.4.0", False)
    listed = machine.sf_said("package", "version", "list", "--target-dev-hub", ALIAS)
    versions = {one["SubscriberPackageVersionId"]: one for one in listed}
    assert versions[released["id"]]["AncestorId"] == versions[upgrade.earlier]["Id"]


def test_a_customer_upgrades_and_has_both_what_was_there_and_the_app(
    upgrade: Upgrade, bare_world: World
) -> None:
    """Once the app is there, the customer connects; the vendor's own object is at work."""
    vendor = Vendor(bare_world)
    org = bare_world.org_named(ORG)
    link = f"{org['my_domain_url']}/packaging/installPackage.apexp?p0="
    with vendor.browser() as browser:
        admin = Admin(browser, org)
        for version in (upgrade.earlier, upgrade.released["id"]):
            admin.install_by(f"{link}{version}")
    made = vendor.connect("northwind", org)
    with Keyturn(bare_world.service_url, api_key=bare_world.api_key) as keyturn:
        customer = keyturn.connection(made["id"])
        plan = {"Name": "Basic", "acme__Price__c": 9, "acme__Seats__c": 5}
        path = "/services/data/v68.0/sobjects/acme__Plan__c"
        assert customer.request("POST", path, json=plan).status == 201
        plans = list(customer.pull.query("SELECT acme__Seats__c FROM acme__Plan__c"))
    assert [one["acme__Seats__c"] for one in plans] == [5]
    vendor.close()
