"""External Client Apps as rows: what a monitor of an org reads of settings and policies."""

import pytest
from metadata_calls import deploy_by_soap, zip_of
from orgsim_program import user_of
from packaging_calls import Customer, Vendor

POLICIES = (
    "SELECT ExternalClientApplication.DeveloperName, PermittedUsersPolicyType,"
    " RefreshTokenPolicyType, RefreshTokenValidityPeriod, IpRelaxationPolicyType"
    " FROM ExtlClntAppOauthPlcyCnfg"
)
SCOPES = (
    "SELECT DeveloperName, OauthScopesAPI, OauthScopesREFRESH_TOKEN, OauthScopesFULL"
    " FROM ExtlClntAppOauthSettings"
)


@pytest.fixture
def client(caller_of):
    """A client that gets in everywhere."""
    return caller_of(app="Scratch")


def rows(client, org, text, *, tooling, role="admin"):
    """Query as somebody of an org; return the answer."""
    token = client.connect(org, user_of(org, role))["access_token"]
    path = f"/services/data/v68.0{'/tooling' if tooling else ''}/query"
    headers = {"Authorization": f"Bearer {token}"}
    return client.http.get(f"{client.org_url(org)}{path}", params={"q": text}, headers=headers)


def records(answer):
    """Return the records without their attributes."""
    return [
        {
            name: value["DeveloperName"] if isinstance(value, dict) else value
            for name, value in record.items()
            if name != "attributes"
        }
        for record in answer.json()["records"]
    ]


@pytest.mark.parametrize("tooling", [True, False], ids=["tooling", "data"])
def test_a_deployed_app_shows_scopes_and_default_policies(client, tooling):
    """To the Tooling API and to other queries alike."""
    hub = Vendor(client).hub
    (scopes,) = records(rows(client, hub, SCOPES, tooling=tooling))
    assert scopes == {
        "DeveloperName": "Plain_oauth",
        "OauthScopesAPI": True,
        "OauthScopesREFRESH_TOKEN": True,
        "OauthScopesFULL": False,
    }
    (policies,) = records(rows(client, hub, POLICIES, tooling=tooling))
    assert policies == {
        "ExternalClientApplication": "Plain",
        "PermittedUsersPolicyType": "AllSelfAuthorized",
        "RefreshTokenPolicyType": "SpecificLifetime",
        "RefreshTokenValidityPeriod": 365,
        "IpRelaxationPolicyType": "Enforce",
    }


def test_an_installed_app_shows_what_its_admin_decided(sim, client):
    """Under the package's namespace; the plug-in is on until the admin switches it off."""
    org = sim.org("Stonebridge")
    Customer(client, org).install(Vendor(client).released())
    (app,) = [app for app in sim.control.get("/apps").json() if app["name"] == "Plain"]
    policy = {"permitted_users": "pre_authorized", "refresh_policy": "infinite"}
    path = f"/orgs/{org['org_id']}/apps/{app['consumer_key']}"
    assert sim.control.patch(path, json=policy).is_success

    (policies,) = records(rows(client, org, POLICIES, tooling=True))
    assert policies["PermittedUsersPolicyType"] == "AdminApprovedPreAuthorized"
    assert policies["RefreshTokenPolicyType"] == "Infinite"
    assert policies["RefreshTokenValidityPeriod"] is None
    text = "SELECT NamespacePrefix, ManageableState FROM ExternalClientApplication"
    (header,) = records(rows(client, org, text, tooling=False))
    assert header == {"NamespacePrefix": "acme", "ManageableState": "installed"}
    text = "SELECT IsEnabled, OauthPluginStatus FROM ExtlClntAppPlcyCnfg"
    (plugin,) = records(rows(client, org, text, tooling=True))
    assert plugin == {"IsEnabled": True, "OauthPluginStatus": "Enabled"}


def test_the_first_app_is_there_only_where_it_is_installed(sim, client):
    """The world has it from the start, and none of its files."""
    text = "SELECT DeveloperName FROM ExternalClientApplication"
    assert records(rows(client, sim.org("Larkfield"), text, tooling=False)) == [
        {"DeveloperName": "Acme"}
    ]
    assert records(rows(client, sim.org("Stonebridge"), text, tooling=False)) == []


def test_a_pre_authorized_permission_set_is_an_access_to_the_app(client):
    """`ParentId` is the permission set, `SetupEntityId` the app."""
    vendor = Vendor(client)
    deploy_by_soap(
        client,
        vendor.hub,
        vendor.token,
        zip_of(
            {"PermissionSet:Reader": ("permissionsets/Reader.permissionset", "<label>R</label>")}
        ),
    )
    policies = (
        "<commaSeparatedPermissionSet>Reader</commaSeparatedPermissionSet>"
        "<externalClientApplication>Plain</externalClientApplication>"
        "<permittedUsersPolicyType>AdminApprovedPreAuthorized</permittedUsersPolicyType>"
    )
    path = "extlClntAppOauthPolicies/Plain_defaultPolicy.ecaOauthPlcy"
    kind = "ExtlClntAppOauthConfigurablePolicies:Plain_defaultPolicy"
    deploy_by_soap(client, vendor.hub, vendor.token, zip_of({kind: (path, policies)}))
    text = (
        "SELECT SetupEntityId, ParentId FROM SetupEntityAccess"
        " WHERE SetupEntityType = 'ExternalClientApplication'"
    )
    (access,) = records(rows(client, vendor.hub, text, tooling=False))
    assert access["SetupEntityId"].startswith("0xI")
    assert access["ParentId"].startswith("0PS")


def test_only_admins_have_these_rows(sim, client):
    """For everybody else there is no such object."""
    text = "SELECT Id FROM ExtlClntAppOauthPlcyCnfg"
    answer = rows(client, sim.org("Larkfield"), text, tooling=False, role="standard")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_TYPE")


def test_nobody_writes_them(sim, client):
    """Policies are changed in Setup, or by a deployment."""
    org = sim.org("Larkfield")
    token = client.connect(org)["access_token"]
    url = f"{client.org_url(org)}/services/data/v68.0/tooling/sobjects/ExtlClntAppPlcyCnfg"
    answer = client.http.post(url, json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 404
