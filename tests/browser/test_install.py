"""People install the package: an admin who was sent the link, or somebody before all else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
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

_PATIENCE = 60_000  # milliseconds: a look at the page's slowest pace, and some more


@pytest.fixture
def org(vendor: Vendor) -> Iterator[dict[str, Any]]:
    """An org without the package, which it does not have afterwards either."""
    org = vendor.org("Stonebridge")
    vendor.until(lambda: not _is_seen(vendor, org))
    yield dict(org)
    vendor.calm()  # the Dev Hub is to know of the uninstall at once
    acme = vendor.world.line["simulator"]["apps"][0]["consumer_key"]
    path = f"/orgs/{org['org_id']}/apps/{acme}"
    vendor.control.patch(path, json={"installed": False}).raise_for_status()


def _is_seen(vendor: Vendor, org: Mapping[str, Any]) -> bool:
    """Tell whether connect pages see the package there; what they saw is told for seconds."""
    session = vendor.begin("stonebridge", my_domain=org["my_domain"])
    with vendor.browser() as user:
        user.get(session["url"])
        return not user.has("install-link")


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


@pytest.fixture
def lag(vendor: Vendor) -> Callable[[], None]:
    """The Dev Hub knows of installs late; call it to let that time pass."""
    vendor.fault("subscriber_lag", times=0, options={"delay": "PT5M"})

    def over() -> None:
        vendor.control.post("/clock", json={"advance": "PT6M"}).raise_for_status()

    return over


def install_by(admin: Person, link: str, org: dict[str, Any]) -> None:
    """Install as an admin of the org, who then comes to the product."""
    admin.open(link)
    log_in(Mouse(admin), org)
    assert faults_of(admin, "package-install") == []
    Mouse(admin).choose("install_for", "all")
    Mouse(admin).press("install")
    assert faults_of(admin, "package-installed") == []
    Mouse(admin).press("done")
    expect(admin.page).to_have_url(f"{admin.names['acme']}/login")


def test_a_user_sends_the_link_an_admin_installs_and_the_page_goes_on_by_itself(
    open_browser: Callable[..., Person],
    world: World,
    org: dict[str, Any],
    lag: Callable[[], None],
) -> None:
    """The letter has the package's link and no right to connect; the user's page waits."""
    user, admin = open_browser(), open_browser()
    walk = Walk(person=user, hands=Mouse(user), world=world)
    walk.log_in(stonebridge(world))
    walk.to_connect_page()
    status = user.page.get_by_role("status")
    expect(status).to_contain_text("Choose My Domain")
    letter = user.page.get_attribute("#send-link", "href") or ""
    link = user.page.get_attribute("#install-link", "href") or ""
    written = unquote(parse_qs(urlsplit(letter).query)["body"][0])
    assert link in written
    assert user.names["service"] not in written
    walk.hands.choose("environment", "my_domain")
    walk.hands.write("my_domain", f"{org['my_domain']}.my.salesforce.com")
    expect(status).to_contain_text("looks by itself")
    assert faults_of(user, "install-first") == []

    install_by(admin, link, org)
    with user.page.expect_response("**/install?*", timeout=_PATIENCE):
        expect(user.page.locator("#install-step")).to_be_visible()
    lag()

    expect(user.page.locator("#install-step")).to_be_hidden(timeout=_PATIENCE)
    expect(status).to_contain_text("is installed in your org")
    assert faults_of(user, "install-seen") == []
    walk.hands.press("connect")
    walk.log_in_at_salesforce(org)
    walk.consent()
    walk.disconnect()


@pytest.mark.parametrize("javascript", [True, False])
def test_before_the_dev_hub_knows_the_user_goes_on_at_their_word(
    open_browser: Callable[..., Person],
    world: World,
    org: dict[str, Any],
    lag: Callable[[], None],
    *,
    javascript: bool,
) -> None:
    """Looking again changes nothing yet; saying so does. Neither needs a script."""
    user, admin = open_browser(javascript=javascript), open_browser()
    walk = Walk(person=user, hands=Mouse(user), world=world)
    walk.log_in(stonebridge(world))
    walk.to_connect_page()
    install_by(admin, user.page.get_attribute("#install-link", "href") or "", org)
    walk.hands.choose("environment", "my_domain")
    walk.hands.write("my_domain", org["my_domain"])
    walk.hands.press("look")
    expect(user.page.locator("#install-step")).to_be_visible()
    assert user.page.input_value("#my_domain") == org["my_domain"]
    walk.hands.press("installed")
    walk.log_in_at_salesforce(org)
    walk.consent()
    walk.disconnect()
    lag()


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
    hands.choose("environment", "my_domain")
    hands.write("my_domain", org["my_domain"])
    expect(person.page.locator("#install-step")).to_be_hidden(timeout=_PATIENCE)
    hands.press("connect")
    if person.has("Login"):
        walk.log_in_at_salesforce(org)
    walk.consent()
    walk.disconnect()


def test_who_says_the_org_beforehand_sees_no_install_step(
    open_browser: Callable[..., Person], vendor: Vendor, org: dict[str, Any]
) -> None:
    """Where the package is there; where it is not, the step is the first thing on the page."""
    person = open_browser(javascript=False, size=NARROW)
    for name, seen in (("Brightwater", True), ("Stonebridge", False)):
        known = vendor.org(name)
        person.open(vendor.begin(name.lower(), my_domain=known["my_domain"])["url"])
        if seen and not person.has("install-seen"):
            Mouse(person).press("look")
        assert person.has("install-seen") is seen
        assert person.has("install-step") is not seen
        assert person.sideways() == 0
    del org


def test_a_page_looks_less_and_less_and_not_at_all_when_it_has_ended(
    person: Person, vendor: Vendor, org: dict[str, Any]
) -> None:
    """A page that is forgotten in a tab asks nobody."""
    session = vendor.begin("stonebridge", my_domain=org["my_domain"])
    person.page.clock.install()
    person.open(session["url"])
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.url))
    for wait in (3_000, 4_500, 6_750):
        asked.clear()
        person.page.clock.run_for(wait // 2)
        assert asked == []
        with person.page.expect_response("**/install?*"):
            person.page.clock.run_for(wait)
    vendor.control.post("/clock", json={"advance": "PT31M"}).raise_for_status()
    ended = person.page.get_by_text("This page has ended")
    for _ in range(20):  # the service follows the clock within a second, the page its answer
        person.page.clock.run_for(30_000)
        with contextlib.suppress(AssertionError):
            expect(ended).to_be_visible(timeout=1_000)
            break
    expect(ended).to_be_visible()
    asked.clear()
    person.page.clock.run_for(300_000)
    assert asked == []
    assert faults_of(person, "install-ended") == []


def test_the_pages_policy_allows_one_script_and_only_there(person: Person, vendor: Vendor) -> None:
    """What somebody might smuggle into a page does not run."""
    session = vendor.begin("stonebridge")
    shown = person.page.goto(session["url"])
    assert shown is not None
    assert "script-src 'self'; connect-src 'self'" in shown.headers["content-security-policy"]
    person.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'smuggled'"; document.body.append(script);
        }"""
    )
    assert person.page.title() != "smuggled"
    assert any("Content Security Policy" in said for said in person.complaints)
    person.complaints.clear()
    other = person.page.goto(f"{person.names['service']}/connect/result/host_refused")
    assert other is not None
    assert "script-src" not in other.headers["content-security-policy"]


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
