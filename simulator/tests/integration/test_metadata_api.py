"""The Metadata API over HTTP: who may ask, in which forms, and what a deployed app then is."""

import re

import pytest
from metadata_calls import APP, call_soap, deploy_by_rest, deploy_by_soap, zip_of
from orgsim_caller import Caller, error_of
from orgsim_program import OrgsimProgram, user_of

from orgsim.metadata.archive import unzip, written_manifest, zipped

LIST = "<listMetadata><queries><type>ExternalClientApplication</type></queries></listMetadata>"


@pytest.fixture
def hub(sim):
    """The Dev Hub org."""
    return sim.control.get("/dev-hub").json()


@pytest.fixture
def client(caller_of):
    """A client that got in by the plain app."""
    return caller_of(app="Scratch")


@pytest.fixture
def token(client, hub):
    """An admin's access token for the Dev Hub."""
    return client.connect(hub)["access_token"]


@pytest.mark.parametrize("way", [deploy_by_soap, deploy_by_rest])
def test_a_deployed_app_can_be_authorized_in_its_own_org(way, sim, client, token, caller_of):
    """With the key and secret that the org made, PKCE, and rotation, which nobody asked for."""
    hub = sim.control.get("/dev-hub").json()
    assert "Succeeded" in str(way(client, hub, token, zip_of()))
    app = sim.app("Plain")
    assert app["callback_urls"] == ["http://localhost:9/callback"]
    assert sorted(app["scopes"]) == ["api", "id", "refresh_token"]
    caller = caller_of(app="Plain")
    tokens = caller.connect(hub)
    assert (
        caller.refresh(tokens["refresh_token"]).json()["refresh_token"] != tokens["refresh_token"]
    )
    assert "challenge" in caller.authorize_answer(code_challenge=None).text
    assert caller.authorize(sim.org())["error"] == "OAUTH_EC_APP_NOT_FOUND"


def test_an_app_that_is_not_packaged_is_for_its_own_org(sim, client, hub, token, caller_of):
    """Elsewhere it is blocked, in Salesforce's words."""
    path, inner = APP["ExternalClientApplication:Plain"]
    local = {"ExternalClientApplication:Plain": (path, inner.replace("Packaged", "Local"))}
    deploy_by_soap(client, hub, token, zip_of(APP | local))
    assert caller_of(app="Plain").authorize(sim.org())["error"] == "OAUTH_AUTHORIZATION_BLOCKED"


def test_a_deleted_app_is_unknown_at_once(client, hub, token, caller_of):
    """And so are its tokens."""
    deploy_by_soap(client, hub, token, zip_of())
    caller = caller_of(app="Plain")
    tokens = caller.connect(hub)
    gone = zip_of({})
    files = unzip(gone) | {
        "destructiveChanges.xml": written_manifest(
            {"ExternalClientApplication": ["Plain"]}, version="68.0"
        )
    }
    assert "Succeeded" in deploy_by_soap(client, hub, token, zipped(files))
    assert error_of(caller.refresh(tokens["refresh_token"]))[0] == "invalid_client_id"
    assert "<fullName>" not in call_soap(client, hub, token, LIST).text


def test_the_org_id_in_the_path_and_the_old_question_are_understood(client, hub, token):
    """As release tools ask."""
    path = f"/services/Soap/m/58.0/{hub['org_id']}"
    asked = (
        "<retrieve><retrieveRequest><apiVersion>58.0</apiVersion><unpackaged><types>"
        "<members>*</members><name>Flow</name></types><version>58.0</version></unpackaged>"
        "</retrieveRequest></retrieve>"
    )
    begun = call_soap(client, hub, token, asked, path=path).text
    job = re.search(r"<id>(09S\w{15})</id>", begun)[1]
    old = f"<checkStatus><asyncProcessId>{job}</asyncProcessId></checkStatus>"
    assert "<state>Completed</state>" in call_soap(client, hub, token, old, path=path).text
    check = f"<checkRetrieveStatus><asyncProcessId>{job}</asyncProcessId></checkRetrieveStatus>"
    assert "<zipFile>" in call_soap(client, hub, token, check, path=path).text


def test_only_admins_with_a_session_change_metadata(sim, client, hub, token):
    """Faults come with status 500."""
    refused = call_soap(client, hub, "no session", LIST)
    assert (refused.status_code, "sf:INVALID_SESSION_ID" in refused.text) == (500, True)
    other = call_soap(client, sim.org(), token, LIST)
    assert "sf:INVALID_SESSION_ID" in other.text
    standard = client.connect(hub, user_of(hub, "standard"))["access_token"]
    assert "sf:INSUFFICIENT_ACCESS" in call_soap(client, hub, standard, LIST).text
    assert "sf:INVALID_OPERATION" in call_soap(client, hub, token, "<describeAll/>").text
    assert "sf:UNKNOWN_EXCEPTION" in call_soap(client, hub, token, "<broken>").text


def test_tokens_in_jwt_format_are_no_sessions_for_soap(sim, client, hub):
    """REST takes them (reported)."""
    sim.change_app("Scratch", access_token_format="jwt")
    jwt = client.connect(hub)["access_token"]
    assert jwt.count(".") == 2
    assert "sf:INVALID_SESSION_ID" in call_soap(client, hub, jwt, LIST).text
    assert deploy_by_rest(client, hub, jwt, zip_of())["success"] is True


def test_a_sandbox_makes_no_app_for_packages(sim, client):
    """It may be refreshed away."""
    sandbox = sim.org("Northwind UAT")
    token = client.connect(sandbox, host=client.sandbox_login_url)["access_token"]
    said = deploy_by_soap(client, sandbox, token, zip_of())
    assert "created in ephemeral orgs can't be packaged" in said.replace("&apos;", "'")


def test_zip_and_manifest_must_agree(client, hub, token):
    """In both directions; a zip that is none fails the whole."""
    files = {"package.xml": written_manifest({"Flow": ["Gone"]}, version="68.0")}
    files["permissionsets/Extra.permissionset"] = b"<PermissionSet/>"
    said = deploy_by_soap(client, hub, token, zipped(files))
    assert "was not found in zipped directory" in said
    assert "is not named in package.xml" in said
    assert "<success>false</success>" in said
    assert "The zip file is not valid" in deploy_by_soap(client, hub, token, b"no zip")


def test_a_kept_world_keeps_what_was_deployed(tmp_path):
    """The same key and secret after a restart, and no secret in its files."""
    with OrgsimProgram("--data", str(tmp_path)) as first, Caller(first, app="Scratch") as client:
        hub = first.control.get("/dev-hub").json()
        deploy_by_soap(client, hub, client.connect(hub)["access_token"], zip_of())
        app, canary = first.app("Plain"), first.line["canary"]
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert canary.encode() not in file.read_bytes()
    with OrgsimProgram("--data", str(tmp_path)) as again:
        assert again.app("Plain") == app


def test_components_are_read_one_by_one(client, hub, token):
    """By their type, as the org has them now; what is not there is nil; ten at once."""
    deploy_by_soap(client, hub, token, zip_of())
    asked = "<readMetadata><type>ExternalClientApplication</type>{}</readMetadata>"

    def read(*names):
        inner = "".join(f"<fullNames>{name}</fullNames>" for name in names)
        return call_soap(client, hub, token, asked.format(inner))

    answer = read("Plain", "Nobody").text

    assert '<records xsi:type="ExternalClientApplication">' in answer
    assert "<fullName>Plain</fullName>" in answer
    assert "<contactEmail>a@acme.example</contactEmail>" in answer
    assert '<records xsi:nil="true"/>' in answer
    refused = read(*["Plain"] * 11)
    assert (refused.status_code, "sf:EXCEEDED_ID_LIMIT" in refused.text) == (500, True)


def test_a_slash_behind_the_version_is_nothing(client, hub, token):
    """Some clients write it."""
    assert call_soap(client, hub, token, LIST, path="/services/Soap/m/68.0/").status_code == 200
