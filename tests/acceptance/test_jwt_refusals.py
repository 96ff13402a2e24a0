"""Server to server, what is missing is named: the step, whose it is, and where in Setup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.acceptance.refusal_table import AT_TOKEN, MENDED_OF_ASSERTIONS, OF_ASSERTIONS
from tests.support.server_to_server import Road
from tools.world import World

ASSERTION = {
    "path": "/services/oauth2/token",
    "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
}


@pytest.fixture
def world(sqlite_world: World) -> World:
    """These need no second database."""
    return sqlite_world


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What may be missing: on which Setup page it is taken away, and what is said of it then."""

    page: str
    change: dict[str, Any]
    was: dict[str, Any] | None = None
    step: str = "user"
    code: str
    who: str = "admin"
    place: str


MISSING = {
    "the package": Missing(
        page="policies",
        change={"installed": False},
        was={"installed": True},
        code="user_not_preauthorized",
        place="install link",
    ),
    "users pre-authorized by policy": Missing(
        page="policies",
        change={"permitted_users": "all"},
        was={"permitted_users": "pre_authorized"},
        code="user_not_preauthorized",
        place="Permitted Users",
    ),
    "the user's permission set": Missing(
        page="policies",
        change={"pre_authorized": []},
        code="user_not_authorized",
        place="App Policies",
    ),
    "an active user": Missing(
        page="user",
        change={"active": False},
        was={"active": True},
        code="user_inactive",
        place="Setup > Users",
    ),
    "an open org": Missing(
        page="org",
        change={"state": "locked"},
        was={"state": "active"},
        code="org_inactive",
        place="account with Salesforce",
    ),
    "an app that nobody blocked": Missing(
        page="policies",
        change={"blocked": True},
        was={"blocked": False},
        code="app_blocked",
        place="Unblock",
    ),
    "the certificate": Missing(
        page="app",
        change={"certificate_pem": ""},
        step="certificate",
        code="certificate_refused",
        who="vendor",
        place="Use digital signatures",
    ),
    "the scope": Missing(
        page="app",
        change={"scopes": ["api", "id"]},
        step="app",
        code="refresh_scope_missing",
        who="vendor",
        place="OAuth Scopes",
    ),
    "logins left": Missing(
        page="switches",
        change={"logins_per_hour": 0},
        code="login_rate_exceeded",
        who="vendor",
        place="Login History",
    ),
}


def take_away(road: Road, org: Mapping[str, Any], what: Missing) -> None:
    """Take away what is to be missing, until the road is left."""
    user_id = road.user(org, "integration")
    scopes = road.vendor.control.get("/apps").json()[0]["scopes"]
    pages = {
        "policies": (road.policies(org), {"pre_authorized": [user_id]}),
        "user": (f"/orgs/{org['org_id']}/users/{user_id}", {}),
        "org": (f"/orgs/{org['org_id']}", {}),
        "app": ("/apps/Acme", {"scopes": scopes}),
        "switches": ("/switches", {}),
    }
    path, as_it_was = pages[what.page]
    road.setup(path, as_it_was | (what.was or {}), **what.change)


@pytest.mark.parametrize("what", MISSING.values(), ids=MISSING)
def test_what_is_missing_is_named_with_person_and_place(
    signing: Road, oakhollow: Mapping[str, Any], what: Missing
) -> None:
    """By verifying a connection that worked before."""
    connection = signing.connect(oakhollow).json()["id"]
    take_away(signing, oakhollow, what)

    found = signing.verify(connection)

    problem = found["problem"]
    [failed] = [step["step"] for step in found["steps"] if step["state"] == "failed"]
    assert not found["works"]
    assert (failed, problem["code"], problem["who"]) == (what.step, what.code, what.who)
    assert what.place in problem["where"]


def test_an_org_that_does_not_know_the_app_says_so_in_two_ways(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """Which one Salesforce chooses is not documented."""
    connection = signing.connect(oakhollow).json()["id"]
    take_away(signing, oakhollow, MISSING["the package"])
    signing.setup("/switches", assertion_without_package="unknown_client")

    problem = signing.verify(connection)["problem"]

    assert (problem["code"], problem["who"]) == ("client_unknown", "vendor")
    assert "environment" in problem["where"]


def test_whatever_salesforce_says_to_an_assertion_is_told_with_person_and_place(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """Each documented error of the token endpoint, whatever audience or key is tried."""
    vendor, told, expected = signing.vendor, {}, {}
    for said in AT_TOKEN:
        options = {"error": said.error, "description": said.description, "delivery": None}
        vendor.fault("oauth_error", match=ASSERTION, times=0, options=options)
        problem = signing.connect(oakhollow).json()
        vendor.calm()
        words = (said.error, said.description)
        told[words] = (problem["code"], problem["who"], problem["remedy"], bool(problem["where"]))
        code = OF_ASSERTIONS.get(said.code, said.code)
        expected[words] = (code, *MENDED_OF_ASSERTIONS[code], True)
    assert told == expected
    assert len(told) > 50


def test_a_signing_key_that_was_forgotten_is_missed(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """Before Salesforce is asked."""
    connection = signing.connect(oakhollow).json()["id"]
    signing.forget_keys()

    found = signing.verify(connection)

    assert (found["problem"]["code"], found["problem"]["who"]) == ("signing_key_missing", "vendor")
    assert [step["state"] for step in found["steps"]][:3] == ["done", "failed", "not_reached"]


def test_a_connection_comes_back_once_it_is_mended(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """Stopped by an inactive user, and verified after the admin's work."""
    connection = signing.connect(oakhollow).json()["id"]
    take_away(signing, oakhollow, MISSING["an active user"])
    assert not signing.verify(connection)["works"]
    told = signing.vendor.token(connection)
    assert (told.status_code, told.json()["code"], told.json()["reason"]) == (
        409,
        "reauthorization_required",
        "user_inactive",
    )

    signing.mend()
    found = signing.verify(connection)

    assert found["works"]
    assert found["connection"]["state"] == "active"
    assert signing.vendor.token(connection).status_code == 200


def test_the_same_org_for_a_second_customer_is_refused(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """Server to server too; the same customer gets the same connection."""
    made = signing.connect(oakhollow).json()

    other = signing.connect(oakhollow, customer_id="jwt-another")
    again = signing.connect(oakhollow)

    assert (other.status_code, other.json()["code"]) == (409, "org_already_connected")
    assert (again.status_code, again.json()["id"]) == (200, made["id"])


def test_another_orgs_host_or_id_is_refused(signing: Road, oakhollow: Mapping[str, Any]) -> None:
    """What the vendor named has to be what answers."""
    other = signing.vendor.org("Larkfield")

    astray = signing.connect(oakhollow, org_id=other["org_id"])
    elsewhere = signing.connect(oakhollow, my_domain=other["my_domain_url"])

    assert (astray.status_code, astray.json()["code"]) == (409, "org_mismatch")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "user_not_preauthorized")
