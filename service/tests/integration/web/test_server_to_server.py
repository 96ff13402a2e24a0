"""Connections server to server over the REST API: made, verified, explained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keyturn_core.salesforce.hosts import Environment
from keyturn_service.domain.connection import Renewal
from keyturn_service.domain.errors import ConnectRefused
from keyturn_service.use_cases.verify_connection import BY_REFRESH, Step

ASKED = {"customer_id": "northwind", "username": "integration@northwind.example"}
VERIFY = "/v1/connections/con_one/verify"


@pytest.fixture
def asserted(house):
    """Have the connection be one that is renewed by assertions."""
    made = replace(house.memory.connections["con_one"], renewal=Renewal.JWT_BEARER)
    house.memory.connections["con_one"] = made
    return made


async def test_an_org_is_connected_without_a_person(house, admin, asserted):
    """Org and integration user go in, the connection comes out."""
    body = ASKED | {
        "app_id": "app_one",
        "environment": "sandbox",
        "my_domain": "northwind",
        "org_id": asserted.org_id[:15],
    }
    made = await house.http.post("/v1/connections", headers=admin, json=body)

    assert made.status_code == 201
    assert (made.json()["id"], made.json()["renewal"]) == ("con_one", "jwt_bearer")
    [asked] = house.wiring.connect_by_assertion.asked
    assert asked == ASKED | {
        "app_id": "app_one",
        "environment": Environment.SANDBOX,
        "my_domain": "northwind",
        "org_id": asserted.org_id,
        "origin": str(house.http.base_url).rstrip("/"),
    }


async def test_a_connection_that_was_there_is_not_a_new_one(house, admin):
    """200 says so."""
    house.wiring.connect_by_assertion.new = False
    answer = await house.http.post("/v1/connections", headers=admin, json=ASKED)

    assert answer.status_code == 200
    asked = house.wiring.connect_by_assertion.asked[0]
    assert (asked["environment"], asked["my_domain"], asked["org_id"]) == (None, None, None)


@pytest.mark.parametrize(
    ("code", "who", "place"),
    [
        ("user_not_preauthorized", "admin", "Permitted Users"),
        ("user_not_authorized", "admin", "App Policies"),
        ("user_inactive", "admin", "Setup > Users"),
        ("certificate_refused", "vendor", "Use digital signatures"),
        ("signing_key_missing", "vendor", "POST /v1/apps/{id}/signing-keys"),
        ("client_unknown", "vendor", "consumer-credentials"),
        ("salesforce_unavailable", "salesforce", "status.salesforce.com"),
    ],
)
async def test_a_refusal_says_whose_it_is_and_where(house, admin, code, who, place):
    """A problem like any other."""
    house.wiring.connect_by_assertion.error = ConnectRefused(code)
    answer = await house.http.post("/v1/connections", headers=admin, json=ASKED)

    said = answer.json()
    status = 503 if code == "salesforce_unavailable" else 409
    assert (answer.status_code, said["code"], said["who"]) == (status, code, who)
    assert place in said["where"]


@pytest.mark.parametrize(
    "body",
    [
        {"customer_id": "northwind"},
        {"username": "x"},
        ASKED | {"username": ""},
        ASKED | {"org_id": "005000000000001"},
        ASKED | {"environment": "moon"},
        ASKED | {"password": "x"},
    ],
)
async def test_what_is_out_of_shape_is_refused(house, admin, body):
    """Before anybody is asked."""
    answer = await house.http.post("/v1/connections", headers=admin, json=body)

    assert answer.status_code == 422
    assert house.wiring.connect_by_assertion.asked == []


async def test_a_verification_lists_every_step(house, admin, asserted):
    """Done up to the one that is missing, with its problem; the rest was not reached."""
    package = {"install_urls": {"production": "https://login.salesforce.com/packaging/x?p0=04t"}}
    await house.http.patch("/v1/apps/app_one", headers=admin, json={"package": package})
    house.wiring.verify_connection.found = {
        "missing": Step.USER,
        "problem": "user_not_preauthorized",
        "warnings": ["certificate_expiring"],
    }
    said = (await house.http.post(VERIFY, headers=admin)).json()

    assert said["works"] is False
    assert [(step["step"], step["state"]) for step in said["steps"]] == [
        ("app", "done"),
        ("signing_key", "done"),
        ("host", "done"),
        ("certificate", "done"),
        ("user", "failed"),
        ("identity", "not_reached"),
    ]
    assert said["steps"][4]["problem"] == said["problem"]
    assert (said["problem"]["who"], said["connection"]["id"]) == ("admin", asserted.id)
    assert said["install_url"] == package["install_urls"]["production"]
    assert [warning["code"] for warning in said["warnings"]] == ["certificate_expiring"]


async def test_a_connection_that_works_has_no_problem(house, admin):
    """Every step is done."""
    house.wiring.verify_connection.found = {"steps": BY_REFRESH, "way_out": True}
    said = (await house.http.post(VERIFY, headers=admin)).json()

    assert (said["works"], said["problem"], said["way_out"]) == (True, None, True)
    assert {step["state"] for step in said["steps"]} == {"done"}
    assert said["install_url"] is None


async def test_a_connection_lives_as_long_as_its_apps_certificate(house, admin, asserted):
    """In each answer that has the connection in it."""

    async def ends():
        read = (await house.http.get(f"/v1/connections/{asserted.id}", headers=admin)).json()
        listed = (await house.http.get("/v1/connections", headers=admin)).json()["data"]
        assert read in listed
        return read["dies_at"], read["dies_because"]

    assert await ends() == (None, None)
    key = (await house.http.post("/v1/apps/app_one/signing-keys", headers=admin)).json()
    assert await ends() == (key["not_after"], "certificate")


async def test_only_who_may_write_connections_makes_or_verifies_them(house):
    """Reading is not enough."""
    weak = house.headers(house.add_key("kt_live_reads-connections-only", "connections:read"))

    assert (await house.http.post("/v1/connections", headers=weak, json=ASKED)).status_code == 403
    assert (await house.http.post(VERIFY, headers=weak)).status_code == 403


async def test_a_connection_that_is_not_there_is_not_verified(house, admin):
    """It is not found."""
    answer = await house.http.post("/v1/connections/con_no/verify", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
