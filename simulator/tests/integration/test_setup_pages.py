"""What an admin decides on Setup pages is what the org does then."""

from collections.abc import Callable
from typing import Any

import pytest
from metadata_calls import APP, deploy_by_soap, zip_of
from orgsim_caller import Caller
from orgsim_person import Person
from orgsim_program import OrgsimProgram, user_of
from packaging_calls import Vendor

SETUP = "/lightning/setup/SetupOneHome/home"
MANAGER = "/lightning/setup/ManageExternalClientApplication/home"
USAGE = "/lightning/setup/ConnectedAppsUsage/home"
PACKAGES = "/lightning/setup/ImportedPackage/home"
SETS = "/lightning/setup/PermSets/home"


@pytest.fixture
def org(sim: OrgsimProgram) -> dict[str, Any]:
    """An org with Acme's package, which lets everybody in."""
    return sim.org()


@pytest.fixture
def admin(caller_of: Callable[..., Caller], org: dict[str, Any]) -> Person:
    """The org's admin, at Setup's home."""
    caller = caller_of()
    return Person(caller).open(f"{caller.org_url(org)}{SETUP}").log_in(org)


def policies(**changed: str) -> dict[str, str]:
    """Return the form of an app's policies, filled in."""
    return {
        "permitted_users": "all",
        "refresh_policy": "specific_lifetime",
        "refresh_days": "365",
        "session_minutes": "120",
    } | changed


def test_an_admin_pre_authorizes_a_permission_set_that_they_made(
    caller: Caller, org: dict[str, Any], admin: Person
) -> None:
    """Its holders are let in without being asked; everybody else is kept out."""
    admin.follow("to-sets").submit(label="Acme access", name="Acme_Access")
    integration = user_of(org, "integration")
    admin.submit(**{f"user.{integration['user_id']}": "on"})
    assert "said" in admin.page.by_id
    admin.follow("to-setup").follow("to-apps").follow("app-acme")
    chosen = {"through.PermissionSet:Acme_Access": "on"}
    admin.submit(**policies(permitted_users="pre_authorized"), **chosen)

    assert "code" in caller.authorize(org, integration)
    kept_out = caller.authorize(org, user_of(org, "standard"))
    assert kept_out["error"] == "OAUTH_APP_ACCESS_DENIED"


def test_who_loses_the_permission_set_is_kept_out(
    caller: Caller, org: dict[str, Any], admin: Person
) -> None:
    """An assignment that ends takes the leave with it."""
    admin.follow("to-sets").submit(label="Acme access", name="Acme_Access")
    page = admin.url
    standard = user_of(org, "standard")
    admin.submit(**{f"user.{standard['user_id']}": "on"})
    admin.follow("to-setup").follow("to-apps").follow("app-acme")
    chosen = {"through.PermissionSet:Acme_Access": "on"}
    admin.submit(**policies(permitted_users="pre_authorized"), **chosen)
    assert "code" in caller.authorize(org, standard)
    Person(admin.caller).open(page).log_in(org).submit()
    assert "error" in caller.authorize(org, standard)


def test_a_profile_lets_its_people_in(caller: Caller, org: dict[str, Any], admin: Person) -> None:
    """What the page shows as chosen is what is in force."""
    admin.follow("to-apps").follow("app-acme")
    chosen = {"through.Profile:Standard User": "on"}
    admin.submit(**policies(permitted_users="pre_authorized"), **chosen)
    assert "checked" in admin.page.by_id["through-standard-user"]
    assert "checked" not in admin.page.by_id["through-system-administrator"]
    assert "code" in caller.authorize(org, user_of(org, "standard"))
    assert "error" in caller.authorize(org)


def test_a_refresh_token_policy_of_one_day_ends_grants(
    sim: OrgsimProgram, caller: Caller, org: dict[str, Any], admin: Person
) -> None:
    """Policies that are saved hold for the grants that there are."""
    tokens = caller.connect(org)
    admin.follow("to-apps").follow("app-acme").submit(**policies(refresh_days="1"))
    sim.advance("P2D")
    assert caller.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changed",
    [
        {"refresh_days": "0"},
        {"refresh_days": "ten"},
        {"session_minutes": "1441"},
        {"permitted_users": "nobody"},
        {"refresh_policy": "sometimes"},
    ],
)
def test_policies_that_the_page_does_not_offer_are_not_saved(
    admin: Person, changed: dict[str, str]
) -> None:
    """The page comes back with a word about it."""
    admin.follow("to-apps").follow("app-acme").submit(**policies(**changed))
    assert admin.status == 422
    assert "error" in admin.page.by_id


def test_a_blocked_app_is_refused_until_it_is_unblocked(
    caller: Caller, org: dict[str, Any], admin: Person
) -> None:
    """Blocking ends its sessions at once."""
    tokens = caller.connect(org)
    admin.follow("to-usage")
    assert "Users: 1" in admin.text
    admin.submit(access="block")
    assert caller.call(tokens["access_token"], org).status_code == 401
    assert caller.authorize(org)["error"] == "OAUTH_APP_BLOCKED"
    Person(admin.caller).open(f"{caller.org_url(org)}{USAGE}").log_in(org).submit(access="unblock")
    assert "code" in caller.authorize(org)


def test_an_uninstalled_package_is_gone_with_all_that_it_was_granted(
    sim: OrgsimProgram, caller: Caller, org: dict[str, Any], admin: Person
) -> None:
    """It has to be confirmed; afterwards the org does not know the app."""
    tokens = caller.connect(org)
    admin.follow("to-packages").submit()
    assert sim.org()["package_installed"] is True
    admin.submit(confirm="yes")
    assert sim.org()["package_installed"] is False
    assert caller.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert caller.authorize(org)["error"] == "OAUTH_EC_APP_NOT_FOUND"
    admin.follow("to-setup").follow("to-apps")
    assert "app-acme" not in admin.page.by_id


def test_a_built_package_and_its_permission_set_are_there_to_be_managed(
    caller_of: Callable[..., Caller], org: dict[str, Any], admin: Person
) -> None:
    """What the Dev Hub built is listed, its app has policies, and it can be uninstalled."""
    admin.follow("to-packages").submit(confirm="yes")
    version = Vendor(caller_of(app="Scratch")).released()
    url = admin.caller.org_url(org)
    admin.open(f"{url}/packaging/installPackage.apexp?p0={version}").submit(install_for="all")
    admin.open(f"{url}{SETS}")
    assert "set-acme__reader" in admin.page.by_id
    admin.open(f"{url}{MANAGER}")
    admin.follow("app-plain")
    assert "through-acme__reader" in admin.page.by_id
    admin.open(f"{url}{PACKAGES}").submit(confirm="yes")
    assert "No package is installed" in admin.text


@pytest.mark.parametrize("path", [SETUP, MANAGER, USAGE, PACKAGES, SETS])
def test_setup_is_for_admins(caller: Caller, org: dict[str, Any], path: str) -> None:
    """Everybody else is told whom to ask."""
    person = Person(caller).open(f"{caller.org_url(org)}{path}").log_in(org, "standard")
    assert person.status == 403
    assert "Insufficient Privileges" in person.text


def test_a_form_that_was_not_shown_changes_nothing(sim: OrgsimProgram, admin: Person) -> None:
    """Another site cannot know the token of the form."""
    admin.follow("to-packages").submit(confirm="yes", token="forged")
    assert admin.status == 403
    assert sim.org()["package_installed"] is True


def test_what_is_not_there_is_said_to_be_gone(admin: Person, org: dict[str, Any]) -> None:
    """Apps, permission sets and packages of other orgs are not there."""
    url = admin.caller.org_url(org)
    for kind in ("ManageExternalClientApplication", "PermSets"):
        admin.open(f"{url}/lightning/setup/{kind}/000000000000000AAA/view")
        assert admin.status == 404


@pytest.mark.parametrize("name", ["", "9_lives", "two words", "double__underscore", "_first"])
def test_a_permission_set_has_an_api_name(admin: Person, name: str) -> None:
    """A name that no org would take is refused."""
    admin.follow("to-sets").submit(label="Acme access", name=name)
    assert admin.status == 422


def test_a_name_is_taken_once(admin: Person) -> None:
    """Names are compared without case."""
    admin.follow("to-sets").submit(label="Acme access", name="Acme_Access")
    admin.follow("to-setup").follow("to-sets")
    admin.submit(label="Again", name="ACME_ACCESS")
    assert admin.status == 422


def test_a_kept_world_keeps_what_the_admin_decided(tmp_path: Any) -> None:
    """Assignments and policies outlive the program."""
    for turn in range(2):
        with OrgsimProgram("--data", str(tmp_path)) as sim, Caller(sim) as caller:
            org = sim.org()
            standard = user_of(org, "standard")
            if turn == 0:
                admin = Person(caller).open(f"{caller.org_url(org)}{SETS}").log_in(org)
                admin.submit(label="Acme access", name="Acme_Access")
                admin.submit(**{f"user.{standard['user_id']}": "on"})
                admin.follow("to-setup").follow("to-apps").follow("app-acme")
                chosen = {"through.PermissionSet:Acme_Access": "on"}
                admin.submit(**policies(permitted_users="pre_authorized"), **chosen)
            assert "code" in caller.authorize(org, standard)
            assert "error" in caller.authorize(org)


def test_a_deployed_policy_opens_the_same_gates(
    sim: OrgsimProgram, caller_of: Callable[..., Caller]
) -> None:
    """Permission sets and profiles go by their names; those that are not there open nothing."""
    client, hub = caller_of(app="Scratch"), sim.control.get("/dev-hub").json()
    token = client.connect(hub)["access_token"]
    policy = (
        "<commaSeparatedPermissionSet>Opens, Unknown</commaSeparatedPermissionSet>"
        "<commaSeparatedProfile>Standard User</commaSeparatedProfile>"
        "<externalClientApplication>Plain</externalClientApplication>"
        "<permittedUsersPolicyType>AdminApprovedPreAuthorized</permittedUsersPolicyType>"
    )
    opens = ("permissionsets/Opens.permissionset", "<label>Opens</label>")
    parts = APP | {"PermissionSet:Opens": opens}
    assert "Succeeded" in deploy_by_soap(client, hub, token, zip_of(parts))
    path = "extlClntAppOauthPolicies/Plain_defaultPolicy.ecaOauthPlcy"
    parts = {"ExtlClntAppOauthConfigurablePolicies:Plain_defaultPolicy": (path, policy)}
    assert "Succeeded" in deploy_by_soap(client, hub, token, zip_of(parts))
    caller = caller_of(app="Plain")
    assert "code" in caller.authorize(hub, user_of(hub, "standard"))
    assert "error" in caller.authorize(hub, user_of(hub, "integration"))
    admin = Person(caller).open(f"{caller.org_url(hub)}{MANAGER}").log_in(hub).follow("app-plain")
    assert "checked" in admin.page.by_id["through-opens"]


def test_an_admin_lets_consumer_secrets_out_by_the_rest_api(
    caller_of: Callable[..., Caller], sim: OrgsimProgram
) -> None:
    """Off until it is ticked; a deployment of the settings and the page are about the same."""
    hub = sim.line["dev_hub"]
    admin = Person(caller_of()).open(f"{hub['my_domain_url']}{SETUP}").log_in(hub)
    admin.follow("to-app-settings")
    assert "checked" not in admin.page.by_id["secrets-by-rest"]
    admin.submit(secrets_by_rest="on")
    assert "said" in admin.page.by_id
    assert "checked" in admin.page.by_id["secrets-by-rest"]
    admin.submit()
    assert "checked" not in admin.page.by_id["secrets-by-rest"]
