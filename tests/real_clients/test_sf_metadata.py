"""Salesforce's own command line, unmodified, deploys and retrieves an External Client App."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import eca
from tests.support.eca import Project
from tests.support.sf import Orgsim, Said, Sf, log_in_to_hub, new_certificate, running_orgsim

BY_REST = {"SF_ORG_METADATA_REST_DEPLOY": "true"}
ALL_KINDS = (
    "ExternalClientApplication",
    "ExtlClntAppOauthSettings",
    "ExtlClntAppGlobalOauthSettings",
    "ExtlClntAppOauthSecuritySettings",
    "ExtlClntAppOauthConfigurablePolicies",
    "ExtlClntAppConfigurablePolicies",
)

pytestmark = pytest.mark.takes(110)


@pytest.fixture(scope="module")
def sim() -> Iterator[Orgsim]:
    """A simulator by itself."""
    with running_orgsim("--seed", "7") as running:
        yield running


@pytest.fixture(scope="module")
def sf(sim: Orgsim, tmp_path_factory: pytest.TempPathFactory) -> Sf:
    """The program, logged in to the Dev Hub."""
    folder = tmp_path_factory.mktemp("sf")
    made = Sf(folder / "home")
    log_in_to_hub(sim, made, folder)
    return made


def deploy(sf: Sf, project: Project, *flags: str, **environment: str) -> Said:
    """Deploy all of a project."""
    argv = ("project", "deploy", "start", "--source-dir", "force-app", *flags)
    return sf.run(*argv, cwd=project.folder, **environment)


def retrieve(sf: Sf, project: Project, *kinds: str) -> dict[str, Any]:
    """Retrieve kinds of component into a project."""
    argv = ("project", "retrieve", "start", "--metadata", *(kinds or ALL_KINDS))
    return dict(sf.run(*argv, cwd=project.folder).result)


def failures(said: Said) -> dict[str, str]:
    """Return the problems of a failed deployment by the component's name."""
    assert said.status == 1, said.body
    found = said.body["result"]["details"]["componentFailures"]
    return {failure["fullName"]: failure["problem"] for failure in found}


def app_of(sim: Orgsim, name: str) -> dict[str, Any]:
    """Return an app as the authorization server knows it."""
    return next(app for app in sim.control.get("/apps").json() if app["name"] == name)


@pytest.mark.parametrize("road", [{}, BY_REST], ids=["soap", "rest"])
def test_every_kind_of_an_app_is_deployed_and_comes_back(
    sim: Orgsim, sf: Sf, tmp_path: Path, road: dict[str, str]
) -> None:
    """The org puts in what only it knows: references, key, default policies; PKCE stays on."""
    name = "By_Rest" if road else "By_Soap"
    project = Project(tmp_path / "project")
    project.app(name, certificate=new_certificate(tmp_path)[1])
    assert deploy(sf, project, **road).result["status"] == "Succeeded"
    project.put(
        eca.SECURITY,
        f"{name}_oauthSecurity",
        externalClientApplication=name,
        tokenIpRanges="<startIpAddress>127.0.0.1</startIpAddress>"
        "<endIpAddress>127.0.0.9</endIpAddress>",
    )
    project.put(
        eca.OAUTH_POLICIES,
        f"{name}_defaultPolicy",
        externalClientApplication=name,
        permittedUsersPolicyType="AdminApprovedPreAuthorized",
        refreshTokenPolicyType="Infinite",
    )
    project.put(
        eca.POLICIES,
        f"{name}_defaultPolicy",
        externalClientApplication=name,
        isEnabled="true",
    )
    assert deploy(sf, project, **road).result["status"] == "Succeeded"
    back = Project(tmp_path / "back")
    assert retrieve(sf, back)["status"] == "Succeeded"
    org_id = sim.hub["org_id"][:15]
    assert f"{org_id}:{name}</orgScopedExternalApp>" in back.read(eca.HEADER, name)
    assert f"<oauthLink>{org_id}:888" in back.read(eca.OAUTH, f"{name}_oauth")
    settings = back.read(eca.GLOBAL, f"{name}_glbloauth")
    app = app_of(sim, name)
    assert app["consumer_key"] in settings
    assert app["consumer_secret"] not in settings
    assert "<isPkceRequired>true</isPkceRequired>" in settings
    assert "BEGIN CERTIFICATE" in settings
    assert "127.0.0.9" in back.read(eca.SECURITY, f"{name}_oauthSecurity")
    policies = back.read(eca.OAUTH_POLICIES, f"{name}_defaultPolicy")
    assert "AdminApprovedPreAuthorized" in policies
    assert "<isEnabled>true</isEnabled>" in back.read(eca.POLICIES, f"{name}_defaultPolicy")


@pytest.mark.parametrize("road", [{}, BY_REST], ids=["soap", "rest"])
def test_an_apps_other_plug_ins_are_deployed_and_come_back(
    sf: Sf, tmp_path: Path, road: dict[str, str]
) -> None:
    """All that `sf` knows but for Salesforce's own samples and attestation; each names its app."""
    name = "Plugs_By_Rest" if road else "Plugs_By_Soap"
    project = Project(tmp_path / "project")
    project.app(name)
    for kind, values in eca.PLUG_INS.items():
        project.put(kind, f"{name}_{kind[1]}", externalClientApplication=name, **values)
        project.put(kind, f"{name}_stray_{kind[1]}", externalClientApplication="Stray", **values)
    found = failures(deploy(sf, project, **road))
    assert set(found) == {f"{name}_stray_{kind[1]}" for kind in eca.PLUG_INS}
    assert all("INVALID_CROSS_REFERENCE_KEY" in problem for problem in found.values())
    for file in project.source.rglob(f"{name}_stray*"):
        file.unlink()
    assert deploy(sf, project, **road).result["status"] == "Succeeded"
    back = Project(tmp_path / "back")
    retrieve(sf, back, *(kind[2] for kind in eca.PLUG_INS))
    for kind, values in eca.PLUG_INS.items():
        text = back.read(kind, f"{name}_{kind[1]}")
        assert all(f"<{element}>" in text for element in values)
        assert f"<externalClientApplication>{name}<" in text


def test_what_a_deployment_leaves_out_goes_back_to_its_default(
    sim: Orgsim, sf: Sf, tmp_path: Path
) -> None:
    """The certificate is gone, and with it the assertions; the key stays."""
    project = Project(tmp_path / "project")
    project.app("Reset_App", certificate=new_certificate(tmp_path)[1])
    assert deploy(sf, project).status == 0
    key = app_of(sim, "Reset_App")["consumer_key"]
    project.app("Reset_App", callbackUrl="https://a.example/cb\nhttp://localhost:8787/callback")
    assert deploy(sf, project).status == 0
    retrieve(sf, project, "ExtlClntAppGlobalOauthSettings")
    assert "certificate" not in project.read(eca.GLOBAL, "Reset_App_glbloauth")
    app = app_of(sim, "Reset_App")
    assert app["consumer_key"] == key
    assert app["callback_urls"] == ["https://a.example/cb", "http://localhost:8787/callback"]


def test_credentials_are_made_anew_on_command_where_warnings_are_ignored(
    sim: Orgsim, sf: Sf, tmp_path: Path
) -> None:
    """Without that flag it is a warning that fails the deployment."""
    project = Project(tmp_path / "project")
    project.app("Rotated_App")
    assert deploy(sf, project).status == 0
    before = app_of(sim, "Rotated_App")
    project.app("Rotated_App", shouldRotateConsumerSecret="true")
    assert "consumer secret" in failures(deploy(sf, project))["Rotated_App_glbloauth"]
    assert deploy(sf, project, "--ignore-warnings").status == 0
    after = app_of(sim, "Rotated_App")
    assert before["consumer_key"] == after["consumer_key"]
    assert before["consumer_secret"] != after["consumer_secret"]


def test_every_mistake_of_the_table_gets_its_own_answer(sf: Sf, tmp_path: Path) -> None:
    """All in one deployment, of which nothing is kept."""
    project = Project(tmp_path / "project")
    for name in ("Scope", "Plugin", "Linked", "Callback", "Broken", "Stray"):
        project.app(name)
    mail = {"contactEmail": "a@acme.example"}
    project.put(eca.HEADER, "Enum", **mail, distributionState="Packageable")
    project.put(eca.HEADER, "Mail", distributionState="Packaged")
    project.put(eca.HEADER, "Double__Name", **mail)
    project.put(eca.HEADER, "Foreign", **mail, orgScopedExternalApp="00DXXXXXXXXXXXX:Foreign")
    project.put(eca.OAUTH, "No_Header", externalClientApplication="scope")
    project.put(
        eca.OAUTH, "Scope_oauth", externalClientApplication="Scope", commaSeparatedOauthScopes="api"
    )
    project.put(
        eca.OAUTH,
        "Linked_oauth",
        externalClientApplication="Linked",
        oauthLink="00DXXXXXXXXXXXX:888XXXXXXXXXXXX",
    )
    project.put(
        eca.OAUTH_POLICIES,
        "Early",
        externalClientApplication="Plugin",
        permittedUsersPolicyType="AllSelfAuthorized",
    )
    project.app("Callback", callbackUrl="http://connect.acme.example/callback")
    project.put(eca.OAUTH, "Stray_oauth", externalClientApplication="Stray", bogus="1")
    project.put(eca.OAUTH, "Broken_oauth").write_text("<ExtlClntAppOauthSettings>")
    found = failures(deploy(sf, project))
    expected = {
        "Enum": "'Packageable' is not a valid value for the enum",
        "Mail": "Required field is missing: contactEmail",
        "Double__Name": "The API name can only contain underscores",
        "Foreign": "orgScopedExternalApp",
        "No_Header": "INVALID_CROSS_REFERENCE_KEY",
        "Scope_oauth": "Valid values are: Address, Api,",
        "Linked_oauth": "couldn't update your OAuth link",
        "Early": 'unique constraint "ak3tl_setup_entity_data"',
        "Callback_glbloauth": "callback URL is invalid",
        "Stray_oauth": "Element {http://soap.sforce.com/2006/04/metadata}bogus invalid",
        "Broken_oauth": "Error parsing file",
        "Broken_glbloauth": "doesn't have a valid OAuth settings configuration",
    }
    wrong = {name: found.get(name) for name, text in expected.items() if text not in found[name]}
    assert wrong == {}
    assert set(found) == set(expected)


def test_global_settings_do_not_come_alone(sf: Sf, tmp_path: Path) -> None:
    """And policies that need JWT-format tokens are refused for an app without them."""
    project = Project(tmp_path / "project")
    project.app("Lonely")
    assert deploy(sf, project).status == 0
    alone = Project(tmp_path / "alone")
    alone.put(
        eca.GLOBAL,
        "Lonely_glbloauth",
        callbackUrl="https://a.example/cb",
        externalClientApplication="Lonely",
    )
    alone.put(
        eca.OAUTH_POLICIES,
        "Lonely_defaultPolicy",
        externalClientApplication="Lonely",
        sessionTimeoutInMinutes="15",
    )
    found = failures(deploy(sf, alone))
    assert "doesn't have a valid OAuth settings configuration" in found["Lonely_glbloauth"]
    assert found["Lonely_defaultPolicy"] == "Invalid plugin settings"


def test_a_check_changes_nothing(sim: Orgsim, sf: Sf, tmp_path: Path) -> None:
    """A dry run is judged as a deployment is."""
    project = Project(tmp_path / "project")
    project.app("Only_Checked")
    assert deploy(sf, project, "--dry-run").result["checkOnly"] is True
    assert "Only_Checked" not in [app["name"] for app in sim.control.get("/apps").json()]
    listed = sf.run("org", "list", "metadata", "--metadata-type", "ExternalClientApplication")
    assert "Only_Checked" not in [one["fullName"] for one in listed.result]


def test_other_components_are_kept_too(sf: Sf, tmp_path: Path) -> None:
    """Objects with fields, a platform event, a flow, a permission set."""
    project = Project(tmp_path / "project")
    project.write(
        "objects/Usage__c/Usage__c.object-meta.xml",
        "CustomObject",
        "<label>Usage</label><pluralLabel>Usage</pluralLabel><sharingModel>Private</sharingModel>"
        "<deploymentStatus>Deployed</deploymentStatus>"
        "<nameField><label>Number</label><type>AutoNumber</type></nameField>",
    )
    project.write(
        "objects/Usage__c/fields/Logins__c.field-meta.xml",
        "CustomField",
        "<fullName>Logins__c</fullName><label>Logins</label><type>Number</type>"
        "<precision>18</precision><scale>0</scale>",
    )
    project.write(
        "permissionsets/Reader.permissionset-meta.xml", "PermissionSet", "<label>R</label>"
    )
    assert deploy(sf, project).result["numberComponentsDeployed"] >= 2
    back = Project(tmp_path / "back")
    retrieve(sf, back, "CustomObject:Usage__c", "PermissionSet")
    assert next(back.source.rglob("Logins__c.field-meta.xml")).exists()
    assert next(back.source.rglob("Reader.permissionset-meta.xml")).exists()
