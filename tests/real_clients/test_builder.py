"""What the builder asks of Salesforce's own `sf`, and what `sf` makes of what it writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sf import Sf
from tests.support.vendor_machine import ADDRESSES, Machine
from tools.world import World, running_world

from keyturn_builder.bond import Bond
from keyturn_builder.building import build_package
from keyturn_builder.config_file import parse_config
from keyturn_builder.metadata.xml import read_document

PROJECT = Path("builder/tests/fixtures/northstar")
CONFIG = """\
[app]
name = "Acme_Connect"
label = "Acme Connect"
contact = "help@acme.example"
callback_urls = ["https://connect.acme.example/oauth/callback"]

[package]
name = "Northstar"
namespace = "acme"
{source}

[dev_hub]
alias = "acme-hub"
"""
BOND = Bond(
    org_scoped_external_app="00D5g00000AcmeX:Acme_Connect",
    oauth_link="00D5g00000AcmeX:8885g00000AcmeY",
)
MEMBERS = {
    "ExternalClientApplication": ["Acme_Connect"],
    "ExtlClntAppOauthSettings": ["Acme_Connect_oauth"],
}


# A command of `sf` takes a second or two by itself, and a release is a dozen of them.
pytestmark = [pytest.mark.timeout(480), pytest.mark.takes(40)]


@pytest.fixture(scope="module")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which apps are made."""
    with running_world(log=tmp_path_factory.mktemp("builder") / "dev.log") as world:
        yield world


@pytest.fixture(scope="module")
def machine(own_world: World, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The vendor's machine, logged in, with a `keyturn.toml`."""
    folder = tmp_path_factory.mktemp("machine")
    machine = Machine(folder, own_world)
    machine.log_in()
    machine.start_config(*ADDRESSES)
    return machine


@pytest.mark.parametrize("own_project", [True, False], ids=["own project", "started"])
def test_sf_finds_every_file_of_the_package(tmp_path: Path, *, own_project: bool) -> None:
    """By its name, as what it is; nothing is left out and nothing of the builder's is added."""
    source = 'source = "force-app"' if own_project else ""
    if own_project:
        shutil.copytree(PROJECT, tmp_path / "product")
    root = tmp_path / "product" if own_project else tmp_path / "product/salesforce"
    (tmp_path / "product").mkdir(exist_ok=True)
    config = parse_config(CONFIG.format(source=source), file="keyturn.toml")
    build_package(config, tmp_path / "product", BOND)
    (root / "unpackaged").mkdir(exist_ok=True)

    Sf(tmp_path / "home").run(
        *("project", "convert", "source", "--root-dir", "force-app"),
        *("--output-dir", str(tmp_path / "converted")),
        cwd=root,
    )

    manifest = read_document((tmp_path / "converted/package.xml").read_text())
    found = {
        str(one.said("name")): [member.text for member in one.all("members")]
        for one in manifest.all("types")
    }
    assert {name: found[name] for name in MEMBERS} == MEMBERS
    assert "Acme_Connect_Package" in found["PermissionSet"]
    assert not [path for path in (tmp_path / "converted").rglob("*") if path.name == ".gitignore"]
    own = {"CustomObject": ["Plan__c"]} if own_project else {"Flow": ["Renewal_Alert"]}
    assert {name: found[name] for name in own} == own


def test_the_dev_hub_of_sf_is_taken_without_being_asked(machine: Machine) -> None:
    """`config init` finds it in `sf`'s own settings."""
    assert 'alias = "acme-hub"' in (machine.work / "keyturn.toml").read_text()


def test_a_plan_reads_the_org_and_changes_nothing(machine: Machine) -> None:
    """Field by field; the vendor's own home is as it was, and the private one is gone."""
    plan = machine.keyturn("app", "plan", "--json").result
    assert plan["org_id"] == machine.hub["org_id"]
    assert {one["element"] for one in plan["changes"]} >= {"isPkceRequired", "callbackUrl"}
    assert all(one["now"] is None for one in plan["changes"])
    assert plan["steps"][0]["name"] == "find the Dev Hub org acme-hub"
    assert list(machine.temporary.iterdir()) == []


def test_an_unknown_alias_says_how_to_log_in(machine: Machine) -> None:
    """With `sf`'s own words kept."""
    text = (machine.work / "keyturn.toml").read_text()
    other = machine.work / "other.toml"
    other.write_text(text.replace('alias = "acme-hub"', 'alias = "nobody"'))

    ended = machine.keyturn("app", "plan", "--config", "other.toml", "--json")

    problem = ended.said["problem"]
    assert ended.status == 1
    assert problem["code"] == "dev_hub_unknown"
    assert "No authorization information found for nobody" in problem["detail"]
    assert "sf org login web" in problem["where"]
