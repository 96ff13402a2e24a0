"""A vendor's backend and its customers' people, as short as tests need them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
from tools.walker import Walker
from tools.world import World

RETURN_PATH: Final = "/settings"


@dataclass
class Vendor:
    """Calls the REST API with the world's key, and walks pages as a customer's person."""

    world: World
    api: httpx2.Client = field(init=False)
    control: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        """Open the two clients."""
        self.api = httpx2.Client(
            base_url=self.world.service_url,
            headers={"Authorization": f"Bearer {self.world.api_key}"},
            trust_env=False,
            timeout=60,
        )
        self.control = httpx2.Client(base_url=self.world.control_url, trust_env=False, timeout=60)

    def close(self) -> None:
        """Close both clients."""
        self.api.close()
        self.control.close()

    @property
    def return_url(self) -> str:
        """Where browsers go back to: a page of Acme's, which is not opened."""
        return f"{self.world.line['acme']['url']}{RETURN_PATH}"

    def begin(self, customer_id: str, **asked: Any) -> dict[str, Any]:
        """Ask for a connect session."""
        body = {"customer_id": customer_id, **self._ours(), **asked}
        answer = self.api.post("/v1/connect-sessions", json=body)
        answer.raise_for_status()
        return dict(answer.json())

    def session(self, session_id: str) -> dict[str, Any]:
        """Look how a connect session stands."""
        return dict(self.api.get(f"/v1/connect-sessions/{session_id}").raise_for_status().json())

    def browser(self) -> Walker:
        """Open a browser with no cookies."""
        return Walker(httpx2.Client(trust_env=False, timeout=60))

    def to_login(
        self, browser: Walker, session: Mapping[str, Any], environment: str = "production"
    ) -> None:
        """Press Connect; the browser is at the login page then."""
        browser.get(session["url"])
        browser.submit("connect", environment=environment)

    def log_in(self, browser: Walker, org: Mapping[str, Any], role: str = "admin") -> None:
        """Log in at the org."""
        user = self.user(org, role)
        browser.submit("Login", username=user["username"], pw=user["password"])

    def consent(self, browser: Walker) -> str:
        """Approve; return the confirmation code that came back with the browser."""
        browser.stop_before = self.return_url
        browser.submit("oaapprove")
        codes = parse_qs(urlsplit(browser.stopped_at or "").query).get("confirmation_code", [])
        if not codes:
            raise LookupError(f"no confirmation code: {browser.status} {browser.code}")
        return codes[0]

    def confirm(self, session_id: str, code: str) -> dict[str, Any]:
        """Confirm, as the vendor's backend."""
        path = f"/v1/connect-sessions/{session_id}/confirm"
        answer = self.api.post(path, json={"confirmation_code": code})
        answer.raise_for_status()
        return dict(answer.json())

    def connect(self, customer_id: str, org: Mapping[str, Any], **asked: Any) -> dict[str, Any]:
        """Do all of it; return the connection."""
        session = self.begin(customer_id, **asked)
        with self.browser() as browser:
            self.to_login(browser, session, org["environment"])
            self.log_in(browser, org)
            code = self.consent(browser)
        return self.confirm(session["id"], code)

    def let_go(self, connection_id: str) -> None:
        """Delete a connection, and wait until the org has revoked what it granted."""
        self.api.delete(f"/v1/connections/{connection_id}").raise_for_status()
        self.until(lambda: self.connection(connection_id)["state"] == "revoked")

    def token(self, connection_id: str, **asked: Any) -> httpx2.Response:
        """Ask for the access token."""
        path = f"/v1/connections/{connection_id}/access-token"
        return self.api.post(path, json=asked or None)

    def connection(self, connection_id: str) -> dict[str, Any]:
        """Look how a connection stands."""
        return dict(self.api.get(f"/v1/connections/{connection_id}").raise_for_status().json())

    def events(self, connection_id: str) -> list[str]:
        """Return the types of a connection's audit events, in order."""
        types: list[str] = []
        asked: dict[str, Any] = {"connection_id": connection_id, "limit": 200}
        while True:
            page = self.api.get("/v1/audit-events", params=asked).raise_for_status().json()
            types += [event["type"] for event in page["data"]]
            if page["next_cursor"] is None:
                return types
            asked["cursor"] = page["next_cursor"]

    def told(self, session_id: str, type_: str = "connect_session.refused") -> list[dict[str, Any]]:
        """Return the details of a connect session's audit events of a type, in order."""
        found: list[dict[str, Any]] = []
        asked: dict[str, Any] = {"type": type_, "limit": 200}
        while True:
            page = self.api.get("/v1/audit-events", params=asked).raise_for_status().json()
            found += [event["detail"] for event in page["data"]]
            if page["next_cursor"] is None:
                return [one for one in found if one.get("connect_session_id") == session_id]
            asked["cursor"] = page["next_cursor"]

    def journal(self, **asked: Any) -> list[dict[str, Any]]:
        """Return entries of the simulator's journal."""
        return list(self.control.get("/journal", params=asked).raise_for_status().json()["entries"])

    def next_entry(self) -> int:
        """Return the number that the journal's next entry will have."""
        return int(self.control.get("/journal").json()["next"])

    def fault(self, name: str, **asked: Any) -> str:
        """Set a fault; return its id."""
        answer = self.control.post("/faults", json={"name": name, **asked})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def calm(self) -> None:
        """Delete all faults."""
        self.control.delete("/faults").raise_for_status()

    def advance(self, by: str) -> None:
        """Move the world's clock, and wait until the service has followed."""
        wanted = self.control.post("/clock", json={"advance": by}).raise_for_status().json()["now"]
        self._wait_until_followed(wanted)

    def _wait_until_followed(self, wanted: str) -> None:
        """Ask each replica for sessions until one was made after that moment by its own clock."""
        body = {"customer_id": "clock", **self._ours()}
        for url in self.world.line["service_urls"]:
            while True:
                made = self.api.post(f"{url}/v1/connect-sessions", json=body).raise_for_status()
                if made.json()["created_at"] >= wanted.replace("Z", ""):
                    break

    def _ours(self) -> dict[str, str]:
        """Return what every session of the world's app is asked for with; a bare world has none."""
        app_id = self.world.line["app_id"]
        return {"return_url": self.return_url} | ({} if app_id is None else {"app_id": app_id})

    @staticmethod
    def until(holds: Callable[[], object], *, seconds: float = 30) -> None:
        """Ask again and again until it holds.

        Raises:
            TimeoutError: it did not come about.
        """
        give_up = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > give_up:
                raise TimeoutError("it did not come about")

    @staticmethod
    def user(org: Mapping[str, Any], role: str) -> Mapping[str, Any]:
        """Return a user of an org."""
        found: Mapping[str, Any] = next(user for user in org["users"] if user["role"] == role)
        return found

    def org(self, name: str) -> Mapping[str, Any]:
        """Return the org of that name."""
        return next(org for org in self.world.orgs() if org["name"] == name)
