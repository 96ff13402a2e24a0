"""What goes wrong with apps and packages, in the own words of Salesforce's unmodified `sf`.

Rows of errors that the other files do not drive: apps of other orgs, ancestors, and logins that an
org refuses. Each login's refusal is one that Salesforce documents or was seen to send.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import eca
from tests.support.eca import Project
from tests.support.sf import (
    Orgsim,
    Said,
    Sf,
    log_in,
    log_in_by_web,
    log_in_to_hub,
    new_certificate,
    running_orgsim,
    user_of,
)

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.takes(110),
]  # one login at a time has sf's callback port

BY_TOKEN = (
    ("invalid_client_id", "client identifier invalid"),
    ("invalid_grant", "ip restricted"),
    ("invalid_app_access", "user is not admin approved to access this app"),
    ("redirect_uri_mismatch", "redirect_uri must match configuration"),
    ("oauth_flow_disabled", None),
    ("invalid_distribution_state", None),
    ("ecapp_policy_not_found", None),
    ("oauth_policy_not_found", None),
    ("app_not_found", None),
    ("installation_error", None),
)
BY_REDIRECT = (
    ("OAUTH_EC_APP_NOT_FOUND", "External client app is not installed in this org"),
    (
        "OAUTH_AUTHORIZATION_BLOCKED",
        "Cross-org OAuth flows are not supported for this external client app",
    ),
    (
        "OAUTH_APPROVAL_ERROR_GENERIC",
        "An unexpected error has occured during authentication. Please try again.",
    ),
    ("invalid_grant", "IP restricted or invalid login hours"),
)
TOKEN = {"path": "/services/oauth2/token"}
AUTHORIZE = {"path": "/services/oauth2/authorize"}


@pytest.fixture(scope="module")
def sim() -> Iterator[Orgsim]:
    """A simulator by itself."""
    with running_orgsim("--seed", "7") as running:
        yield running


@pytest.fixture(scope="module")
def sf(sim: Orgsim, tmp_path_factory: pytest.TempPathFactory) -> Sf:
    """The program, logged in to the Dev Hub, a customer's org and a sandbox."""
    folder = tmp_path_factory.mktemp("sf")
    made = Sf(folder / "home")
    log_in_to_hub(sim, made, folder)
    log_in(sim, made, sim.org("Stonebridge"), folder, alias="customer")
    log_in(sim, made, sim.org("Northwind UAT"), folder, alias="sandbox")
    return made


@pytest.fixture(scope="module")
def package(sf: Sf, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A package of an app that the Dev Hub owns."""
    made = Project(tmp_path_factory.mktemp("project") / "acme", namespace="acme")
    _take_app(sf, made, "Acme_Connect", owner="hub")
    create = ("package", "create", "--name", "Acme", "--package-type", "Managed")
    assert sf.run(*create, "--path", "force-app", cwd=made.folder).status == 0
    return made


@contextlib.contextmanager
def _refusal(
    sim: Orgsim, match: dict[str, str], error: str, description: str | None, **options: str
) -> Iterator[None]:
    """Let an endpoint refuse everybody for a while."""
    asked: dict[str, Any] = {"error": error, "description": description, **options}
    fault = {"name": "oauth_error", "match": match, "times": 0, "options": asked}
    sim.post("/faults", fault)
    try:
        yield
    finally:
        sim.control.delete("/faults").raise_for_status()


def _take_app(sf: Sf, project: Project, name: str, *, owner: str) -> None:
    """Make an app in an org, and keep what a package may have of it."""
    project.app(name)
    deploy = ("project", "deploy", "start", "--source-dir", "force-app", "--target-org", owner)
    assert sf.run(*deploy, cwd=project.folder).status == 0
    kinds = (f"ExternalClientApplication:{name}", f"ExtlClntAppOauthSettings:{name}_oauth")
    retrieve = ("project", "retrieve", "start", "--metadata", *kinds, "--target-org", owner)
    assert sf.run(*retrieve, cwd=project.folder).status == 0
    shutil.rmtree(project.source / "extlClntAppGlobalOauthSets")


def _version(sf: Sf, project: Project, *flags: str) -> Said:
    argv = ("package", "version", "create", "--package", "Acme", "--wait", "5", *flags)
    return sf.run(*argv, "--installation-key-bypass", "--code-coverage", cwd=project.folder)


def _failures(said: Said) -> dict[str, str]:
    assert said.status == 1, said.body
    found = said.body["result"]["details"]["componentFailures"]
    return {failure["fullName"]: failure["problem"] for failure in found}


def test_no_org_refers_to_an_app_that_is_local_to_another(sf: Sf, tmp_path: Path) -> None:
    """The link is right, the app's distribution state is not."""
    project = Project(tmp_path / "project")
    project.app("Local_App")
    mail = {"contactEmail": "integrations@acme.example"}
    project.put(eca.HEADER, "Local_App", **mail, distributionState="Local", label="Local")
    deploy = ("project", "deploy", "start", "--source-dir", "force-app", "--target-org")
    assert sf.run(*deploy, "hub", cwd=project.folder).status == 0
    retrieve = ("project", "retrieve", "start", "--metadata", "ExtlClntAppOauthSettings")
    assert sf.run(*retrieve, "--target-org", "hub", cwd=project.folder).status == 0
    assert "<oauthLink>" in project.read(eca.OAUTH, "Local_App_oauth")
    shutil.rmtree(project.source / "extlClntAppGlobalOauthSets")

    found = _failures(sf.run(*deploy, "customer", cwd=project.folder))

    assert "couldn't update your OAuth link" in found["Local_App_oauth"]
    assert "doesn't have distribution state PACKAGED" in found["Local_App_oauth"]


def test_a_sandbox_makes_no_packaged_app(sf: Sf, tmp_path: Path) -> None:
    """What is made there goes with it."""
    project = Project(tmp_path / "project")
    project.app("Passing_App")
    deploy = ("project", "deploy", "start", "--source-dir", "force-app", "--target-org")
    found = _failures(sf.run(*deploy, "sandbox", cwd=project.folder))
    assert "created in ephemeral orgs can't be packaged" in found["Passing_App"]


def test_an_app_of_another_org_needs_the_definition_files_leave(
    sf: Sf, package: Project, tmp_path: Path
) -> None:
    """The Dev Hub packages its own apps, and others where the build's definition says so."""
    foreign = package.copied(tmp_path / "foreign")
    for file in foreign.source.rglob("Acme_Connect*"):
        file.unlink()
    _take_app(sf, foreign, "Foreign_App", owner="customer")
    assert "created in ephemeral orgs can't be packaged" in _version(sf, foreign).problem[1]
    definition = foreign.folder / "definition.json"
    definition.write_text(
        '{"settings": {"externalClientAppSettings": {"enablePackageEcaOauthFromDevOrg": true}}}'
    )
    taken = _version(sf, foreign, "--definition-file", "definition.json")
    assert taken.result["SubscriberPackageVersionId"].startswith("04t")


@pytest.mark.parametrize(
    ("ancestor", "error"),
    [
        ({"ancestorVersion": "7.7.7"}, "ErrorNoMatchingAncestorError"),
        ({"ancestorVersion": "4.0.0"}, "ErrorAncestorNotReleasedError"),
    ],
    ids=["unknown", "not released"],
)
def test_an_ancestor_is_a_released_version(
    sf: Sf, package: Project, tmp_path: Path, ancestor: dict[str, str], error: str
) -> None:
    """The command line says so itself."""
    beta = package.copied(tmp_path / "beta", versionNumber="4.0.0.NEXT")
    assert _version(sf, beta).status == 0
    later = package.copied(tmp_path / "later", versionNumber="5.0.0.NEXT", **ancestor)
    assert _version(sf, later).problem[0] == error


@pytest.mark.parametrize(("error", "description"), BY_TOKEN, ids=[one[0] for one in BY_TOKEN])
def test_a_refused_assertion_is_told_in_the_orgs_words(
    sim: Orgsim, tmp_path: Path, error: str, description: str | None
) -> None:
    """By its description; of a code without one `sf` says that it was refused, and no more."""
    key, certificate = new_certificate(tmp_path)
    admin = user_of(sim.hub)
    app = {"name": f"By_{error}_{description}".replace(" ", "_"), "certificate_pem": certificate}
    made = sim.post("/apps", {**app, "pre_authorized": [admin["user_id"]]})
    with _refusal(sim, TOKEN, error, description):
        said = Sf(tmp_path / "home").run(
            *("org", "login", "jwt", "--client-id", made["consumer_key"]),
            *("--jwt-key-file", str(key), "--username", admin["username"]),
            *("--instance-url", sim.line["login_url"]),
        )
    assert said.problem[0] == "JwtGrantError"
    assert f"Errors encountered:\n{description or ''}\n" in said.problem[1]


@pytest.mark.parametrize(("error", "description"), BY_REDIRECT, ids=[one[0] for one in BY_REDIRECT])
def test_a_refused_person_comes_back_to_the_command_line(
    sim: Orgsim, tmp_path: Path, error: str, description: str
) -> None:
    """With the error's code or words that the org put into the callback."""
    with _refusal(sim, AUTHORIZE, error, description, delivery="redirect"):
        said = log_in_by_web(sim, Sf(tmp_path / "home"), sim.hub, tmp_path)
    assert description in said.problem[1]
