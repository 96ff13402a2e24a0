"""One client of a simulated org: the browser that is walked through pages, and its backend."""

import base64
import hashlib
import ssl
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
from orgsim_program import OrgsimProgram, user_of

VERIFIER = "a-verifier-of-at-least-forty-three-characters-0123456789"
_MOST_STEPS = 12


def challenge_of(verifier: str) -> str:
    """Return the S256 code challenge of a verifier."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Page(HTMLParser):
    """The first form of a page with its hidden fields and the ids that are on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.method = ""
        self.hidden: dict[str, str] = {}
        self.by_id: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note forms, hidden fields and ids."""
        given = dict(attrs)
        if given.get("id"):
            self.by_id[str(given["id"])] = given
        if tag == "form":
            self.action, self.method = given.get("action") or "", given.get("method") or ""
        if tag == "input" and given.get("type") == "hidden":
            self.hidden[str(given["name"])] = given.get("value") or ""


class Caller:
    """A client of one app, on one face of the world."""

    def __init__(self, sim: OrgsimProgram, face: str = "plain", app: str = "Acme") -> None:
        self.sim, self.face, self.app = sim, face, sim.app(app)
        context = ssl.create_default_context(cafile=sim.line["tls"]["ca_file"])
        self.http = httpx2.Client(
            verify=context,
            proxy=sim.line["tls"]["connect_proxy_url"] if face == "names" else None,
            trust_env=False,
            timeout=20,
        )
        self.redirect_uri = self.app["callback_urls"][0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    # -- addresses --------------------------------------------------------------------------

    @property
    def login_url(self) -> str:
        """The production login host on this face."""
        if self.face == "names":
            return "https://login.salesforce.com"
        return str((self.sim.line["tls"] if self.face == "tls" else self.sim.line)["login_url"])

    @property
    def sandbox_login_url(self) -> str:
        """The sandbox login host on this face."""
        if self.face == "names":
            return "https://test.salesforce.com"
        line = self.sim.line["tls"] if self.face == "tls" else self.sim.line
        return str(line["sandbox_login_url"])

    def org_url(self, org: dict[str, Any]) -> str:
        """An org's My Domain on this face."""
        if self.face == "names":
            return f"https://{org['my_domain']}.my.salesforce.com"
        if self.face == "plain":
            return str(org["my_domain_url"])
        at = [known["name"] for known in self.sim.orgs()].index(org["name"])
        return list(self.sim.line["tls"]["orgs"].values())[at]

    # -- the browser ------------------------------------------------------------------------

    def authorize_answer(self, host: str | None = None, **changed: str | None) -> httpx2.Response:
        """Send an authorization request; None leaves a parameter out."""
        asked = {
            "response_type": "code",
            "client_id": self.app["consumer_key"],
            "redirect_uri": self.redirect_uri,
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
            "state": "the-state",
        } | changed
        query = {name: value for name, value in asked.items() if value is not None}
        return self.http.get(f"{host or self.login_url}/services/oauth2/authorize", params=query)

    def authorize(
        self,
        org: dict[str, Any],
        user: dict[str, Any] | None = None,
        *,
        host: str | None = None,
        decision: str = "allow",
        **changed: str | None,
    ) -> dict[str, str]:
        """Walk login and consent; return what the callback, or the error page, is told.

        The browser is a fresh one: nobody is logged in yet.
        """
        self.http.cookies.clear()
        answer = self.authorize_answer(host, **changed)
        person = user or user_of(org)
        for _ in range(_MOST_STEPS):
            target = answer.headers.get("location")
            if target is None:
                answer = self._fill_in(answer, person, decision)
                continue
            url = urljoin(str(answer.url), target)
            if url.startswith(self.redirect_uri) or "RemoteAccessErrorPage" in url:
                return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
            answer = self.http.get(url)
        raise AssertionError(f"no end at {answer.url}")

    def _fill_in(
        self, answer: httpx2.Response, person: dict[str, Any], decision: str
    ) -> httpx2.Response:
        assert answer.status_code == 200, (answer.status_code, str(answer.url), answer.text)
        page = Page(answer.text)
        assert page.method == "post", answer.text
        fields = dict(page.hidden)
        if "Login" in page.by_id:
            assert "error" not in page.by_id, answer.text
            fields |= {"username": person["username"], "pw": person["password"], "Login": "Log In"}
        else:
            assert {"oaapprove", "oadeny"} <= page.by_id.keys()
            fields |= {"decision": decision}
        return self.http.post(urljoin(str(answer.url), page.action), data=fields)

    # -- the backend ------------------------------------------------------------------------

    def token(self, host: str | None = None, **form: str | None) -> httpx2.Response:
        """Send a token request as this app; None leaves a parameter out."""
        asked = {
            "client_id": self.app["consumer_key"],
            "client_secret": self.app["consumer_secret"],
        } | form
        fields = {name: value for name, value in asked.items() if value is not None}
        return self.http.post(f"{host or self.login_url}/services/oauth2/token", data=fields)

    def exchange(
        self, code: str, host: str | None = None, **changed: str | None
    ) -> httpx2.Response:
        """Exchange a code."""
        asked: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": VERIFIER,
        }
        return self.token(host, **(asked | changed))

    def refresh(
        self, refresh_token: str, host: str | None = None, **changed: str | None
    ) -> httpx2.Response:
        """Refresh."""
        asked: dict[str, str | None] = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
        }
        return self.token(host, **(asked | changed))

    def connect(
        self,
        org: dict[str, Any] | None = None,
        user: dict[str, Any] | None = None,
        *,
        host: str | None = None,
        **changed: str | None,
    ) -> dict[str, str]:
        """Walk everything and return the token response."""
        code = self.authorize(org or self.sim.org(), user, host=host, **changed)["code"]
        answer = self.exchange(code, host)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def call(
        self, access_token: str, org: dict[str, Any] | None = None, path: str = "/limits"
    ) -> httpx2.Response:
        """Call an org's REST API."""
        url = f"{self.org_url(org or self.sim.org())}/services/data/v68.0{path}"
        return self.http.get(url, headers={"Authorization": f"Bearer {access_token}"})


def error_of(answer: httpx2.Response) -> tuple[str, str]:
    """Return error and description of a refusal of the token endpoint."""
    assert answer.status_code == 400, answer.text
    body = answer.json()
    return body["error"], body["error_description"]
