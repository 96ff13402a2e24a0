"""The main job as a person does it in a browser, with either pair of hands."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import expect
from tests.browser.hands import Hands
from tests.support.browser import Person
from tools.world import World

_PATIENCE: Final = 20.0  # seconds


@dataclass(kw_only=True)
class Walk:
    """One user of Acme's, and the org that is theirs."""

    person: Person
    hands: Hands
    world: World

    def whole(self) -> None:
        """From the login to the disconnect."""
        self.log_in(self.world.unconnected_user())
        self.to_connect_page()
        self.to_salesforce()
        self.log_in_at_salesforce(self.world.unconnected_org())
        self.consent()
        self.read_and_tell()
        self.disconnect()

    def log_in(self, user: Mapping[str, Any]) -> None:
        """Log in at Acme."""
        self.person.open("/login")
        self.hands.write("username", user["username"])
        self.hands.write("password", user["password"])
        self.hands.press("login")
        expect(self.person.page).to_have_url(f"{self.person.names['acme']}/settings")

    def to_connect_page(self) -> None:
        """Ask for a connection."""
        self._see_state("Not connected")
        self.hands.press("connect-to-salesforce")
        service = re.escape(self.person.names["service"])
        expect(self.person.page).to_have_url(re.compile(rf"{service}/connect/[^/?]+"))

    def to_salesforce(self, environment: str = "production", my_domain: str = "") -> None:
        """Say which org it is, and go."""
        self.hands.choose("environment", environment)
        if my_domain:
            self.hands.write("my_domain", my_domain)
        self.hands.press("connect")

    def log_in_at_salesforce(self, org: Mapping[str, Any], role: str = "admin") -> None:
        """Log in at the login host."""
        user = next(user for user in org["users"] if user["role"] == role)
        self.hands.write("username", user["username"])
        self.hands.write("password", user["password"])
        self.hands.press("Login")

    def consent(self) -> None:
        """Approve; come back to Acme."""
        self.hands.press("oaapprove")
        expect(self.person.page).to_have_url(f"{self.person.names['acme']}/settings")
        self._see_told("Connected to ")
        self._see_state("Connected")

    def read_and_tell(self) -> None:
        """Look at contacts and opportunities; press each of the three buttons."""
        self.hands.press("to-salesforce")
        for table in ("contacts", "opportunities"):
            expect(self.person.page.locator(f"#{table} tbody tr").first).to_be_visible()
        for button, told in (
            ("push-usage", "Usage of "),
            ("log-activity", "The activity of "),
            ("raise-alert", "The renewal alert for "),
        ):
            self.hands.press(button)
            self._see_told(told)

    def disconnect(self) -> None:
        """Let the org go; it is gone when the revocation has run at Salesforce."""
        self.hands.press("to-settings")
        self.hands.press("disconnect")
        self._see_told("Salesforce is disconnected.")
        give_up = time.monotonic() + _PATIENCE
        while self.person.text("#state") != "Not connected" and time.monotonic() < give_up:
            self.person.page.reload()
        self._see_state("Not connected")

    def _see_told(self, beginning: str) -> None:
        notice = self.person.page.get_by_role("status")
        expect(notice).to_have_text(re.compile(rf"^\s*{re.escape(beginning)}"))

    def _see_state(self, state: str) -> None:
        expect(self.person.page.locator("#state")).to_have_text(state)
