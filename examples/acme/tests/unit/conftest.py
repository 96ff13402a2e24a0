"""Acme on two faces, over a Keyturn service that answers from memory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest

from acme.accounts import Accounts
from acme.app import make_app
from acme.clock import Clock
from acme.config import Config, Login
from acme.faces import open_faces
from acme.sessions import Sessions
from acme.web import Acme, page_templates

PLAIN = "http://127.0.0.1:8400"
NAMED = "https://app.acme.example"
CONTACTS = [
    {"Id": "0031", "Name": "Ann <b>", "Title": None, "Email": "ann@n.example",
     "Account": {"Name": "North"}},
    {"Id": "0032", "Name": "Bob", "Title": "CTO", "Email": None, "Account": None},
]  # fmt: skip
DEALS = [
    {"Id": "0061", "Name": "Nobody's", "StageName": "Open", "Amount": None,
     "CloseDate": "2026-12-01", "AccountId": None, "Account": None},
    {"Id": "0062", "Name": "Renewal", "StageName": "Open", "Amount": 12500.5,
     "CloseDate": "2026-12-24", "AccountId": "0011", "Account": {"Name": "North"}},
]  # fmt: skip


@dataclass
class FakeKeyturn:
    """A service with one connection at most, in front of a small org."""

    connection: dict[str, Any] | None = None
    refusals: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    records_refused: bool = False
    contacts: list[dict[str, Any]] = field(default_factory=lambda: list(CONTACTS))
    deals: list[dict[str, Any]] = field(default_factory=lambda: list(DEALS))

    def connect(self, **members: Any) -> None:
        """Have a connection of northwind's."""
        self.connection = {
            "id": "con_1",
            "customer_id": "northwind",
            "app_id": "app_1",
            "state": "active",
            "environment": "production",
            "org_id": "00D000000000001EAA",
            "org_name": "Northwind & Co",
            "user": {"id": "0051", "username": "admin@northwind.example"},
            "created_at": "2026-11-24T08:00:00Z",
            "dies_at": "2027-11-24T08:00:00Z",
            **members,
        }

    def refuse(self, path_part: str, status: int, code: str, **members: Any) -> None:
        """Refuse calls whose path has that part."""
        self.refusals[path_part] = (status, {"code": code, "title": f"Title of {code}", **members})

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a call."""
        path = request.url.path
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, path, body))
        self.urls.append(str(request.url))
        for part, (status, problem) in self.refusals.items():
            if part in path:
                return httpx2.Response(
                    status, json=problem, headers={"Keyturn-Problem": problem["code"]}
                )
        if "/salesforce/" in path:
            return self._org(request, path.partition("/salesforce")[2], body)
        return self._service(request, path)

    def _service(self, request: httpx2.Request, path: str) -> httpx2.Response:
        if request.method == "DELETE":
            self.connect(state="revoked")
        if path.endswith("/confirm"):
            self.connect()
        listed = [self.connection] if self.connection else []
        link = f"{request.url.scheme}://{request.url.netloc.decode()}/connect/secret"
        denied = {"code": "access_denied", "title": "Access was denied"}
        status, answer = {
            "GET /v1/connections": (200, {"data": listed, "next_cursor": None}),
            "POST /v1/connect-sessions": (201, {"id": "cs_1", "status": "open", "url": link}),
            "GET /v1/connect-sessions/cs_1": (
                200,
                {"id": "cs_1", "status": "failed", "problem": denied},
            ),
            "POST /v1/connect-sessions/cs_1/confirm": (200, self.connection),
            "DELETE /v1/connections/con_1": (202, self.connection),
        }[f"{request.method} {path}"]
        return httpx2.Response(status, json=answer)

    def _org(self, request: httpx2.Request, path: str, body: Any) -> httpx2.Response:
        headers = {"Keyturn-Request-Id": "req_1"}
        if path.endswith("/query"):
            soql = parse_qs(request.url.query.decode())["q"][0]
            found = {"Contact": self.contacts, "Opportunity": self.deals}
            kind = re.search(r"FROM (\w+)", soql)
            records = found.get(kind[1] if kind else "", [{"Id": "0011"}, {"Id": "0012"}])
            answer: Any = {"totalSize": len(records), "done": True, "records": records}
        elif "/composite/sobjects/" in path:
            error = {"statusCode": "STRING_TOO_LONG", "message": "too long", "fields": []}
            bad = {"success": False, "errors": [error]}
            good = {"id": "a01", "success": True, "created": True, "errors": []}
            answer = [bad if self.records_refused else good for _ in body["records"]]
        elif "/actions/" in path:
            answer = [{"isSuccess": True, "outputValues": {}}]
        else:
            return httpx2.Response(201, headers=headers, json={"id": "1", "success": True})
        return httpx2.Response(200, headers=headers, json=answer)


class Page(HTMLParser):
    """What a test looks for on a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.ids: set[str] = set()
        self.main: dict[str, str | None] = {}
        self.forms: list[dict[str, Any]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        given = dict(attrs)
        if "id" in given:
            self.ids.add(given["id"] or "")
        if tag == "main":
            self.main = given
        elif tag == "form":
            self.forms.append({"action": given["action"], "fields": {}, "buttons": set()})
        elif tag == "input" and self.forms and given.get("name"):
            self.forms[-1]["fields"][given["name"]] = given.get("value") or ""
        elif tag == "button" and self.forms:
            self.forms[-1]["buttons"].add(given.get("id"))

    @property
    def code(self) -> str | None:
        """The code of the problem that the page tells."""
        return self.main.get("data-code")


class Browser:
    """A browser on one face of Acme's: keeps cookies, follows redirects within Acme."""

    def __init__(self, app: Any, face: str) -> None:
        self.face = face
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url=face, trust_env=False
        )
        self.answer: httpx2.Response
        self.last_redirect: str | None = None

    @property
    def page(self) -> Page:
        """The page it is on."""
        return Page(self.answer.text)

    @property
    def path(self) -> str:
        """Where it is, with the query."""
        return self.answer.url.raw_path.decode()

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """Open a page."""
        return await self._follow(await self.http.get(path, headers=headers))

    async def press(self, button: str, typed: Any = None, **headers: str) -> httpx2.Response:
        """Press a button of the page, as a browser would."""
        form = next(form for form in self.page.forms if button in form["buttons"])
        sent = {**form["fields"], **(typed or {})}
        return await self.post(form["action"], sent, **{"Origin": self.face, **headers})

    async def post(self, path: str, sent: Any, **headers: str) -> httpx2.Response:
        """Send a form."""
        return await self._follow(await self.http.post(path, data=sent, headers=headers))

    async def log_in(self, password: str = "correct horse") -> httpx2.Response:
        """Log in as Ann."""
        await self.get("/login")
        return await self.press("login", {"username": "ann@acme.example", "password": password})

    async def _follow(self, answer: httpx2.Response) -> httpx2.Response:
        while answer.status_code == 303:
            self.last_redirect = answer.headers["location"]
            if not self.last_redirect.startswith("/"):
                break
            answer = await self.http.get(self.last_redirect)
        self.answer = answer
        return answer


@pytest.fixture
def keyturn():
    """The service, which has no connection yet."""
    return FakeKeyturn()


@pytest.fixture
def clock():
    """Acme's clock."""
    return Clock()


@pytest.fixture(scope="session")
def accounts():
    """Ann of northwind and Carl of southwind; a guess costs little here."""
    logins = [
        Login(username=f"{name}@acme.example", password="correct horse", customer_id=customer)
        for name, customer in (("ann", "northwind"), ("carl", "southwind"))
    ]
    return Accounts(logins, cost=2)


@pytest.fixture
async def app(keyturn, clock, accounts):
    """Acme."""
    config = Config(
        service_urls={PLAIN: "http://127.0.0.1:8321", NAMED: "https://connect.keyturn.example"},
        api_key="kt_test_acme",
        users=(),
        session_key="k" * 40,
        clock_url=None,
        connect_proxy_url=None,
        ca_file=None,
    )
    faces = open_faces(config, lambda _: httpx2.MockTransport(keyturn.handle))
    yield make_app(
        Acme(
            accounts=accounts,
            sessions=Sessions(config.session_key),
            faces=faces,
            clock=clock,
            pages=page_templates(),
        )
    )
    await faces.close()


@pytest.fixture
async def new_browser(app):
    """Make browsers on a face; closed afterwards."""
    made = []

    def new(face: str = PLAIN) -> Browser:
        made.append(Browser(app, face))
        return made[-1]

    yield new
    for browser in made:
        await browser.http.aclose()


@pytest.fixture
async def ann(new_browser):
    """Ann's browser; she is logged in."""
    browser = new_browser()
    await browser.log_in()
    return browser
