"""The main job, step by step, over real HTTP: shown by `make demo`, proven by the acceptance test.

A user of Acme's connects Salesforce, the product pulls and pushes with the token that Keyturn
keeps, the token expires and is rotated once under many readers, and the user disconnects.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from keyturn import Keyturn
from tools.walker import Walker
from tools.world import World

READERS: Final = 50
_CREATED: Final = 201
_UNAUTHORIZED: Final = 401
_PATIENCE: Final = 20.0  # seconds
_SESSION_OVER: Final = "PT3H"  # longer than the session timeout of every seeded org


class StepFailed(Exception):
    """A step of the journey did not hold."""


@dataclass(frozen=True)
class Step:
    """How a step went."""

    step: str
    ok: bool
    seconds: float
    detail: str


@dataclass(frozen=True)
class Face:
    """The addresses by which one browser knows the world, and how it gets there."""

    acme: str
    new_client: Callable[[], httpx2.Client]


NamedStep = tuple[str, Callable[[], str]]


def walked(steps: Iterable[NamedStep]) -> Iterator[Step]:
    """Walk steps in order; stop after the first one that does not hold."""
    for name, step in steps:
        began = time.perf_counter()
        try:
            detail, ok = step(), True
        except Exception as error:  # noqa: BLE001 - the report names every way to fail
            detail, ok = f"{type(error).__name__}: {error}", False
        yield Step(name, ok, round(time.perf_counter() - began, 3), detail)
        if not ok:
            return


class Journey:
    """One walk through the main job in a fresh world."""

    def __init__(
        self,
        world: World,
        face: Face,
        *,
        user: Mapping[str, Any] | None = None,
        org: Mapping[str, Any] | None = None,
    ) -> None:
        self.world = world
        self.face = face
        self.acme = Walker(face.new_client())
        self.user = user or world.unconnected_user()
        self.org = org or world.unconnected_org()
        self.keyturn = Keyturn(world.service_url, api_key=world.api_key)
        self.control = httpx2.Client(base_url=world.control_url, trust_env=False, timeout=30)
        self.connection_id = ""

    def close(self) -> None:
        """Close what was opened."""
        self.keyturn.close()
        self.control.close()
        self.acme.http.close()

    def steps(self) -> Iterator[Step]:
        """Walk; stop after the first step that does not hold."""
        return walked(self.named_steps())

    def named_steps(self) -> list[NamedStep]:
        """Return the steps, which are walked in this order."""
        return [
            ("Acme's user logs in", self.log_in),
            ("Connect to Salesforce: login and consent", self.connect),
            ("back at Acme: confirmed and connected", self.confirmed),
            ("Contacts and Opportunities on Acme's page", self.pull),
            ("product usage upserted by external id", self.push_usage),
            ("activity logged as a Task", self.log_activity),
            ("renewal alert as event and flow", self.alert),
            (f"token expires; {READERS} readers, one refresh", self.expire_and_read),
            ("disconnected: the grant is gone at the org", self.disconnect),
        ]

    def log_in(self) -> str:
        """Log in at Acme."""
        self.acme.get(f"{self.face.acme}/login")
        self.acme.submit("login", username=self.user["username"], password=self.user["password"])
        self.acme.get(f"{self.face.acme}/settings")
        hold(self.acme.has("connect-to-salesforce"), "no button to connect")
        return str(self.user["customer_id"])

    def connect(self) -> str:
        """Click Connect, log in at Salesforce and consent."""
        admin = next(user for user in self.org["users"] if user["role"] == "admin")
        self.acme.submit("connect-to-salesforce")
        self.acme.submit("connect", environment="production")
        hold(self.acme.has("Login"), f"no login page: {self.acme.status} {self.acme.code}")
        self.acme.submit("Login", username=admin["username"], pw=admin["password"])
        hold(self.acme.has("oaapprove"), f"no consent page: {self.acme.status}")
        self.acme.submit("oaapprove")
        return str(self.org["name"])

    def confirmed(self) -> str:
        """See that the browser is back at Acme, and that the connection is active."""
        hold(
            self.acme.url == f"{self.face.acme}/settings",
            f"the browser is at {self.acme.url.partition('?')[0]} {self.acme.code or ''}",
        )
        found = [
            connection
            for connection in self.keyturn.connections.list(state="active")
            if connection.customer_id == self.user["customer_id"]
        ]
        hold(len(found) == 1, f"{len(found)} active connections of the customer")
        hold(found[0].org_id == self.org["org_id"], "another org is connected")
        self.connection_id = found[0].id
        return self.connection_id

    def pull(self) -> str:
        """Read Contacts and Opportunities on Acme's page."""
        self.acme.get(f"{self.face.acme}/salesforce")
        contacts = _rows(self.acme.text, "contacts")
        opportunities = _rows(self.acme.text, "opportunities")
        hold(contacts > 0 and opportunities > 0, f"{contacts} and {opportunities} rows")
        return f"{contacts} contacts, {opportunities} opportunities"

    def push_usage(self) -> str:
        """Push usage twice: the second time updates, and nothing is there twice."""
        for _ in range(2):
            self.acme.get(f"{self.face.acme}/salesforce")
            self.acme.submit("push-usage")
        connection = self.keyturn.connection(self.connection_id)
        records = list(connection.pull.query("SELECT acme__Key__c FROM acme__Usage__c"))
        keys = [record["acme__Key__c"] for record in records]
        hold(len(keys) > 0 and len(keys) == len(set(keys)), f"{len(keys)} records")
        return f"{len(keys)} records"

    def log_activity(self) -> str:
        """Log an activity and find the Task."""
        before = self._count_tasks()
        self.acme.get(f"{self.face.acme}/salesforce")
        self.acme.submit("log-activity")
        after = self._count_tasks()
        hold(after == before + 1, f"{before} tasks before, {after} after")
        return "1 task"

    def alert(self) -> str:
        """Raise the renewal alert; the flow makes a Task."""
        before = self._count_tasks()
        self.acme.get(f"{self.face.acme}/salesforce")
        self.acme.submit("raise-alert")
        after = self._count_tasks()
        hold(after == before + 1, f"{before} tasks before, {after} after")
        entries = self._journal(path="*/sobjects/acme__Renewal_Alert__e")
        hold(any(entry["status"] == _CREATED for entry in entries), "no event was published")
        return "1 event, 1 flow"

    def expire_and_read(self) -> str:
        """Let the access token expire and read it many times at once."""
        handle = self.keyturn.connection(self.connection_id)
        old = handle.access_token()
        since = self.control.get("/journal").json()["next"]
        self.control.post("/clock", json={"advance": _SESSION_OVER}).raise_for_status()
        self._wait_for_clock()
        with ThreadPoolExecutor(READERS) as pool:
            read = list(pool.map(lambda _: handle.access_token(), range(READERS)))
        generations = {token.generation for token in read}
        hold(generations == {old.generation + 1}, f"generations {sorted(generations)}")
        refreshes = self._journal(grant_type="refresh_token", since=since)
        hold(len(refreshes) == 1, f"{len(refreshes)} refreshes at the org")
        return f"generation {old.generation + 1}, {len(refreshes)} refresh"

    def disconnect(self) -> str:
        """Disconnect at Acme; the token stops working at the org itself."""
        token = self.keyturn.connection(self.connection_id).access_token()
        self.acme.get(f"{self.face.acme}/settings")
        self.acme.submit("disconnect")
        self._wait(
            lambda: str(self.keyturn.connection(self.connection_id).get().state) == "revoked",
            "the connection is not revoked",
        )
        with self.face.new_client() as http:
            answer = http.get(
                f"{token.instance_url}/services/data/v68.0/limits",
                headers={"Authorization": f"Bearer {token.value.reveal()}"},
            )
        hold(answer.status_code == _UNAUTHORIZED, f"the org still answers {answer.status_code}")
        return "revoked; the org answers 401"

    def _count_tasks(self) -> int:
        answer = self.keyturn.connection(self.connection_id).request(
            "GET", "/services/data/v68.0/query", params={"q": "SELECT COUNT() FROM Task"}
        )
        return int(answer.json()["totalSize"])

    def _journal(self, **asked: Any) -> list[dict[str, Any]]:
        answer = self.control.get("/journal", params=asked)
        return list(answer.raise_for_status().json()["entries"])

    def _wait_for_clock(self) -> None:
        """Wait until the service has followed the simulator's clock, at most a second."""
        time.sleep(1.0)

    def _wait(self, holds: Callable[[], bool], otherwise: str) -> None:
        give_up = time.monotonic() + _PATIENCE
        while not holds():
            hold(time.monotonic() < give_up, otherwise)
            time.sleep(0.1)


def plain_face(world: World) -> Face:
    """The face of plain loopback ports."""
    return Face(
        acme=str(world.line["acme"]["url"]),
        new_client=lambda: httpx2.Client(trust_env=False, timeout=30),
    )


def _rows(source: str, table_id: str) -> int:
    """Count the body rows of a table."""
    start = source.find(f'id="{table_id}"')
    if start < 0:
        return 0
    body = source[start : source.find("</table>", start)]
    return body[body.find("<tbody") :].count("<tr")


def hold(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Go on if it holds.

    Raises:
        StepFailed: it does not.
    """
    if not condition:
        raise StepFailed(otherwise)
