"""Salesforce's own command line, unmodified, logs in and works with records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.sf import (
    Orgsim,
    Sf,
    log_in_by_web,
    log_in_to_hub,
    new_certificate,
    running_orgsim,
    user_of,
)

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.takes(45),
]  # one login at a time has sf's callback port


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orgsim]:
    """A simulator by itself."""
    with running_orgsim("--seed", "7", "--data", str(tmp_path_factory.mktemp("world"))) as running:
        yield running


@pytest.fixture
def sf(tmp_path: Path) -> Sf:
    """The program in a home of its own."""
    return Sf(tmp_path / "home")


def test_it_logs_in_by_assertion_and_knows_the_dev_hub(sim: Orgsim, sf: Sf, tmp_path: Path) -> None:
    """By an app of the Dev Hub that has the certificate and lets the admin in."""
    log_in_to_hub(sim, sf, tmp_path)
    listed = sf.run("org", "list").result
    assert [org["alias"] for org in listed["devHubs"]] == ["hub"]
    assert sf.run("org", "display", "--target-org", "hub").result["connectedStatus"] == "Connected"


def test_it_says_why_an_assertion_is_refused(sim: Orgsim, sf: Sf, tmp_path: Path) -> None:
    """In Salesforce's words, which name the step that is missing."""
    key, certificate = new_certificate(tmp_path)
    app = sim.post("/apps", {"name": "Refused", "certificate_pem": certificate})
    said = sf.run(
        *("org", "login", "jwt", "--client-id", app["consumer_key"], "--jwt-key-file", str(key)),
        *("--username", user_of(sim.hub)["username"], "--instance-url", sim.line["login_url"]),
    )
    assert "user hasn't approved this consumer" in said.problem[1]


def test_it_logs_in_by_web_and_works_with_records(sim: Orgsim, sf: Sf, tmp_path: Path) -> None:
    """Query, create, change, upsert from a file, delete; a dead session is renewed."""
    org = sim.org("Larkfield")
    assert log_in_by_web(sim, sf, org, tmp_path).result["isDevHub"] is False
    made = sf.run(
        *("data", "create", "record", "--target-org", "web", "--sobject", "Contact"),
        *("--values", "LastName=Ferris"),
    ).result
    sim.post(f"/orgs/{org['org_id']}/end-sessions", {})
    sf.run(
        *("data", "update", "record", "--target-org", "web", "--sobject", "Contact"),
        *("--record-id", made["id"], "--values", "FirstName=Iva"),
    )
    query = "SELECT Name FROM Contact WHERE LastName = 'Ferris'"
    found = sf.run("data", "query", "--target-org", "web", "--query", query).result
    assert [record["Name"] for record in found["records"]] == ["Iva Ferris"]
    refused = sf.run("data", "query", "--target-org", "web", "--query", "SELECT No FROM Contact")
    assert refused.problem[0] == "INVALID_FIELD"
    sf.run("org", "logout", "--target-org", "web", "--no-prompt")
    assert sf.run("org", "display", "--target-org", "web").problem[0] == "NamedOrgNotFoundError"


def test_it_logs_in_by_token_and_by_auth_url(sim: Orgsim, sf: Sf, tmp_path: Path) -> None:
    """With what another login got: the access token, and the refresh token on the TLS port."""
    org = sim.org("Brightwater")
    assert log_in_by_web(sim, sf, org, tmp_path).status == 0
    shown = sf.run("org", "display", "--target-org", "web", "--verbose", **SECRETS).result
    other, third = Sf(tmp_path / "other"), Sf(tmp_path / "third")
    said = other.run(
        *("org", "login", "access-token", "--instance-url", shown["instanceUrl"], "--no-prompt"),
        SF_ACCESS_TOKEN=shown["accessToken"],
    ).result
    assert said["username"] == user_of(org)["username"]
    secure = sim.line["tls"]["orgs"][org["org_id"]].removeprefix("https://")
    refresh = shown["sfdxAuthUrl"].removeprefix("force://").partition("@")[0]
    file = tmp_path / "auth-url.txt"
    file.write_text(f"force://{refresh}@{secure}")
    said = third.run(
        *("org", "login", "sfdx-url", "--sfdx-url-file", str(file)),
        NODE_EXTRA_CA_CERTS=sim.line["tls"]["ca_file"],
    ).result
    assert said["username"] == user_of(org)["username"]


SECRETS = {"SF_TEMP_SHOW_SECRETS": "true"}
