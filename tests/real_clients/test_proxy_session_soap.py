"""Clients that nobody here wrote call the Metadata API by SOAP, with a proxy session."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simple_salesforce import Salesforce
from tests.real_clients.conftest import Road
from tests.real_clients.test_jsforce import NODE
from tests.real_clients.test_simple_salesforce import open_client
from tests.support import eca
from tests.support.eca import Project
from tests.support.sf import Sf
from tests.support.vendor import Vendor
from tools.world import World
from zeep.exceptions import Fault

WALK = Path(__file__).parent / "jsforce_soap_walk.mjs"
NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
VERSION = "68.0"

pytestmark = pytest.mark.takes(60)


def zip_of_app(name: str) -> bytes:
    """Return a package of one app without settings."""
    files = {
        "package.xml": f"<types><members>{name}</members><name>ExternalClientApplication</name>"
        f"</types><version>{VERSION}</version>",
        f"externalClientApps/{name}.eca": "<contactEmail>a@acme.example</contactEmail>"
        f"<distributionState>Local</distributionState><label>{name}</label>",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, inner in files.items():
            kind = "Package" if path == "package.xml" else "ExternalClientApplication"
            archive.writestr(path, f'<{kind} xmlns="{NAMESPACE}">{inner}</{kind}>')
    return made.getvalue()


@pytest.fixture(scope="module")
def session(vendor: Vendor) -> Road:
    """A proxy session by the service's plain address, which jsforce and `sf` take."""
    connection = vendor.world.line["connections"][0]["id"]
    made = vendor.api.post(f"/v1/connections/{connection}/proxy-sessions").raise_for_status()
    return Road(made.json()["instance_url"], made.json()["session_id"])


def operations(vendor: Vendor) -> list[str]:
    """Return the SOAP operations that are on record, each with its end."""
    connection = vendor.world.line["connections"][0]["id"]
    asked = {"connection_id": connection, "limit": "200", "type": "proxy.begun"}
    events: list[dict[str, Any]] = []
    while True:
        page = vendor.api.get("/v1/audit-events", params=asked).raise_for_status().json()
        events += page["data"]
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    return [e["detail"]["operation"] for e in events if "operation" in e["detail"]]


# --- jsforce -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walked(session: Road) -> dict[str, Any]:
    """What jsforce met."""
    given = {
        "instance_url": session.instance_url,
        "session_id": session.session_id,
        "zip": base64.b64encode(zip_of_app("By_Jsforce")).decode(),
    }
    ended = subprocess.run(
        [NODE, WALK],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def test_jsforce_describes_deploys_lists_and_reads(walked: dict[str, Any], vendor: Vendor) -> None:
    """Each of its calls is on record by its operation."""
    assert "ExternalClientApplication" in walked["described"]
    assert walked["deployed"] == "Succeeded"
    assert "By_Jsforce" in walked["listed"]
    assert walked["read"] == {"fullName": "By_Jsforce", "contactEmail": "a@acme.example"}
    assert {"describeMetadata", "deploy", "checkDeployStatus", "listMetadata", "readMetadata"} <= (
        set(operations(vendor))
    )


def test_jsforce_shows_what_is_refused(walked: dict[str, Any]) -> None:
    """Salesforce's code for a session that is none; ours, with its text, for the rest."""
    assert walked["stranger"][0] == "sf:INVALID_SESSION_ID"
    assert walked["resetPassword"][0] == "keyturn:proxy_path_refused"
    assert "Remedy: " in walked["resetPassword"][1]
    assert walked["tooLate"][0] == "keyturn:invalid_request"


# --- simple-salesforce ---------------------------------------------------------------------


@pytest.fixture
def salesforce(
    world: World, service_road: Road, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Salesforce]:
    """The client; its Metadata API takes proxy and authority from the environment alone."""
    monkeypatch.setenv("HTTPS_PROXY", world.line["tls"]["connect_proxy_url"])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", world.line["tls"]["ca_file"])
    client = open_client(world, service_road)
    yield client
    client.session.close()


def test_simple_salesforce_describes_lists_and_reads(salesforce: Any) -> None:
    """By zeep and the WSDL that the client carries."""
    described = salesforce.mdapi.describe_metadata()
    assert "ExternalClientApplication" in {one.xmlName for one in described.metadataObjects}
    query = salesforce.mdapi._client.get_type("ns0:ListMetadataQuery")(type="CustomObject")
    salesforce.mdapi.list_metadata([query])
    with pytest.raises(Fault, match="INVALID_OPERATION"):
        salesforce.mdapi.CustomObject.rename("A__c", "B__c")


def test_simple_salesforce_deploys(salesforce: Any, tmp_path: Path) -> None:
    """Under a path of its own making."""
    file = tmp_path / "package.zip"
    file.write_bytes(zip_of_app("By_Simple"))

    begun = salesforce.deploy(str(file), sandbox=False)
    for _ in range(20):
        status = salesforce.checkDeployStatus(begun["asyncId"])
        if status["state"] != "InProgress":
            break

    assert status["state"] == "Succeeded"


def test_a_session_that_ended_is_renewed_behind_its_client(vendor: Vendor, salesforce: Any) -> None:
    """The org's fault is met by the service alone, which presents one refresh token."""
    connection = vendor.world.line["connections"][0]

    def presented() -> int:
        asked = {"connection_id": connection["id"], "type": "token.presented", "limit": "200"}
        answer = vendor.api.get("/v1/audit-events", params=asked).raise_for_status()
        return len(answer.json()["data"])

    before = presented()
    vendor.control.post(f"/orgs/{connection['org_id']}/end-sessions").raise_for_status()

    assert salesforce.mdapi.describe_metadata().metadataObjects
    assert presented() == before + 1


# --- sf ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sf(session: Road, tmp_path_factory: pytest.TempPathFactory) -> Sf:
    """Salesforce's own command line, logged in with the proxy session."""
    made = Sf(tmp_path_factory.mktemp("sf") / "home")
    said = made.run(
        *("org", "login", "access-token", "--instance-url", session.instance_url),
        *("--no-prompt", "--alias", "proxied"),
        SF_ACCESS_TOKEN=session.session_id,
    )
    assert said.result["instanceUrl"].startswith(session.instance_url)
    made.run("config", "set", "target-org=proxied", "--global")
    return made


def test_sf_deploys_and_retrieves(sf: Sf, tmp_path: Path) -> None:
    """By SOAP, which is its default; what was deployed comes back."""
    project = Project(tmp_path / "project")
    project.put(
        eca.HEADER,
        "By_Sf",
        contactEmail="a@acme.example",
        distributionState="Local",
        label="By Sf",
    )
    deployed = sf.run("project", "deploy", "start", "--source-dir", "force-app", cwd=project.folder)
    assert deployed.result["status"] == "Succeeded"
    back = Project(tmp_path / "back")
    retrieved = sf.run(
        *("project", "retrieve", "start", "--metadata", "ExternalClientApplication:By_Sf"),
        cwd=back.folder,
    )
    assert retrieved.result["status"] == "Succeeded"
    assert "a@acme.example" in back.read(eca.HEADER, "By_Sf")
    kinds = sf.run("org", "list", "metadata-types").result["metadataObjects"]
    assert "ExternalClientApplication" in {kind["xmlName"] for kind in kinds}


def test_sf_shows_what_is_refused(sf: Sf, tmp_path: Path) -> None:
    """Anonymous Apex goes by an API that is not proxied, whatever the API key may."""
    file = tmp_path / "x.apex"
    file.write_text("System.debug(1);")

    name, message = sf.run("apex", "run", "--file", str(file)).problem

    assert "proxy_path_refused" in f"{name} {message}"
