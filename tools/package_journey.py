"""The whole job in a world that begins without the vendor's app: from `keyturn.toml` on.

The vendor makes app and package by Keyturn and the real `sf`, and releases them. An admin of one
customer installs by the link, and the main job is walked there by a person's consent. An admin of
another installs and pre-authorizes the integration user, and there it is server to server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any, Final

from keyturn import Conflict, Connection, ConnectionHandle
from tools.journey import Journey, NamedStep, Step, StepFailed, hold, plain_face, walked
from tools.vendor_machine import VendorMachine
from tools.walker import Walker
from tools.world import World

PERSON: Final = "Northwind"  # whose user connects
SERVER: Final = "Oakhollow"  # whose admin lets the integration user in
PACKAGED_SET: Final = "acme__Acme_Connect_Package"
_SETUP: Final = "/lightning/setup/SetupOneHome/home"
_CREATED: Final = 201


class Admin:
    """An org's admin, who walks the install page and Setup; what they press has to hold."""

    def __init__(self, browser: Walker, org: Mapping[str, Any]) -> None:
        self.browser = browser
        self.org = org

    def install(self, connect_page: str, version_id: str) -> str:
        """Follow the install link of a connect page, and install; return where Done leads to."""
        self.browser.get(connect_page)
        link = self.browser.link("install-link")
        hold(version_id in link, "the connect page has another version's link")
        return self.install_by(link)

    def install_by(self, link: str) -> str:
        """Install for all users by a link; return where Done leads to."""
        self.browser.get(link)
        if self.browser.has("Login"):
            self._log_in()
        self.browser.submit("install", install_for="all")
        hold(self.browser.has("done"), f"not installed: {self.browser.status}")
        return self.browser.link("done")

    def assign(self, permission_set: str, *roles: str) -> None:
        """Assign a permission set to people of these roles: Setup > Permission Sets."""
        self._to_setup()
        self.browser.follow_link("to-sets")
        self.browser.follow_link(f"set-{permission_set.lower()}")
        ticked = {f"user.{user_of(self.org, role)['user_id']}": "on" for role in roles}
        self.browser.submit("save", **ticked)
        hold(self.browser.has("save"), f"not assigned: {self.browser.status}")

    def pre_authorize(self, permission_set: str | None) -> None:
        """Let in nobody but whom a permission set lets in: Setup > External Client App Manager."""
        self._to_setup()
        self.browser.follow_link("to-apps")
        self.browser.follow_link("app-acme_connect")
        chosen = {} if permission_set is None else {f"through.PermissionSet:{permission_set}": "on"}
        self.browser.submit("save", permitted_users="pre_authorized", **chosen)
        hold(self.browser.has("save"), f"not saved: {self.browser.status}")

    def _to_setup(self) -> None:
        self.browser.get(f"{self.org['my_domain_url']}{_SETUP}")
        if self.browser.has("Login"):
            self._log_in()

    def _log_in(self) -> None:
        admin = user_of(self.org, "admin")
        hold(self.browser.has("Login"), f"no login page: {self.browser.status}")
        self.browser.submit("Login", username=admin["username"], pw=admin["password"])


class PackageJourney:
    """One walk, in a world started with `--bare`, by plain loopback ports."""

    def __init__(self, world: World, machine: VendorMachine) -> None:
        self.world = world
        self.machine = machine
        self.face = plain_face(world)
        self.main = Journey(
            world, self.face, user=_user(world, PERSON), org=world.org_named(PERSON)
        )
        self.keyturn = self.main.keyturn
        self.app_id = ""
        self.version_id = ""
        self.by_assertion = ""

    def close(self) -> None:
        """Close what was opened."""
        self.main.close()

    def steps(self) -> Iterator[Step]:
        """Walk; stop after the first step that does not hold."""
        return walked(self.named_steps())

    def named_steps(self) -> list[NamedStep]:
        """Return the steps, which are walked in this order."""
        return [
            *self.vendors_steps(),
            (f"{PERSON}'s admin installs by the link", self.install_for_person),
            *self.main.named_steps(),
            ("connected again by a person's consent", self.connect_again),
            ("server to server: what is missing, whose it is and where", self.refused),
            (f"{SERVER}'s admin installs, and pre-authorizes in Setup", self.let_in),
            ("JWT Bearer: connected and verified", self.connect_by_assertion),
            ("Contacts, usage, event and flow server to server", self.work_by_assertion),
            ("a JWT connection beside the code one, both at work", self.side_by_side),
        ]

    def vendors_steps(self) -> list[NamedStep]:
        """Return the vendor's own half: app and package."""
        return [
            ("sf is logged in to the Dev Hub org", self.log_in_to_hub),
            ("keyturn.toml is written and checked", self.write_config),
            ("keyturn app apply: the app in the Dev Hub org, its secret in the vault", self.apply),
            ("keyturn package release: built, promoted, install links", self.release),
        ]

    # -- the vendor ---------------------------------------------------------------------------

    def write_config(self) -> str:
        """Start the one file, complete it as the how-to says, and check it."""
        self.machine.start_config(
            *("--return-origin", self.face.acme, "--egress", "127.0.0.1"),
            *("--post-install-url", f"{self.face.acme}/settings"),
            flows='["code", "jwt"]',
        )
        checked = self.machine.keyturn("config", "check", "--json").result
        return f"{checked['app']['name']}, flows {' and '.join(checked['app']['flows'])}"

    def log_in_to_hub(self) -> str:
        """Log in, as the vendor did long ago."""
        self.machine.log_in()
        return str(self.machine.hub["name"])

    def apply(self) -> str:
        """Make the app; the signing key is made at the service, its certificate goes into it."""
        done = self._keyturn("app", "apply")
        self.app_id = str(done["app_id"])
        hold(done["credentials_stored"] and done["not_taken"] == [], "Salesforce did not take all")
        keys = list(self.keyturn.apps.signing_keys(self.app_id))
        hold([key.state for key in keys] == ["active"], f"{len(keys)} signing keys")
        return f"{self.app_id}, certificate until {keys[0].not_after:%Y-%m-%d}; {_seconds(done)}"

    def release(self) -> str:
        """Build, promote, and let the service know the install links."""
        done = self._keyturn("package", "release")
        self.version_id = str(done["id"])
        hold(done["built"] and done["released"], "nothing was built")
        return f"{done['version']} is {self.version_id}; {_seconds(done)}"

    def _keyturn(self, *arguments: str) -> dict[str, Any]:
        key = ("--api-key-file", str(self.machine.key_file))
        result: dict[str, Any] = self.machine.keyturn(*arguments, *key, "--json").result
        return result

    # -- the customers' admins ----------------------------------------------------------------

    def install_for_person(self) -> str:
        """Follow the connect page's link and install."""
        with self.admin_of(PERSON) as admin:
            leads_to = admin.install(self._session(PERSON), self.version_id)
        hold(leads_to == self._start_page, f"the install page leads to {leads_to}")
        return self.version_id

    def let_in(self) -> str:
        """Install; assign the package's permission set; open the app to whom it is assigned."""
        with self.admin_of(SERVER) as admin:
            admin.install(self._session(SERVER), self.version_id)
            admin.assign(PACKAGED_SET, "integration")
            admin.pre_authorize(PACKAGED_SET)
        return f"permission set {PACKAGED_SET}"

    @contextmanager
    def admin_of(self, name: str) -> Iterator[Admin]:
        """Lend an org's admin, with a browser of their own."""
        with Walker(self.face.new_client()) as browser:
            yield Admin(browser, self.world.org_named(name))

    @property
    def _start_page(self) -> str:
        return f"{self.face.acme}/settings"

    def _session(self, name: str) -> str:
        """Return the link of a connect session, whose page has the install link."""
        session = self.keyturn.connect_sessions.create(
            customer_id=str(_user(self.world, name)["customer_id"]),
            return_url=self._start_page,
            my_domain=str(self.world.org_named(name)["my_domain_url"]),
        )
        return session.url or ""

    # -- both ways to connect -----------------------------------------------------------------

    def connect_again(self) -> str:
        """Connect once more: app and package are there."""
        self.main.acme.get(f"{self.face.acme}/settings")
        self.main.connect()
        return self.main.confirmed()

    def refused(self) -> str:
        """Ask for a connection before the admin has done anything."""
        try:
            self.ask(SERVER)
        except Conflict as refusal:
            hold((refusal.code, refusal.who) == ("user_not_preauthorized", "admin"), str(refusal))
            return f"{refusal.who}: {refusal.problem.where}"
        raise StepFailed("it was not refused")

    def connect_by_assertion(self) -> str:
        """Connect and verify."""
        self.by_assertion = self.ask(SERVER).id
        verified = self._server().verify()
        hold(verified.works, str([step for step in verified.steps if step.problem]))
        return f"{self.by_assertion}: {', '.join(step.step for step in verified.steps)}"

    def ask(self, name: str, **asked: str) -> Connection:
        """Ask for a connection to an org as its integration user."""
        org = self.world.org_named(name)
        named = {"customer_id": str(_user(self.world, name)["customer_id"]), **asked}
        return self.keyturn.connections.create(
            username=str(user_of(org, "integration")["username"]),
            my_domain=str(org["my_domain_url"]),
            **named,
        )

    def _server(self) -> ConnectionHandle:
        return self.keyturn.connection(self.by_assertion)

    def work_by_assertion(self) -> str:
        """Read, write and trigger what the install brought, under the namespace."""
        org = self._server()
        contacts = list(org.pull.query("SELECT Id, AccountId FROM Contact"))
        account = next(one["AccountId"] for one in contacts if one["AccountId"])
        used = {"Key__c": f"{account}-day", "Account__c": account, "Logins__c": 3}
        record = {**used, "Day__c": date(2026, 11, 1)}
        for _ in range(2):
            saved = org.push.upsert("Usage__c", [record], external_id="Key__c")
            hold(saved.failed == (), f"not saved: {saved.failed}")
        kept = list(org.pull.query("SELECT acme__Logins__c FROM acme__Usage__c"))
        hold([one["acme__Logins__c"] for one in kept] == [3], f"{len(kept)} records")
        org.trigger.event("Renewal_Alert__e", {"Account__c": account, "Message__c": "Look"})
        before = self._tasks(org)
        org.trigger.flow("Renewal_Alert", {"accountId": account})
        hold(self._tasks(org) == before + 1, "the flow made no Task")
        events = self._posted(org, "/sobjects/acme__Renewal_Alert__e")
        flows = self._posted(org, "/actions/custom/flow/acme__Renewal_Alert")
        return f"{len(contacts)} contacts, 1 record, {events} event, {flows} flow"

    def _tasks(self, org: ConnectionHandle) -> int:
        return len(list(org.pull.query("SELECT Id FROM Task")))

    def _posted(self, org: ConnectionHandle, path: str) -> int:
        """Return how often the org answered a path well that has the namespace in it."""
        asked = {"path": f"*{path}", "method": "POST", "org_id": org.get().org_id}
        entries = self.main.control.get("/journal", params=asked).raise_for_status().json()
        done = [entry for entry in entries["entries"] if entry["status"] in {200, _CREATED}]
        hold(len(done) > 0, f"nothing was posted to {path}")
        return len(done)

    def side_by_side(self) -> str:
        """Find both connections active, and read Contacts by each."""
        found = list(self.keyturn.connections.list(state="active"))
        hold({one.app_id for one in found} == {self.app_id}, "not of the one app")
        told = []
        for one in sorted(found, key=lambda one: str(one.renewal), reverse=True):
            people = list(self.keyturn.connection(one.id).pull.query("SELECT Id FROM Contact"))
            told.append(f"{one.org_name} by {one.renewal}, {len(people)} contacts")
        renewals = sorted(str(one.renewal) for one in found)
        hold(renewals == ["jwt_bearer", "refresh_token"], f"connections by {renewals}")
        return "; ".join(told)


def _user(world: World, name: str) -> Mapping[str, Any]:
    """Return Acme's user of a customer."""
    wanted = name.lower()
    users: list[dict[str, Any]] = world.line["acme"]["users"]
    return next(user for user in users if user["customer_id"] == wanted)


def user_of(org: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    """Return an org's person of a role."""
    people: list[dict[str, Any]] = org["users"]
    return next(user for user in people if user["role"] == role)


def _seconds(done: Mapping[str, Any]) -> str:
    return f"{done['seconds']['sf']} s in sf, {done['seconds']['keyturn']} s in Keyturn"
