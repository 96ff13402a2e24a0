"""An admin works in Setup of a simulated org, where the product's advice sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.browser.admin import tick, to_setup
from tests.browser.hands import Hands, Keyboard, Mouse
from tests.browser.looks import faults_of
from tests.support.browser import Person
from tests.support.vendor import Vendor


@pytest.fixture
def org(vendor: Vendor) -> Iterator[dict[str, Any]]:
    """An org whose app is as it was afterwards."""
    org = dict(vendor.org("Brightwater"))
    yield org
    acme = vendor.world.line["simulator"]["apps"][0]["consumer_key"]
    path = f"/orgs/{org['org_id']}/apps/{acme}"
    was = {"permitted_users": "all", "blocked": False}
    vendor.control.patch(path, json=was).raise_for_status()


@pytest.mark.parametrize("kind", [Mouse, Keyboard])
def test_an_admin_pre_authorizes_the_integration_user(
    person: Person, vendor: Vendor, org: dict[str, Any], kind: Callable[[Person], Hands]
) -> None:
    """A permission set, its holder, and the app that it opens; then only that user may connect."""
    hands = kind(person)
    to_setup(person, hands, org)
    hands.press("to-sets")
    hands.write("label", "Acme access")
    hands.write("name", f"Acme_Access_{kind.__name__}")
    hands.press("make")
    tick(person, hands, "user-integration")
    hands.press("save")
    hands.press("to-setup")
    hands.press("to-apps")
    hands.press("app-acme")
    hands.choose("permitted_users", "pre_authorized")
    tick(person, hands, f"through-acme_access_{kind.__name__.lower()}")
    hands.press("save")
    assert "saved" in person.text("#said")

    assert _code(vendor, org, "integration") is None
    assert _code(vendor, org, "standard") == "user_not_authorized"


def test_every_setup_page_is_for_everybody(person: Person, org: dict[str, Any]) -> None:
    """Nothing serious for axe, no sideways scrolling, the focus seen at all stops."""
    hands = Mouse(person)
    to_setup(person, hands, org)
    faults = faults_of(person, "setup")
    for link in ("to-usage", "to-packages", "to-sets", "to-apps"):
        hands.press(link)
        faults += faults_of(person, f"setup-{link}")
        if link != "to-apps":
            hands.press("to-setup")
    hands.press("app-acme")
    faults += faults_of(person, "setup-app")
    assert faults == []


def test_an_admin_blocks_the_app_and_lets_it_in_again(
    person: Person, vendor: Vendor, org: dict[str, Any]
) -> None:
    """Where the product's advice on a blocked app sends them."""
    hands = Mouse(person)
    to_setup(person, hands, org)
    hands.press("to-usage")
    hands.press("block-acme")
    assert _code(vendor, org) == "app_blocked"
    hands.press("unblock-acme")
    assert _code(vendor, org) != "app_blocked"


def _code(vendor: Vendor, org: dict[str, Any], role: str = "admin") -> str | None:
    """Go to connect as one of the org's people; return why they are not let in."""
    plain = Vendor(vendor.world)
    session = plain.begin("brightwater")
    with plain.browser() as browser:
        plain.to_login(browser, session)
        browser.stop_before = plain.return_url
        plain.log_in(browser, org, role)
        plain.close()
        return None if browser.stopped_at else browser.code
