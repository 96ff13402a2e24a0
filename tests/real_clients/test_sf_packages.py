"""Salesforce's own command line, unmodified, makes, releases, installs and removes a package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import eca
from tests.support.eca import Project
from tests.support.sf import Orgsim, Said, Sf, log_in, log_in_to_hub, running_orgsim

FLOW = """\
<apiVersion>68.0</apiVersion><label>Alert</label><processType>AutoLaunchedFlow</processType>
<recordCreates><name>Make</name><label>Make</label><object>Task</object>
<inputAssignments><field>Subject</field><value><stringValue>Renewal</stringValue></value>
</inputAssignments><inputAssignments><field>WhatId</field><value>
<elementReference>accountId</elementReference></value></inputAssignments></recordCreates>
<start><connector><targetReference>Make</targetReference></connector></start>
<status>Active</status><variables><name>accountId</name><dataType>String</dataType>
<isCollection>false</isCollection><isInput>true</isInput></variables>
"""
USAGE = """\
<deploymentStatus>Deployed</deploymentStatus><label>Usage</label><pluralLabel>Usage</pluralLabel>
<nameField><displayFormat>U-{0000}</displayFormat><label>Number</label><type>AutoNumber</type>
</nameField><sharingModel>ReadWrite</sharingModel>
"""
READER = """\
<label>Reader</label><objectPermissions><allowRead>true</allowRead><object>Contact</object>
</objectPermissions><objectPermissions><allowRead>true</allowRead><object>Usage__c</object>
</objectPermissions><userPermissions><enabled>true</enabled><name>ApiEnabled</name>
</userPermissions>
"""

pytestmark = pytest.mark.takes(120)


@pytest.fixture(scope="module")
def sim() -> Iterator[Orgsim]:
    """A simulator by itself."""
    with running_orgsim("--seed", "7") as running:
        yield running


@pytest.fixture(scope="module")
def sf(sim: Orgsim, tmp_path_factory: pytest.TempPathFactory) -> Sf:
    """The program, logged in to the Dev Hub and to an org without the package."""
    folder = tmp_path_factory.mktemp("sf")
    made = Sf(folder / "home")
    log_in_to_hub(sim, made, folder)
    log_in(sim, made, sim.org("Stonebridge"), folder, alias="customer")
    return made


@pytest.fixture(scope="module")
def project(sf: Sf, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A package's project: the app that the Dev Hub owns, an object, a flow, a permission set."""
    made = Project(tmp_path_factory.mktemp("project") / "acme", namespace="acme")
    made.app("Acme_Connect")
    made.put(eca.HEADER, "Other", contactEmail="a@acme.example", distributionState="Local")
    deploy = ("project", "deploy", "start", "--source-dir", "force-app")
    assert sf.run(*deploy, cwd=made.folder).status == 0
    retrieve = ("project", "retrieve", "start", "--metadata", "ExternalClientApplication")
    retrieved = sf.run(*retrieve, "ExtlClntAppOauthSettings", cwd=made.folder)
    assert retrieved.status == 0
    shutil.rmtree(made.source / "extlClntAppGlobalOauthSets")
    for file in made.source.rglob("Other*"):
        file.unlink()
    made.write("objects/Usage__c/Usage__c.object-meta.xml", "CustomObject", USAGE)
    field = "<fullName>Key__c</fullName><label>Key</label><type>Text</type><length>80</length>"
    made.write(
        "objects/Usage__c/fields/Key__c.field-meta.xml",
        "CustomField",
        f"{field}<externalId>true</externalId><unique>true</unique>",
    )
    made.write("flows/Alert.flow-meta.xml", "Flow", FLOW)
    made.write("permissionsets/Reader.permissionset-meta.xml", "PermissionSet", READER)
    created = sf.run(
        *("package", "create", "--name", "Acme", "--package-type", "Managed"),
        *("--path", "force-app", "--description", "Connects Acme."),
        cwd=made.folder,
    ).result
    assert created["Id"].startswith("0Ho")
    return made


def create_version(sf: Sf, project: Project, *flags: str) -> Said:
    """Ask for a version and wait for it."""
    return sf.run(
        *("package", "version", "create", "--package", "Acme", "--wait", "5"),
        *(flags or ("--installation-key-bypass", "--code-coverage")),
        cwd=project.folder,
    )


def install(sf: Sf, version: str, *flags: str) -> Said:
    """Install a version in the customer's org and wait for it."""
    argv = ("package", "install", "--package", version, "--target-org", "customer")
    return sf.run(*argv, "--wait", "2", "--publish-wait", "1", "--no-prompt", *flags)


@pytest.fixture(scope="module")
def released(sf: Sf, project: Project) -> dict[str, Any]:
    """A version that was made and promoted."""
    made = dict(create_version(sf, project).result)
    promoted = sf.run(
        *("package", "version", "promote", "--package", made["SubscriberPackageVersionId"]),
        "--no-prompt",
        cwd=project.folder,
    )
    assert promoted.result["success"] is True
    return made


def test_what_cannot_be_packaged_fails_the_build(
    sf: Sf, project: Project, released: dict[str, Any], tmp_path: Path
) -> None:
    """Global settings and policies, a local app, a link that is missing; each is named."""
    del released
    odd = project.copied(tmp_path / "odd", **NEXT)
    app = {"externalClientApplication": "Acme_Connect"}
    odd.put(eca.GLOBAL, "Acme_Connect_glbloauth", callbackUrl="https://a.example/cb", **app)
    odd.put(eca.POLICIES, "Own", **app, isEnabled="true")
    odd.put(eca.HEADER, "Other", contactEmail="a@acme.example", distributionState="Local")
    odd.put(eca.OAUTH, "Other_oauth", externalClientApplication="Other")
    said = create_version(sf, odd).problem[1]
    for part in (
        "ExtlClntAppGlobalOauthSettings components can't be packaged",
        "ExtlClntAppConfigurablePolicies components can't be packaged",
        "Other: The external client app doesn't have distribution state PACKAGED",
        'because "oauthLink" is null',
    ):
        assert part in said


NEXT = {"versionNumber": "9.0.0.NEXT", "ancestorVersion": "HIGHEST"}


def test_packages_and_versions_are_listed_and_reported(
    sf: Sf, project: Project, released: dict[str, Any]
) -> None:
    """With the number, the state, and the alias that the project file got."""
    listed = sf.run("package", "list", cwd=project.folder).result
    assert [(one["Name"], one["NamespacePrefix"]) for one in listed] == [("Acme", "acme")]
    version = released["SubscriberPackageVersionId"]
    assert version.startswith("04t")
    shown = sf.run("package", "version", "list", "--released", cwd=project.folder).result
    assert version in [one["SubscriberPackageVersionId"] for one in shown]
    report = sf.run("package", "version", "report", "--package", version, cwd=project.folder)
    assert report.result["IsReleased"] in (True, "true")
    requests = sf.run("package", "version", "create", "list", cwd=project.folder).result
    assert {one["Status"] for one in requests} <= {"Success", "Error"}
    aliases = json.loads((project.folder / "sfdx-project.json").read_text())["packageAliases"]
    assert version in aliases.values()


def test_a_released_number_is_not_built_again(
    sf: Sf, project: Project, released: dict[str, Any], tmp_path: Path
) -> None:
    """And what follows the first released one names it as its ancestor."""
    del released
    assert create_version(sf, project).problem[0] == "ErrorAncestorNotHighestError"
    again = project.copied(tmp_path / "again", ancestorVersion="HIGHEST")
    assert "already exists" in create_version(sf, again).problem[1]


def test_an_installed_package_brings_its_parts_under_the_namespace(
    sim: Orgsim, sf: Sf, released: dict[str, Any]
) -> None:
    """The object takes records, the Dev Hub knows; uninstalled, all of it is gone."""
    version = released["SubscriberPackageVersionId"]
    assert install(sf, version).result["Status"] == "SUCCESS"
    listed = sf.run("package", "installed", "list", "--target-org", "customer").result
    assert [
        (one["SubscriberPackageName"], one["SubscriberPackageNamespace"]) for one in listed
    ] == [("Acme", "acme")]
    sf.run(
        *("data", "create", "record", "--target-org", "customer", "--sobject", "acme__Usage__c"),
        *("--values", "acme__Key__c=one"),
    )
    query = ("data", "query", "--target-org", "customer", "--query")
    found = sf.run(*query, "SELECT Name, acme__Key__c FROM acme__Usage__c").result
    assert [record["acme__Key__c"] for record in found["records"]] == ["one"]
    told = "SELECT OrgKey, InstalledStatus FROM PackageSubscriber WHERE MetadataPackageVersionId = "
    subscribers = sf.run(
        "data", "query", "--target-org", "hub", "--query", f"{told}'{version}'"
    ).result
    assert [(row["OrgKey"], row["InstalledStatus"]) for row in subscribers["records"]] == [
        (sim.org("Stonebridge")["org_id"][:15], "i")
    ]
    gone = ("package", "uninstall", "--package", version, "--target-org", "customer")
    assert sf.run(*gone, "--wait", "2").result["Status"] == "Success"
    assert sf.run("package", "installed", "list", "--target-org", "customer").result == []
    assert sf.run(*query, "SELECT Id FROM acme__Usage__c").problem[0] == "INVALID_TYPE"


def test_what_forbids_an_install_is_told(
    sim: Orgsim, sf: Sf, project: Project, released: dict[str, Any], tmp_path: Path
) -> None:
    """A beta in production, a key that is missing or wrong, a namespace that is taken."""
    later = project.copied(tmp_path / "later", **NEXT)
    beta = create_version(sf, later, "--installation-key", "open-sesame", "--code-coverage")
    version = beta.result["SubscriberPackageVersionId"]
    assert "installation key is required" in install(sf, version).problem[1]
    wrong = install(sf, version, "--installation-key", "wrong")
    assert "installation key is invalid" in wrong.problem[1]
    right = install(sf, version, "--installation-key", "open-sesame")
    assert "Beta package versions can't be installed" in right.problem[1]
    log_in(sim, sf, sim.org("Larkfield"), tmp_path, alias="taken")
    argv = ("package", "install", "--package", released["SubscriberPackageVersionId"])
    said = sf.run(*argv, "--target-org", "taken", "--wait", "2", "--no-prompt")
    assert "namespace is used by another package" in said.problem[1]


def test_a_package_that_the_dev_hub_does_not_have_gets_no_version(
    sf: Sf, project: Project, released: dict[str, Any], tmp_path: Path
) -> None:
    """The command line says so itself."""
    del released
    stranger = project.copied(tmp_path / "stranger", package="0Ho000000000001AAA")
    said = sf.run(
        *("package", "version", "create", "--package", "0Ho000000000001AAA", "--code-coverage"),
        "--installation-key-bypass",
        cwd=stranger.folder,
    )
    assert "0Ho000000000001AAA" in said.problem[1]


def test_a_version_without_coverage_is_not_promoted(
    sf: Sf, project: Project, released: dict[str, Any], tmp_path: Path
) -> None:
    """It can be made, and stays a beta."""
    del released
    other = project.copied(tmp_path / "other", **NEXT)
    made = create_version(sf, other, "--installation-key-bypass")
    version = made.result["SubscriberPackageVersionId"]
    argv = ("package", "version", "promote", "--package", version, "--no-prompt")
    assert "Code coverage has not been run" in sf.run(*argv, cwd=other.folder).problem[1]


def test_a_version_with_too_little_coverage_is_not_promoted(
    sim: Orgsim, sf: Sf, project: Project, released: dict[str, Any], tmp_path: Path
) -> None:
    """Three quarters is the least."""
    del released
    other = project.copied(tmp_path / "little", **NEXT)
    sim.patch("/switches", {"coverage_percent": 74})
    made = create_version(sf, other)
    sim.patch("/switches", {"coverage_percent": 100})
    version = made.result["SubscriberPackageVersionId"]
    argv = ("package", "version", "promote", "--package", version, "--no-prompt")
    assert "74%" in sf.run(*argv, cwd=other.folder).problem[1]
