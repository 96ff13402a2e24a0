"""Every page that a person can come to, and how they come there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.browser.hands import Mouse
from tests.support.browser import Person
from tests.support.vendor import Vendor
from tools.world import World


@dataclass(kw_only=True)
class Visitor:
    """A person, and the vendor who makes the links that they open."""

    person: Person
    other: Person
    """Somebody else, with another browser."""
    vendor: Vendor
    world: World

    @property
    def hands(self) -> Mouse:
        """The person's hands."""
        return Mouse(self.person)

    def user(self, customer_id: str) -> dict[str, Any]:
        """Return Acme's user of a customer."""
        users: list[dict[str, Any]] = self.world.line["acme"]["users"]
        return next(user for user in users if user["customer_id"] == customer_id)

    def enter_acme(self, customer_id: str) -> None:
        """Log in at Acme."""
        user = self.user(customer_id)
        self.person.open("/login")
        self.write(username=user["username"], password=user["password"])
        self.hands.press("login")

    def begin(self, customer_id: str = "brightwater", **asked: Any) -> dict[str, Any]:
        """Open the link of a new connect session."""
        session = self.vendor.begin(customer_id, **asked)
        self.person.open(session["url"])
        return session

    def to_login(self, customer_id: str = "brightwater", **asked: Any) -> dict[str, Any]:
        """Press Connect on it."""
        session = self.begin(customer_id, **asked)
        self.hands.press("connect")
        return session

    def to_org(
        self, org: str, role: str = "admin", customer_id: str = "brightwater", **asked: Any
    ) -> dict[str, Any]:
        """Log in at an org."""
        session = self.to_login(customer_id, **asked)
        user = self.vendor.user(self.vendor.org(org), role)
        self.write(username=user["username"], password=user["password"])
        self.hands.press("Login")
        return session

    def approve(self, org: str, **asked: Any) -> dict[str, Any]:
        """Log in at an org and approve."""
        session = self.to_org(org, **asked)
        self.hands.press("oaapprove")
        return session

    def write(self, **texts: str) -> None:
        """Write into fields."""
        for element_id, text in texts.items():
            self.hands.write(element_id, text)


def acme_login(visitor: Visitor) -> None:
    """Acme's login."""
    visitor.person.open("/login")


def acme_login_refused(visitor: Visitor) -> None:
    """A wrong password."""
    visitor.person.open("/login")
    visitor.write(username="nobody@acme.example", password="wrong")
    visitor.hands.press("login")


def acme_logged_out(visitor: Visitor) -> None:
    """After the logout."""
    visitor.enter_acme("brightwater")
    visitor.hands.press("logout")


def acme_form_refused(visitor: Visitor) -> None:
    """A form of another browser's."""
    visitor.enter_acme("brightwater")
    visitor.person.page.context.clear_cookies()
    visitor.hands.press("connect-to-salesforce")


def acme_not_connected(visitor: Visitor) -> None:
    """Settings before anything is connected."""
    visitor.enter_acme("brightwater")


def acme_connected(visitor: Visitor) -> None:
    """Settings of who is connected."""
    visitor.enter_acme("northwind")


def acme_told_of_a_problem(visitor: Visitor) -> None:
    """A connect session that was begun elsewhere."""
    visitor.enter_acme("northwind")
    visitor.person.open("/settings?connect_session=cs_elsewhere&confirmation_code=x")


def acme_salesforce(visitor: Visitor) -> None:
    """Contacts and opportunities."""
    visitor.enter_acme("larkfield")
    visitor.hands.press("to-salesforce")


def acme_salesforce_told(visitor: Visitor) -> None:
    """The same with something to tell."""
    acme_salesforce(visitor)
    visitor.hands.press("push-usage")


def acme_salesforce_not_connected(visitor: Visitor) -> None:
    """Nothing to show."""
    visitor.enter_acme("brightwater")
    visitor.hands.press("to-salesforce")


def connect(visitor: Visitor) -> None:
    """The connect page."""
    visitor.begin()


def connect_for_somebody_else(visitor: Visitor) -> None:
    """For an admin who was sent the link."""
    visitor.begin(delivery="shared")


def connect_to_a_fixed_org(visitor: Visitor) -> None:
    """The vendor named the org."""
    my_domain = visitor.vendor.org("Brightwater")["my_domain"]
    visitor.begin(my_domain=f"{my_domain}.my.salesforce.com")


def connect_again(visitor: Visitor) -> None:
    """To reauthorize."""
    connection = visitor.world.line["connections"][0]
    visitor.begin(connection["customer_id"], connection_id=connection["id"])


def connect_host_refused(visitor: Visitor) -> None:
    """An address that is not Salesforce's."""
    visitor.begin()
    visitor.hands.choose("environment", "my_domain")
    visitor.write(
        my_domain="https://login.salesforce.com.evil.example/a-very-long-path-without-end"
    )
    visitor.hands.press("connect")


def connect_install_step(visitor: Visitor) -> None:
    """Back from Salesforce by Back, which told nobody why."""
    session = visitor.to_login("stonebridge")
    visitor.person.open(session["url"])


def failed_link_unknown(visitor: Visitor) -> None:
    """A link that was cut short."""
    visitor.person.open(f"{visitor.person.names['service']}/connect/cut-short")


def failed_link_of_another_browser(visitor: Visitor) -> None:
    """Somebody pressed Connect already."""
    session = visitor.vendor.begin("brightwater")
    visitor.other.open(session["url"])
    Mouse(visitor.other).press("connect")
    visitor.person.open(session["url"])


def failed_form_refused(visitor: Visitor) -> None:
    """Without the cookie that the page gave."""
    visitor.begin()
    visitor.person.page.context.clear_cookies()
    visitor.hands.press("connect")


def failed_access_denied(visitor: Visitor) -> None:
    """Somebody said no."""
    visitor.to_org("Brightwater")
    visitor.hands.press("oadeny")


def failed_app_not_installed(visitor: Visitor) -> None:
    """The org has no package."""
    visitor.to_org("Stonebridge", customer_id="stonebridge")


def failed_user_not_authorized(visitor: Visitor) -> None:
    """The admin has not approved this user."""
    visitor.to_org("Oakhollow", "standard", customer_id="oakhollow")


def failed_org_mismatch(visitor: Visitor) -> None:
    """Reauthorized from another org."""
    connection = visitor.world.line["connections"][0]
    visitor.approve(
        "Brightwater", customer_id=connection["customer_id"], connection_id=connection["id"]
    )


def failed_org_already_connected(visitor: Visitor) -> None:
    """The org is another customer's."""
    visitor.approve("Northwind")


def done_awaiting(visitor: Visitor) -> None:
    """An admin is through; who sent the link has to confirm."""
    visitor.approve("Brightwater", delivery="shared")


def done_confirmed(visitor: Visitor) -> None:
    """They have."""
    session = visitor.approve("Brightwater", delivery="shared")
    org_id = visitor.vendor.org("Brightwater")["org_id"]
    path = f"/v1/connect-sessions/{session['id']}/confirm"
    visitor.vendor.api.post(path, json={"org_id": org_id}).raise_for_status()
    visitor.person.page.reload()


def done_of_another_browser(visitor: Visitor) -> None:
    """A stranger is told nothing."""
    session = visitor.vendor.begin("brightwater", delivery="shared")
    visitor.person.open(f"{visitor.person.names['service']}/connect/done/{session['id']}")


def salesforce_login(visitor: Visitor) -> None:
    """The login host's page."""
    visitor.to_login()


def salesforce_login_refused(visitor: Visitor) -> None:
    """A wrong password there."""
    visitor.to_login()
    visitor.write(username="nobody@example.com", password="wrong")
    visitor.hands.press("Login")


def salesforce_consent(visitor: Visitor) -> None:
    """What the person is asked."""
    visitor.to_org("Brightwater")


def salesforce_request_gone(visitor: Visitor) -> None:
    """An error that the client never hears of."""
    salesforce_consent(visitor)
    visitor.person.open(f"{visitor.person.page.url.partition('?')[0]}?source=gone")


PAGES: Final[dict[Callable[[Visitor], None], str | None]] = {
    acme_login: None,
    acme_login_refused: "login_refused",
    acme_logged_out: None,
    acme_form_refused: "form_refused",
    acme_not_connected: None,
    acme_connected: None,
    acme_told_of_a_problem: "connect_session_unknown",
    acme_salesforce: None,
    acme_salesforce_told: None,
    acme_salesforce_not_connected: "not_connected",
    connect: None,
    connect_for_somebody_else: None,
    connect_to_a_fixed_org: None,
    connect_again: None,
    connect_host_refused: "host_refused",
    connect_install_step: None,
    failed_link_unknown: "not_found",
    failed_link_of_another_browser: "session_expired",
    failed_form_refused: "form_refused",
    failed_access_denied: "access_denied",
    failed_app_not_installed: "app_not_installed",
    failed_user_not_authorized: "user_not_authorized",
    failed_org_mismatch: "org_mismatch",
    failed_org_already_connected: "org_already_connected",
    done_awaiting: "awaiting_confirmation",
    done_confirmed: "connected",
    done_of_another_browser: "awaiting_confirmation",
    salesforce_login: None,
    salesforce_login_refused: None,
    salesforce_consent: None,
    salesforce_request_gone: None,
}
"""Each page with the code that it names."""
