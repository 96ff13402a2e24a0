"""Packages from the Dev Hub to a customer's org, by the Tooling API."""

import base64
import re

import pytest
from metadata_calls import APP, call_soap, deploy_by_soap, zip_of
from orgsim_caller import Caller, error_of
from orgsim_program import OrgsimProgram, user_of
from packaging_calls import PARTS, Customer, Vendor

from orgsim.metadata.archive import unzip


@pytest.fixture
def client(caller_of):
    """A client that gets in everywhere."""
    return caller_of(app="Scratch")


@pytest.fixture
def vendor(client):
    """An admin of the Dev Hub."""
    return Vendor(client)


@pytest.fixture
def customer(sim, client):
    """An admin of an org without any package."""
    return Customer(client, sim.org("Stonebridge"))


def test_an_installed_app_is_known_and_an_uninstalled_one_is_not(sim, vendor, customer, caller_of):
    """Before the install, after it, and after the end of it."""
    caller, org = caller_of(app="Plain"), sim.org("Stonebridge")
    version = vendor.released()
    assert caller.authorize(org)["error"] == "OAUTH_EC_APP_NOT_FOUND"
    assert customer.install(version)["Status"] == "SUCCESS"
    tokens = caller.connect(org)
    assert caller.call(tokens["access_token"], org).status_code == 200
    assert customer.uninstall(version)["Status"] == "Success"
    assert error_of(caller.refresh(tokens["refresh_token"]))[0] == "invalid_grant"
    assert caller.call(tokens["access_token"], org).status_code == 401
    assert caller.authorize(org)["error"] == "OAUTH_EC_APP_NOT_FOUND"


def test_scopes_are_those_of_the_installed_version(sim, vendor, customer, caller_of):
    """One that the vendor added since is refused until the upgrade."""
    parts = vendor.app_parts()
    version = vendor.released({})
    customer.install(version)
    sim.change_app("Plain", scopes=["api", "refresh_token", "id", "web"])
    caller, org = caller_of(app="Plain"), sim.org("Stonebridge")
    assert caller.authorize(org, scope="api web")["error"] == "invalid_scope"
    assert set(caller.connect(org)["scope"].split()) == {"api", "refresh_token", "id"}
    path, inner = parts["ExtlClntAppOauthSettings:Plain_oauth"]
    wider = {"ExtlClntAppOauthSettings:Plain_oauth": (path, inner.replace("Api,", "Api, Web,"))}
    package_id = vendor.query("SELECT Id FROM Package2").json()["records"][0]["Id"]
    row, errors = vendor.request_version(package_id, parts | wider, number="1.1.0.NEXT")
    assert errors == []
    upgrade = row["Package2Version"]["SubscriberPackageVersionId"]
    vendor.promote(upgrade)
    assert customer.install(upgrade)["Status"] == "SUCCESS"
    assert "code" in caller.authorize(org, scope="api web")


def test_what_a_package_brings_carries_its_namespace(vendor, customer):
    """Object, field of a standard object, event and flow; the flow does what its file says."""
    customer.install(vendor.released())
    account = customer.get("/query", q="SELECT Id, OwnerId FROM Account LIMIT 1").json()
    account = account["records"][0]
    made = customer.post(
        "/sobjects/acme__Usage__c",
        {"acme__Key__c": "one", "acme__Account__c": account["Id"]},
    )
    assert made.status_code == 201, made.text
    text = "SELECT Name, acme__Account__r.acme__Plan__c FROM acme__Usage__c"
    found = customer.get("/query", q=text).json()["records"]
    assert [row["Name"] for row in found] == ["U-0001"]
    children = "SELECT Id, (SELECT acme__Key__c FROM acme__Usages__r) FROM Account"
    assert customer.get("/query", q=children).status_code == 200
    event = customer.post("/sobjects/acme__Alert__e", {"acme__Text__c": "soon"})
    assert event.status_code == 201, event.text
    listed = customer.get("/actions/custom/flow").json()["actions"]
    assert [action["name"] for action in listed] == ["acme__Alert"]
    ran = customer.post(
        "/actions/custom/flow/acme__Alert", {"inputs": [{"accountId": account["Id"]}]}
    )
    assert ran.json()[0]["isSuccess"] is True, ran.text
    tasks = customer.get("/query", q="SELECT OwnerId, WhatId FROM Task WHERE Subject = 'Renewal'")
    (task,) = tasks.json()["records"]
    assert (task["WhatId"], task["OwnerId"]) == (account["Id"], account["OwnerId"])
    wrong = customer.post("/actions/custom/flow/acme__Alert", {"inputs": [{"other": 1}]})
    assert (wrong.status_code, wrong.json()[0]["errors"][0]["statusCode"]) == (
        400,
        "INVALID_API_INPUT",
    )


def test_records_are_back_when_the_package_is(vendor, customer):
    """Uninstalled, its object is unknown."""
    version = vendor.released()
    customer.install(version)
    assert customer.post("/sobjects/acme__Usage__c", {}).status_code == 201
    customer.uninstall(version)
    gone = customer.get("/query", q="SELECT Id FROM acme__Usage__c")
    assert gone.json()[0]["errorCode"] == "INVALID_TYPE"
    customer.install(version)
    count = customer.get("/query", q="SELECT COUNT() FROM acme__Usage__c")
    assert count.json()["totalSize"] == 1


def test_a_beta_is_for_sandboxes(sim, client, vendor, customer):
    """And cannot be upgraded there."""
    package_id = vendor.package().json()["id"]
    beta = vendor.version(package_id)
    refused = customer.install(beta)
    assert refused["Status"] == "ERROR"
    assert "Beta" in refused["Errors"]["errors"][0]["message"]
    uat = sim.org("Northwind UAT")
    sim.change_policy(uat, installed=False)  # the package that the world began with
    sandbox = Customer(client, uat, client.sandbox_login_url)
    assert sandbox.install(beta)["Status"] == "SUCCESS"
    later = vendor.version(package_id)
    assert "can't be upgraded" in sandbox.install(later)["Errors"]["errors"][0]["message"]


def test_the_dev_hub_is_told_of_installs_after_a_lag(sim, vendor, customer, client):
    """As long as the fault says; queries know, outside the Tooling API."""
    version = vendor.released()
    text = (
        "SELECT OrgKey, OrgName, InstalledStatus FROM PackageSubscriber WHERE"
        " MetadataPackageVersionId"
    )
    path = f"/query?q={text} = '{version}'".replace(" ", "+")

    def told():
        rows = client.call(vendor.token, vendor.hub, path).json()["records"]
        return [(row["OrgKey"], row["InstalledStatus"]) for row in rows]

    fault = sim.fault("subscriber_lag", options={"delay": "PT10M"}, times=0)
    customer.install(version)
    assert told() == []
    sim.advance("PT11M")
    org = sim.org("Stonebridge")["org_id"][:15]
    assert told() == [(org, "i")]
    sim.control.delete(f"/faults/{fault}")
    customer.uninstall(version)
    assert told() == [(org, "u")]
    releases = (
        "/query?q=SELECT+ReleaseState,MetadataPackage.Name+FROM+MetadataPackageVersion"
        f"+WHERE+Id='{version}'"
    )
    (row,) = client.call(vendor.token, vendor.hub, releases).json()["records"]
    assert (row["ReleaseState"], row["MetadataPackage"]["Name"]) == ("Released", "Acme")


def test_a_changed_app_is_in_force_after_a_delay_where_a_fault_says_so(
    sim, vendor, caller_of, client
):
    """A new one is unknown, a changed one as it was."""
    path, inner = APP["ExtlClntAppGlobalOauthSettings:Plain_glbloauth"]
    changed = {"ExtlClntAppGlobalOauthSettings:Plain_glbloauth": (path, inner.replace("9/", "10/"))}
    sim.fault("propagation_delay", options={"delay": "PT10M"}, times=0)
    caller = caller_of(app="Plain")
    deploy_by_soap(client, vendor.hub, vendor.token, zip_of(APP | changed))
    new = {"redirect_uri": "http://localhost:10/callback"}
    assert "redirect_uri" in caller.authorize_answer(**new).text
    assert caller.authorize_answer().status_code == 302
    sim.advance("PT11M")
    assert caller.authorize_answer(**new).status_code == 302
    assert "redirect_uri" in caller.authorize_answer().text


def test_names_and_numbers_of_packages_are_minded(vendor):
    """A namespace that is not linked, a name that is taken, a package that is none."""
    assert vendor.package(NamespacePrefix="other").status_code == 400
    assert (
        vendor.client.sim.control.post(
            "/dev-hub/namespaces", json={"namespace": "other"}
        ).status_code
        == 204
    )
    assert vendor.package(NamespacePrefix="other").status_code == 201
    assert vendor.package(NamespacePrefix="other").json()[0]["errorCode"] == "DUPLICATE_VALUE"
    gone = vendor.client.http.get(
        vendor.url(vendor.hub, "/sobjects/Package2/0Ho000000000001AAA"), headers=vendor.headers
    )
    assert (gone.status_code, gone.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_answers_of_the_tooling_api_say_how_many_calls_were_made(vendor):
    """As every answer to a session does: found or not, taken or refused."""
    url = vendor.url(vendor.hub, "/sobjects/Package2")
    answers = [
        vendor.client.http.get(f"{url}/0Ho000000000001AAA", headers=vendor.headers),
        vendor.package(),
        vendor.package(NamespacePrefix="other"),
        vendor.client.http.get(
            vendor.url(vendor.hub, "/query"), params={"q": "x"}, headers=vendor.headers
        ),
    ]
    assert [answer.status_code for answer in answers] == [404, 201, 400, 400]
    said = [answer.headers["sforce-limit-info"] for answer in answers]
    numbers = [int(re.fullmatch(r"api-usage=([0-9]+)/15000", one)[1]) for one in said]
    assert numbers == list(range(numbers[0], numbers[0] + 4))


def test_a_version_that_names_no_link_or_the_wrong_app_is_not_built(vendor):
    """The request ends with errors that name the component."""
    package_id = vendor.package().json()["id"]
    parts = vendor.app_parts()
    oauth = "ExtlClntAppOauthSettings:Plain_oauth"
    path, inner = parts[oauth]
    cut = parts | {oauth: (path, inner.split("<oauthLink>")[0])}
    row, errors = vendor.request_version(package_id, cut)
    assert row["Status"] == "Error"
    assert errors == [
        'Plain_oauth: Cannot invoke "String.split(String)" because "oauthLink" is null'
    ]
    alone = {oauth: parts[oauth]}
    assert "INVALID_CROSS_REFERENCE_KEY" in vendor.request_version(package_id, alone)[1][0]
    assert vendor.request_version(package_id, {})[1] == ["The package version has no components."]


def test_an_app_of_another_org_needs_a_flag_in_the_build(sim, vendor, client):
    """Owned by the Dev Hub it needs none."""
    owner = sim.org()
    token = client.connect(owner)["access_token"]
    deploy_by_soap(client, owner, token, zip_of())
    parts = vendor.app_parts(owner, token)
    package_id = vendor.package().json()["id"]
    _, errors = vendor.request_version(package_id, parts)
    assert "created in ephemeral orgs can't be packaged" in errors[0]
    flag = "<enablePackageEcaOauthFromDevOrg>true</enablePackageEcaOauthFromDevOrg>"
    assert vendor.request_version(package_id, parts, settings=flag)[1] == []


def test_what_a_package_cannot_carry_is_dropped_from_permission_sets(sim, vendor, customer):
    """Standard objects, their fields, and user permissions."""
    customer.install(vendor.released())
    asked = (
        "<retrieve><request><unpackaged><types><members>*</members><name>PermissionSet</name>"
        "</types><version>68.0</version></unpackaged></request></retrieve>"
    )
    client, org = customer.client, customer.org
    job = re.search(r"<id>(09S\w{15})</id>", call_soap(client, org, customer.token, asked).text)[1]
    check = f"<checkRetrieveStatus><asyncProcessId>{job}</asyncProcessId></checkRetrieveStatus>"
    said = call_soap(client, org, customer.token, check).text
    files = unzip(base64.b64decode(re.search("<zipFile>(.*)</zipFile>", said)[1]))
    text = files["unpackaged/permissionsets/acme__Reader.permissionset"].decode()
    assert "Usage__c" in text
    assert "Contact.Plan__c" in text
    assert "<object>Contact<" not in text
    assert "Contact.Email" not in text
    assert "userPermissions" not in text
    assert sim.line["canary"] not in text


def test_packaging_is_for_admins_and_for_the_dev_hub(sim, client, vendor):
    """Elsewhere its objects are unknown."""
    standard = client.connect(vendor.hub, user_of(vendor.hub, "standard"))["access_token"]
    headers = {"Authorization": f"Bearer {standard}"}
    url = vendor.url(vendor.hub, "/sobjects/Package2")
    refused = client.http.post(url, json={"Name": "No"}, headers=headers)
    assert refused.status_code == 403
    token = client.connect(sim.org())["access_token"]
    there = {"Authorization": f"Bearer {token}"}
    asked = vendor.query("SELECT Id FROM Package2", sim.org(), there)
    assert asked.json()[0]["errorCode"] == "INVALID_TYPE"


def test_a_kept_world_keeps_packages_and_what_they_brought(tmp_path):
    """The same versions, installs and records after a restart."""
    with OrgsimProgram("--data", str(tmp_path)) as first, Caller(first, app="Scratch") as client:
        version = Vendor(client).released(PARTS)
        customer = Customer(client, first.org("Stonebridge"))
        customer.install(version)
        assert customer.post("/sobjects/acme__Usage__c", {}).status_code == 201
    with OrgsimProgram("--data", str(tmp_path)) as again, Caller(again, app="Scratch") as client:
        customer = Customer(client, again.org("Stonebridge"))
        count = customer.get("/query", q="SELECT COUNT() FROM acme__Usage__c").json()
        assert count["totalSize"] == 1
        text = "SELECT SubscriberPackageVersionId FROM InstalledSubscriberPackage"
        rows = customer.get("/tooling/query", q=text).json()["records"]
        assert [row["SubscriberPackageVersionId"] for row in rows] == [version]
