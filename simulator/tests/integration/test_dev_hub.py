"""The vendor's own org: beside the customers' orgs, with apps that are made there."""

import pytest
from assertion_calls import assertion_of, certificate_of, make_key, present
from orgsim_caller import Caller, error_of
from orgsim_person import Person
from orgsim_program import OrgsimProgram, user_of


class Subscribers:
    """What the Dev Hub knows of the package that the world has from the start."""

    def __init__(self, client):
        self.client, self.sim = client, client.sim
        self.hub = self.sim.control.get("/dev-hub").json()
        self.token = client.connect(self.hub)["access_token"]

    def query(self, text):
        """Run a query."""
        path = f"/query?q={text}".replace(" ", "+")
        return self.client.call(self.token, self.hub, path).json()["records"]

    @property
    def package_id(self):
        """The package of the version that the install link names."""
        version = self.sim.app()["subscriber_version_id"]
        text = "SELECT MetadataPackageId FROM MetadataPackageVersion WHERE Id = "
        (row,) = self.query(f"{text}'{version}'")
        return row["MetadataPackageId"]

    def known(self):
        """Return the status of each org that has or had the package, by its name."""
        text = "SELECT OrgName, InstalledStatus FROM PackageSubscriber WHERE MetadataPackageId = "
        rows = self.query(f"{text}'{self.package_id}'")
        return {row["OrgName"]: row["InstalledStatus"] for row in rows}


@pytest.fixture
def subscribers(caller_of):
    """A reader in the Dev Hub."""
    return Subscribers(caller_of(app="Scratch"))


def test_the_dev_hub_stands_beside_the_orgs_of_customers(program):
    """In the line and at the control port alike, and in no list of orgs."""
    program.reset()
    hub = program.control.get("/dev-hub").json()
    assert program.line["dev_hub"] == hub
    assert hub["namespace"] == "acme"
    assert hub["org_id"] not in {org["org_id"] for org in program.orgs()}
    assert {user["role"] for user in hub["users"]} == {"admin", "standard", "integration"}


def test_clients_tell_the_dev_hub_by_its_objects(sim, caller_of):
    """A query for scratch orgs is answered there, and refused elsewhere."""
    hub = sim.control.get("/dev-hub").json()
    path = "/query?q=SELECT+Id+FROM+ScratchOrgInfo+LIMIT+1"
    scratch = caller_of(app="Scratch")
    there = scratch.call(scratch.connect(hub)["access_token"], hub, path)
    assert (there.status_code, there.json()["totalSize"]) == (200, 0)
    here = scratch.call(scratch.connect(sim.org())["access_token"], sim.org(), path)
    assert (here.status_code, here.json()[0]["errorCode"]) == (400, "INVALID_TYPE")


def test_an_app_of_one_org_works_in_that_org_alone(sim, caller_of):
    """It is made at the control port, with credentials of its own."""
    made = sim.control.post(
        "/apps", json={"name": "Release_Tools", "callback_urls": ["http://127.0.0.1:9/callback"]}
    )
    assert made.status_code == 201, made.text
    assert sim.line["canary"] in made.json()["consumer_secret"]
    caller = caller_of(app="Release_Tools")
    hub = sim.control.get("/dev-hub").json()
    assert caller.connect(hub)["id"].split("/")[-2] == hub["org_id"]
    told = caller.authorize(sim.org(), user_of(sim.org()))
    assert told["error"] == "OAUTH_AUTHORIZATION_BLOCKED"


def test_a_second_app_of_a_name_is_refused(sim):
    """Names are how tests find them."""
    assert sim.control.post("/apps", json={"name": "Twice"}).status_code == 201
    assert sim.control.post("/apps", json={"name": "Twice"}).status_code == 409
    assert sim.control.post("/apps", json={"name": "no name"}).status_code == 422


def test_the_hub_knows_who_has_the_first_package(subscribers):
    """Its version leads to the package, and the package to the orgs; each is there once."""
    has = {org["name"] for org in subscribers.sim.orgs() if org["package_installed"]}
    assert subscribers.known() == dict.fromkeys(has, "i")
    assert "Stonebridge" not in has


def test_an_install_by_the_page_is_known_after_the_lag(subscribers, caller):
    """And its end as well, whoever uninstalls."""
    sim, org = subscribers.sim, subscribers.sim.org("Stonebridge")
    sim.fault("subscriber_lag", options={"delay": "PT10M"}, times=0)
    person = Person(caller).open(sim.line["install_urls"]["production"]).log_in(org)
    person.submit(install_for="all")
    assert "Stonebridge" not in subscribers.known()
    sim.advance("PT11M")
    assert subscribers.known()["Stonebridge"] == "i"
    sim.change_policy(org, installed=False)
    assert subscribers.known()["Stonebridge"] == "i"
    sim.advance("PT11M")
    assert subscribers.known()["Stonebridge"] == "u"


def test_what_is_no_install_is_no_news(subscribers):
    """An admin may change policies as often as they like."""
    sim, org = subscribers.sim, subscribers.sim.org("Stonebridge")
    sim.change_policy(org, blocked=True)
    sim.change_policy(org, blocked=False)
    assert "Stonebridge" not in subscribers.known()


def test_a_kept_world_keeps_what_the_hub_knows(tmp_path):
    """An uninstall stays one after a restart."""
    with OrgsimProgram("--data", str(tmp_path)) as first, Caller(first, app="Scratch") as client:
        first.change_policy(first.org("Northwind"), installed=False)
        assert Subscribers(client).known()["Northwind"] == "u"
    with OrgsimProgram("--data", str(tmp_path)) as again, Caller(again, app="Scratch") as client:
        assert Subscribers(client).known()["Northwind"] == "u"
        assert Subscribers(client).known()["Larkfield"] == "i"


def test_a_program_may_read_in_the_hub_by_assertion(tmp_path):
    """As the integration user and nobody else; a fresh world knows it too."""
    key = make_key()
    certificate = tmp_path / "reader.pem"
    certificate.write_text(certificate_of(key))
    with OrgsimProgram("--hub-reader", str(certificate)) as sim:
        for seed in (1, 2):
            sim.control.post("/reset", json={"seed": seed}).raise_for_status()
            hub = sim.control.get("/dev-hub").json()
            with Caller(sim, app="HubReader") as caller:
                told = present(caller, assertion_of(caller, key, user_of(hub, "integration")))
                assert told.status_code == 200, told.text
                path = "/query?q=SELECT+OrgKey+FROM+PackageSubscriber"
                found = caller.call(told.json()["access_token"], hub, path).json()
                assert found["totalSize"] > 0
                admin = present(caller, assertion_of(caller, key, user_of(hub)))
                assert error_of(admin)[0] == "invalid_app_access"
