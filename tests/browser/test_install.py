"""People install the package: an admin who was sent the link, or somebody before all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.sync_api import expect
from tests.browser.hands import Hands, Keyboard, Mouse
from tests.browser.looks import faults_of
from tests.browser.walk import Walk
from tests.support.browser import NARROW, Person
from tests.support.vendor import Vendor
from tools.world import World


@pytest.fixture
def org(vendor: Vendor) -> Iterator[dict[str, Any]]:
    """An org without the package, which it does not have afterwards either."""
    org = vendor.org("Stonebridge")
    yield dict(org)
    acme = vendor.world.line["simulator"]["apps"][0]["consumer_key"]
    path = f"/orgs/{org['org_id']}/apps/{acme}"
    vendor.control.patch(path, json={"installed": False}).raise_for_status()


def log_in(hands: Hands, org: dict[str, Any], role: str = "admin") -> None:
    """Fill in the login form of a simulated org."""
    user = Vendor.user(org, role)
    hands.write("username", user["username"])
    hands.write("password", user["password"])
    hands.press("Login")


def stonebridge(world: World) -> dict[str, Any]:
    """Acme's user of that org."""
    users: list[dict[str, Any]] = world.line["acme"]["users"]
    return next(user for user in users if user["customer_id"] == "stonebridge")


def test_a_user_sends_the_link_an_admin_installs_and_the_user_goes_on(
    open_browser: Callable[..., Person], world: World, org: dict[str, Any]
) -> None:
    """The letter has the package's link and no right to connect; the user's page waits."""
    user, admin = open_browser(), open_browser()
    walk = Walk(person=user, hands=Mouse(user), world=world)
    walk.log_in(stonebridge(world))
    walk.to_connect_page()
    assert faults_of(user, "install-first") == []
    letter = user.page.get_attribute("#send-link", "href") or ""
    link = user.page.get_attribute("#install-link", "href") or ""
    written = unquote(parse_qs(urlsplit(letter).query)["body"][0])
    assert link in written
    assert user.names["service"] not in written

    admin.open(link)
    log_in(Mouse(admin), org)
    assert faults_of(admin, "package-install") == []
    Mouse(admin).choose("install_for", "all")
    Mouse(admin).press("install")
    assert faults_of(admin, "package-installed") == []
    Mouse(admin).press("done")
    expect(admin.page).to_have_url(f"{admin.names['acme']}/login")

    walk.hands.press("installed")
    walk.log_in_at_salesforce(org)
    walk.consent()
    walk.disconnect()


def test_install_first_then_connect(person: Person, world: World, org: dict[str, Any]) -> None:
    """By keyboard: from the install link to the product's own page, and on to a connection."""
    hands = Keyboard(person)
    person.open(f"https://login.salesforce.com/{_path(world)}")
    log_in(hands, org)
    hands.choose("install_for", "profiles")
    hands.press("install")
    hands.press("done")
    walk = Walk(person=person, hands=hands, world=world)
    walk.log_in(stonebridge(world))
    walk.to_connect_page()
    walk.to_salesforce()
    if person.has("Login"):
        walk.log_in_at_salesforce(org)
    walk.consent()


def test_whoever_went_ahead_finds_the_install_link_on_the_page_that_says_so(
    open_browser: Callable[..., Person], world: World, org: dict[str, Any]
) -> None:
    """The org says that it does not know the app; the page has the link for that environment."""
    person = open_browser(size=NARROW, javascript=False)
    walk = Walk(person=person, hands=Mouse(person), world=world)
    walk.log_in(stonebridge(world))
    walk.to_connect_page()
    walk.to_salesforce()
    walk.log_in_at_salesforce(org)
    assert person.code == "app_not_installed"
    assert person.sideways() == 0
    link = person.page.get_attribute("#install-link", "href") or ""
    assert link == f"https://login.salesforce.com/{_path(world)}"


def test_somebody_who_is_no_admin_is_told_so(
    person: Person, world: World, org: dict[str, Any]
) -> None:
    """A standard user who follows the link can install nothing."""
    person.open(f"https://login.salesforce.com/{_path(world)}")
    log_in(Mouse(person), org, "standard")
    assert "Insufficient Privileges" in person.text("h1")
    assert faults_of(person, "package-refused") == []


def test_the_link_fits_the_org_that_is_chosen(person: Person, world: World, vendor: Vendor) -> None:
    """Production and sandbox have different hosts; one link is to be seen at a time."""
    session = vendor.begin("northwind-uat", environment="sandbox")
    person.open(session["url"])
    link = person.page.get_attribute("#install-link", "href") or ""
    assert link == f"https://test.salesforce.com/{_path(world)}"
    assert not person.has("install-link-production")
    Mouse(person).choose("environment", "production")
    assert person.has("install-link-production")
    assert not person.has("install-link")


def _path(world: World) -> str:
    return str(world.line["simulator"]["install_urls"]["production"]).split("/", 3)[3]
