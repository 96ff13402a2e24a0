"""The vendor's own org: beside the customers' orgs, with apps that are made there."""

from orgsim_program import user_of


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
