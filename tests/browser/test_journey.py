"""A person connects Salesforce and uses it, under the names that are true in the world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, Playwright
from tests.browser.hands import Keyboard, Mouse
from tests.browser.walk import Walk
from tests.support.browser import NARROW, NoBrowser, Person, find_chromium, running_chromium
from tests.support.vendor import Vendor
from tools.world import World

pytestmark = pytest.mark.usefixtures("vendor")


def test_by_mouse(person: Person, world: World) -> None:
    """Every step by clicks."""
    Walk(person=person, hands=Mouse(person), world=world).whole()
    _nothing_is_left_behind(person, world)


def test_by_keyboard_alone(person: Person, world: World) -> None:
    """Every step by Tab, Enter, Space and arrows; the focus is seen at every stop."""
    Walk(person=person, hands=Keyboard(person), world=world).whole()
    _nothing_is_left_behind(person, world)


def test_by_keyboard_on_a_narrow_window(open_browser: Callable[..., Person], world: World) -> None:
    """Every step by Tab, Enter, Space and arrows, where there is room for a phone's width only."""
    person = open_browser(size=NARROW)
    Walk(person=person, hands=Keyboard(person), world=world).whole()


def test_without_javascript(open_browser: Callable[..., Person], world: World) -> None:
    """Every step in a browser that runs no scripts, on a narrow window."""
    person = open_browser(javascript=False, size=NARROW)
    Walk(person=person, hands=Mouse(person), world=world).whole()


def test_on_plain_ports(open_browser: Callable[..., Person], world: World) -> None:
    """Every step at the addresses that `make demo` prints."""
    plain = {"acme": world.line["acme"]["url"], "service": world.line["service_url"]}
    person = open_browser(names=plain)
    Walk(person=person, hands=Mouse(person), world=world).whole()


def test_a_sandbox_by_its_own_login_host(person: Person, world: World, vendor: Vendor) -> None:
    """Sandbox leads to the sandboxes' login, and their org comes back."""
    walk = Walk(person=person, hands=Mouse(person), world=world)
    walk.log_in(next(u for u in world.line["acme"]["users"] if u["customer_id"] == "northwind-uat"))
    walk.to_connect_page()
    walk.to_salesforce("sandbox")
    assert person.page.url.startswith(person.names["sandbox_login"])
    walk.log_in_at_salesforce(vendor.org("Northwind UAT"))
    walk.consent()
    assert person.text("#org-name") == "Northwind UAT"


def test_my_domain_by_the_address_of_a_setup_page(
    person: Person, world: World, vendor: Vendor
) -> None:
    """What a person copies from their browser is good enough."""
    org = vendor.org("Brightwater")
    walk = Walk(person=person, hands=Mouse(person), world=world)
    walk.log_in(world.unconnected_user())
    walk.to_connect_page()
    pasted = f"https://{org['my_domain']}.lightning.force.com/lightning/setup/SetupOneHome/home"
    walk.to_salesforce("my_domain", pasted)
    assert urlsplit(person.page.url).netloc == f"{org['my_domain']}.my.salesforce.com"
    walk.log_in_at_salesforce(org)
    walk.consent()


def _nothing_is_left_behind(person: Person, world: World) -> None:
    """No secret in an address that Back leads to; no address told to another site; safe cookies."""
    history = person.history()
    assert len(history) > 8
    assert [url.partition("?")[0] for url in history if world.canary in url] == []
    assert [url for url in history if "confirmation_code" in url or "/oauth/callback" in url] == []
    assert [
        (request.url.partition("?")[0], told)
        for request in person.requests
        if (told := request.headers.get("referer"))
        and urlsplit(told).netloc != urlsplit(request.url).netloc
        and urlsplit(told).path not in {"", "/"}
    ] == []
    cookies = person.page.context.cookies()
    assert {cookie["name"] for cookie in cookies} >= {
        "__Host-acme_session",
        "__Host-keyturn_browser",
        "sid",
    }
    for cookie in cookies:
        assert cookie["secure"], cookie["name"]
        assert cookie["httpOnly"], cookie["name"]
        assert cookie["sameSite"] in {"Lax", "Strict"}, cookie["name"]
        assert not cookie["domain"].startswith("."), cookie["name"]


def test_the_browser_does_check_certificates(
    playwright: Playwright, world: World, tmp_path: Path
) -> None:
    """A Chromium whose user does not trust the world's authority opens none of its pages."""
    with running_chromium(playwright, world, tmp_path, trusting=False) as browser:
        page = browser.new_page()
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            page.goto(f"{world.line['tls']['names']['acme']}/login")


def test_without_a_browser_it_is_said_what_to_do(tmp_path: Path) -> None:
    """Neither the machine nor npm has one: that fails, and nothing is skipped."""
    with pytest.raises(NoBrowser, match="make setup"):
        find_chromium(path=str(tmp_path), root=tmp_path)
