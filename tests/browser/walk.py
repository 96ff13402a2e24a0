"""The main job as a person does it in a browser, with either pair of hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.browser.hands import Hands
from tests.support.browser import Person
from tools.world import World


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
        assert self.person.path == "/settings"

    def to_connect_page(self) -> None:
        """Ask for a connection."""
        assert self.person.text("#state") == "Not connected"
        self.hands.press("connect-to-salesforce")
        assert self.person.page.url.startswith(self.person.names["service"])

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
        assert self.person.page.url == f"{self.person.names['acme']}/settings"
        assert self.person.page.get_by_role("status").inner_text().startswith("Connected to ")
        assert self.person.text("#state") == "Connected"

    def read_and_tell(self) -> None:
        """Look at contacts and opportunities; press each of the three buttons."""
        self.hands.press("to-salesforce")
        assert self.person.page.locator("#contacts tbody tr").count() > 0
        assert self.person.page.locator("#opportunities tbody tr").count() > 0
        for button, told in (
            ("push-usage", "Usage of "),
            ("log-activity", "The activity of "),
            ("raise-alert", "The renewal alert for "),
        ):
            self.hands.press(button)
            assert self.person.page.get_by_role("status").inner_text().startswith(told)

    def disconnect(self) -> None:
        """Let the org go."""
        self.hands.press("to-settings")
        self.hands.press("disconnect")
        assert self.person.page.get_by_role("status").inner_text() == "Salesforce is disconnected."
        assert self.person.text("#state") == "Not connected"
