"""Server to server: from a signing key to Contacts, and every step that can be missing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.server_to_server import Road
from tests.support.vendor import Vendor
from tools.world import BIN, World

from keyturn import Conflict, Keyturn

READERS = 50
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"

pytestmark = pytest.mark.takes(70)


def keyturn_command(world: World, tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command; return its exit status and what it said."""
    key = tmp_path / "key.txt"
    key.write_text(world.api_key)
    done = subprocess.run(
        [BIN / "keyturn", *arguments, "--json", "--url", world.service_url, "--api-key-file", key],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    key.unlink()
    said: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, said


def test_from_a_signing_key_to_contacts(
    road: Road, oakhollow: Mapping[str, Any], world: World, tmp_path: Path
) -> None:
    """Each step that is missing is named with person and place; then the product works."""
    user_id = road.user(oakhollow, "integration")
    policies = road.policies(oakhollow)
    road.setup(policies, {"pre_authorized": [user_id]}, pre_authorized=[])

    def refusal() -> tuple[str, str, str]:
        said = road.connect(oakhollow).json()
        return said["code"], said["who"], said["where"]

    code, who, where = refusal()
    assert (code, who) == ("signing_key_missing", "vendor")
    assert "POST /v1/apps/{id}/signing-keys" in where
    key = road.signing_key()
    code, who, where = refusal()
    assert (code, who) == ("certificate_refused", "vendor")
    assert "Use digital signatures" in where
    road.put_certificate(key)
    code, who, where = refusal()
    assert (code, who) == ("user_not_authorized", "admin")
    assert "App Policies" in where

    road.setup(policies, pre_authorized=[user_id])
    made = road.connect(oakhollow)

    assert made.status_code == 201, made.text
    connection = made.json()
    assert (connection["state"], connection["renewal"]) == ("active", "jwt_bearer")
    assert (connection["org_id"], connection["user"]["username"]) == (
        oakhollow["org_id"],
        road.vendor.user(oakhollow, "integration")["username"],
    )
    assert (connection["dies_at"], connection["dies_because"]) == (
        key["not_after"],
        "certificate",
    )
    with Keyturn(world.service_url, api_key=world.api_key) as keyturn:
        handle = keyturn.connection(connection["id"])
        contacts = list(handle.pull.query("SELECT Id, Email FROM Contact"))
        assert len(contacts) > 10
        session = handle.proxy_session()
        assert handle.verify().works
    root = httpx2.get(
        f"{session.instance_url}/services/data/v68.0/limits",
        headers={"Authorization": f"Bearer {session.session_id.reveal()}"},
        trust_env=False,
    )
    assert root.status_code == 200
    status, said = keyturn_command(world, tmp_path, "connection", "verify", connection["id"])
    assert (status, said["result"]["works"]) == (0, True)


def test_the_admins_step_is_told_on_the_command_line(
    signing: Road, oakhollow: Mapping[str, Any], world: World, tmp_path: Path
) -> None:
    """Exit status 3: somebody else has to act, and where."""
    username = signing.vendor.user(oakhollow, "standard")["username"]
    arguments = ["--customer", "jwt-cli", "--username", username, "--app", signing.app_id]
    where = ["--my-domain", oakhollow["my_domain_url"]]

    status, said = keyturn_command(world, tmp_path, "connection", "create", *arguments, *where)

    assert (status, said["problem"]["code"]) == (3, "user_not_authorized")
    assert "App Policies" in said["problem"]["where"]
    with (
        Keyturn(world.service_url, api_key=world.api_key) as keyturn,
        pytest.raises(Conflict) as refused,
    ):
        keyturn.connections.create(
            customer_id="jwt-sdk", username="nobody@oakhollow.example", app_id=signing.app_id
        )
    assert (refused.value.code, refused.value.who) == ("user_not_preauthorized", "admin")


def test_an_org_connected_by_environment_stays_on_the_face_of_the_call(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """What came by a plain port is told addresses that plain programs reach."""
    connection = signing.connect(oakhollow, my_domain=None).json()

    assert connection["instance_url"].startswith("http://127.0.0.1:")


def test_fifty_readers_of_an_ended_token_make_one_assertion(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """All get the same new generation; the org's journal has one token request."""
    vendor = signing.vendor
    connection = signing.connect(oakhollow).json()["id"]
    before = vendor.token(connection).json()["generation"]
    vendor.advance("PT3H")
    since = vendor.next_entry()

    urls = vendor.world.line["service_urls"]
    path = f"/v1/connections/{connection}/access-token"
    headers = {"Authorization": f"Bearer {vendor.world.api_key}"}
    limits = httpx2.Limits(max_connections=READERS, max_keepalive_connections=READERS)
    with (
        httpx2.Client(headers=headers, trust_env=False, timeout=60, limits=limits) as http,
        ThreadPoolExecutor(READERS) as pool,
    ):
        answers = list(pool.map(lambda n: http.post(urls[n % len(urls)] + path), range(READERS)))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["generation"] for answer in answers} == {before + 1}
    assertions = vendor.journal(path="/services/oauth2/token", since=since)
    assert [(entry["grant_type"], entry["status"]) for entry in assertions] == [(ASSERTION, 200)]


def test_a_lost_answer_to_an_assertion_is_asked_for_again(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """Nothing is uncertain: the connection is active all along."""
    vendor = signing.vendor
    connection = signing.connect(oakhollow).json()["id"]
    vendor.advance("PT3H")
    vendor.fault("lost_answer", match={"path": "/services/oauth2/token", "grant_type": ASSERTION})

    lost = vendor.token(connection)

    assert (lost.status_code, lost.json()["code"]) == (503, "org_unavailable")
    assert vendor.connection(connection)["state"] == "active"
    vendor.until(lambda: vendor.token(connection).status_code == 200)


def test_a_token_that_the_org_refuses_is_renewed_through_the_proxy(
    signing: Road, oakhollow: Mapping[str, Any]
) -> None:
    """As for any other connection."""
    vendor = signing.vendor
    connection = signing.connect(oakhollow).json()["id"]
    token = vendor.token(connection).json()["access_token"]
    org = oakhollow["my_domain_url"]
    httpx2.post(f"{org}/services/oauth2/revoke", data={"token": token}, trust_env=False)

    path = f"/v1/connections/{connection}/salesforce/services/data/v68.0/limits"
    assert vendor.api.get(path).status_code == 200
    assert vendor.token(connection).json()["generation"] == 2


@pytest.mark.parametrize("text", ["audience is invalid", "Audience validation failed"])
def test_the_audience_that_works_is_found_and_remembered(
    signing: Road, oakhollow: Mapping[str, Any], text: str
) -> None:
    """The vendor's guess of the environment was wrong: the host knows another audience."""
    vendor = signing.vendor
    signing.setup("/switches", wrong_audience_text=text)
    since = vendor.next_entry()
    made = signing.connect(oakhollow, environment="sandbox")
    assert made.status_code == 201
    errors = [one["error"] for one in vendor.journal(grant_type=ASSERTION, since=since)]
    assert errors[0] == "invalid_grant"
    assert errors[-1] is None

    since = vendor.next_entry()
    assert signing.verify(made.json()["id"])["works"]
    again = vendor.journal(grant_type=ASSERTION, since=since)
    assert [one["error"] for one in again] == [None]


def test_certificates_overlap(signing: Road, oakhollow: Mapping[str, Any]) -> None:
    """The staged key serves as soon as its certificate is there, the retired one as long as not."""
    vendor = signing.vendor
    connection = signing.connect(oakhollow).json()["id"]
    keys = f"/v1/apps/{signing.app_id}/signing-keys"
    first, second = vendor.api.get(keys).json()["data"][-1], signing.signing_key(days=20)
    assert second["state"] == "staged"

    signing.put_certificate(second)
    assert signing.verify(connection)["works"]
    vendor.api.post(f"{keys}/{second['id']}/activate").raise_for_status()
    assert signing.verify(connection)["works"]
    signing.put_certificate(first)
    assert signing.verify(connection)["works"]

    found = signing.verify(connection)
    assert [warning["code"] for warning in found["warnings"]] == ["certificate_expiring"]
    app = vendor.api.get(f"/v1/apps/{signing.app_id}").json()
    assert app["certificate"]["signing_key_id"] == second["id"]
    assert app["certificate"]["problem"]["code"] == "certificate_expiring"


def test_a_certificate_that_has_ended_is_told_with_the_app(signing: Road) -> None:
    """As what the vendor has to mend, before an org refuses by it."""
    vendor = signing.vendor
    short = signing.signing_key(days=1)
    path = f"/v1/apps/{signing.app_id}"
    vendor.api.post(f"{path}/signing-keys/{short['id']}/activate").raise_for_status()

    vendor.advance("PT25H")

    problem = vendor.api.get(path).json()["certificate"]["problem"]
    assert (problem["code"], problem["who"]) == ("certificate_expired", "vendor")


def uncertain(road: Road, customer_id: str) -> str:
    """Return a code connection whose refresh token's fate nobody knows and whose session ended."""
    vendor = road.vendor
    connection = str(vendor.connect(customer_id, vendor.org("Brightwater"))["id"])
    road.made.append(connection)
    vendor.advance("PT3H")
    vendor.fault(
        "lost_answer", match={"path": "/services/oauth2/token", "grant_type": "refresh_token"}
    )
    road.made.append(connection)
    return connection


def test_an_assertion_takes_over_what_a_lost_answer_left(signing: Road) -> None:
    """By the person's earlier approval; the customer connects again at leisure."""
    vendor = signing.vendor
    connection = uncertain(signing, "jwt-lost")
    proved = signing.verify(connection)
    assert proved["way_out"] is True, "and it was known before it was needed"
    since = vendor.next_entry()

    vendor.until(lambda: vendor.token(connection).status_code == 200)

    stands = vendor.connection(connection)
    assert (stands["state"], stands["renewal"]) == ("active", "jwt_bearer")
    assert (stands["problem"]["code"], stands["problem"]["who"]) == ("refresh_token_lost", "user")
    assert vendor.journal(grant_type="refresh_token", since=since) == []
    types = vendor.events(connection)
    assert types.index("token.outcome_unknown") < types.index("token.taken_over")
    assert "token.presented_again" not in types

    org = vendor.org("Brightwater")
    vendor.connect("jwt-lost", org, connection_id=connection)
    stands = vendor.connection(connection)
    assert (stands["renewal"], stands["problem"]) == ("refresh_token", None)
    vendor.advance("PT3H")
    assert vendor.token(connection).status_code == 200


def test_where_approvals_are_not_honoured_the_decided_order_goes_on(signing: Road) -> None:
    """The assertion is refused, a minute passes, the token is presented once more: the end."""
    vendor = signing.vendor
    signing.setup("/switches", jwt_bearer_honours_approval=False)
    connection = uncertain(signing, "jwt-refused")
    since = vendor.next_entry()

    vendor.until(lambda: vendor.token(connection).json()["code"] == "connection_uncertain")
    vendor.until(lambda: "token.take_over_refused" in _asked_again(vendor, connection))
    assert vendor.connection(connection)["state"] == "uncertain"
    vendor.advance("PT2M")
    told = vendor.token(connection).json()

    assert (told["code"], told["reason"]) == ("reauthorization_required", "grant_revoked")
    refreshes = vendor.journal(grant_type="refresh_token", since=since)
    assert [entry["fault"] for entry in refreshes] == ["lost_answer", None]
    types = vendor.events(connection)
    order = [
        "token.outcome_unknown",
        "token.take_over_refused",
        "token.decided_to_present_again",
        "token.presented_again",
        "token.refused",
    ]
    assert [types.index(one) for one in order] == sorted(types.index(one) for one in order)


def _asked_again(vendor: Vendor, connection: str) -> list[str]:
    vendor.token(connection)
    return vendor.events(connection)
