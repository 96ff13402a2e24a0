"""From `keyturn.toml` to both kinds of connection, by Salesforce's own `sf`; as `make demo` walks.

The world begins without the vendor's app: what is used in the orgs is what the installs brought.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.support.vendor import Vendor
from tools.journey import Step
from tools.package_journey import PACKAGED_SET, PERSON, SERVER, PackageJourney
from tools.vendor_machine import VendorMachine
from tools.world import World, running_world

from keyturn import Conflict, Connection

THIRD = "Larkfield"

# A command of `sf` takes a second or two by itself, and the walk has two dozen of them.
pytestmark = [pytest.mark.timeout(480), pytest.mark.takes(85)]


@dataclass(frozen=True, kw_only=True)
class Walked:
    """A walk that came to its end, whose world still runs."""

    journey: PackageJourney
    machine: VendorMachine
    steps: list[Step]


@pytest.fixture(scope="module")
def bare_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world without app, package and connection."""
    log = tmp_path_factory.mktemp("journey") / "dev.log"
    with running_world("--bare", log=log) as world:
        yield world


@pytest.fixture(scope="module")
def walked(bare_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """The whole walk."""
    machine = VendorMachine(tmp_path_factory.mktemp("machine"), bare_world)
    journey = PackageJourney(bare_world, machine)
    yield Walked(journey=journey, machine=machine, steps=list(journey.steps()))
    journey.close()


@pytest.fixture
def vendor(bare_world: World) -> Iterator[Vendor]:
    """The vendor."""
    vendor = Vendor(bare_world)
    yield vendor
    vendor.close()


def test_a_bare_world_has_no_app_package_or_connection(bare_world: World) -> None:
    """So that nothing of the walk can be of before."""
    line = bare_world.line
    assert (line["app_id"], line["connections"]) == (None, [])
    assert [org["name"] for org in bare_world.orgs() if org["package_installed"]] == []


def test_from_the_one_file_to_both_kinds_of_connection(walked: Walked) -> None:
    """Every step holds; its own words say which one did not."""
    assert [(step.step, step.detail) for step in walked.steps if not step.ok] == []
    assert len(walked.steps) == len(walked.journey.named_steps())
    last = walked.steps[-1].detail
    assert f"{PERSON} by refresh_token" in last
    assert f"{SERVER} by jwt_bearer" in last


def test_the_private_key_and_the_secret_stay_where_they_belong(
    walked: Walked, vendor: Vendor
) -> None:
    """One key pair, made by the service; neither secret nor mark is in a file that is left."""
    [key] = vendor.api.get(f"/v1/apps/{walked.journey.app_id}/signing-keys").json()["data"]
    made = next(app for app in vendor.control.get("/apps").json() if app["name"] == "Acme_Connect")
    assert (key["state"], key["usable"]) == ("active", True)
    assert walked.machine.files_with(made["consumer_secret"]) == []
    assert walked.machine.files_with(vendor.world.canary) == []


def test_each_step_of_the_admin_that_is_missing_is_told(walked: Walked, vendor: Vendor) -> None:
    """The package, the policy, the permission set's holder: whose it is, and where in Setup."""
    journey = walked.journey

    def refusal() -> tuple[str, str, str]:
        with pytest.raises(Conflict) as refused:
            journey.ask(THIRD)
        problem = refused.value.problem
        return problem.code, problem.who, problem.where

    code, who, where = refusal()
    assert (code, who) == ("user_not_preauthorized", "admin")
    assert "install link" in where
    session = vendor.begin("larkfield", app_id=journey.app_id)
    with journey.admin_of(THIRD) as admin:
        admin.install(session["url"], journey.version_id)
        code, who, where = refusal()
        assert (code, who) == ("user_not_preauthorized", "admin")
        assert "Permitted Users" in where
        admin.pre_authorize(PACKAGED_SET)
        code, who, where = refusal()
        assert (code, who) == ("user_not_authorized", "admin")
        assert "App Policies" in where
        admin.assign(PACKAGED_SET, "integration")
    made = journey.ask(THIRD)
    assert journey.keyturn.connection(made.id).verify().works


def test_one_org_takes_both_ways_where_the_vendor_allows_it(walked: Walked, vendor: Vendor) -> None:
    """A person's connection lives on under pre-authorization, as long as they are let in too."""
    journey = walked.journey
    journey.keyturn.apps.update(journey.app_id, allow_same_org=True)
    with journey.admin_of(PERSON) as admin:
        admin.assign(PACKAGED_SET, "integration", "admin")
        admin.pre_authorize(PACKAGED_SET)

    by_jwt = journey.ask(PERSON, customer_id="northwind-nightly")

    [by_code] = _of(journey, "northwind")
    assert by_code.org_id == by_jwt.org_id
    vendor.advance("PT3H")
    for one in (by_code, by_jwt):
        org = journey.keyturn.connection(one.id)
        assert len(list(org.pull.query("SELECT Id FROM Contact"))) > 10
        assert org.access_token().generation > 1


def _of(journey: PackageJourney, customer_id: str) -> list[Connection]:
    return list(journey.keyturn.connections.list(customer_id=customer_id, state="active"))
