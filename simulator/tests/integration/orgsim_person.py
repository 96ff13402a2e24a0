"""A person at a browser without scripts, who walks pages of an org."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from orgsim_caller import Caller, Page
from orgsim_program import user_of

_MOST_STEPS = 12


class Person:
    """One browser on one face of the world: a cookie jar, and the page it is on."""

    def __init__(self, caller: Caller) -> None:
        self.caller, self.http = caller, caller.http
        self.http.cookies.clear()

    def open(self, url: str) -> "Person":
        """Open an address and follow where it leads."""
        return self._follow(self.http.get(url))

    def log_in(self, org: Mapping[str, Any], role: str = "admin") -> "Person":
        """Fill in the login form that is shown."""
        user = user_of(dict(org), role)
        assert "Login" in self.page.by_id, self.text
        return self.submit(username=user["username"], pw=user["password"], Login="Log In")

    def submit(self, **typed: str) -> "Person":
        """Send the page's form with its hidden fields and what was typed."""
        page = self.page
        assert page.method == "post", self.text
        url = urljoin(self.url, page.action)
        return self._follow(self.http.post(url, data=page.hidden | typed))

    def follow(self, link_id: str) -> "Person":
        """Follow the link with that id."""
        return self.open(urljoin(self.url, str(self.page.by_id[link_id]["href"])))

    def _follow(self, answer: Any) -> "Person":
        for _ in range(_MOST_STEPS):
            target = answer.headers.get("location")
            if target is None:
                self.answer = answer
                return self
            answer = self.http.get(urljoin(str(answer.url), target))
        raise AssertionError(f"no end at {answer.url}")

    @property
    def url(self) -> str:
        """Where the browser is."""
        return str(self.answer.url)

    @property
    def status(self) -> int:
        """The page's status."""
        return int(self.answer.status_code)

    @property
    def text(self) -> str:
        """The page's source."""
        return str(self.answer.text)

    @property
    def page(self) -> Page:
        """The page's form and ids."""
        return Page(self.text)
