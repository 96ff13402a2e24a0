"""An org's admin at the simulated org's own pages: login, install page and Setup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.browser.hands import Hands, Keyboard
from tests.support.browser import Person
from tests.support.vendor import Vendor

SETUP: Final = "/lightning/setup/SetupOneHome/home"


def log_in(hands: Hands, org: Mapping[str, Any], role: str = "admin") -> None:
    """Fill in the login form."""
    user = Vendor.user(org, role)
    hands.write("username", user["username"])
    hands.write("password", user["password"])
    hands.press("Login")


def to_setup(person: Person, hands: Hands, org: Mapping[str, Any]) -> None:
    """Open Setup, by the login where nobody is logged in yet."""
    person.open(f"https://{org['my_domain']}.my.salesforce.com{SETUP}")
    if person.has("Login"):
        log_in(hands, org)


def tick(person: Person, hands: Hands, element_id: str) -> None:
    """Tick a box, or take the tick away."""
    if isinstance(hands, Keyboard):
        hands.reach(lambda at: at["id"] == element_id, element_id)
        person.page.keyboard.press("Space")
    else:
        person.page.click(f"label:has(#{element_id})")
