"""Walk pages as a person without JavaScript would: links, forms, redirects, cookies."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin

import httpx2

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS: Final = 12
_VOID_TYPES: Final = frozenset({"submit", "button", "image", "reset"})


@dataclass
class Form:
    """A form with the values it would send if nothing was typed."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)  # id -> name, value
    ids: set[str] = field(default_factory=set)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.main: dict[str, str] = {}
        self._form: Form | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").upper())
            self.forms.append(self._form)
        elif tag == "a" and "id" in given:
            self.links[given["id"]] = given.get("href", "")
        elif tag == "main":
            self.main = given
        elif self._form is not None:
            self._field(self._form, tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None

    def _field(self, form: Form, tag: str, given: dict[str, str]) -> None:
        if "id" in given:
            form.ids.add(given["id"])
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "button" or (tag == "input" and kind in _VOID_TYPES):
            form.buttons[given.get("id", name)] = (name, given.get("value", ""))
        elif tag == "input" and name and kind in {"radio", "checkbox"}:
            if "checked" in given:
                form.fields[name] = given.get("value", "on")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select is not None:
            if "selected" in given or self._select not in form.fields:
                form.fields[self._select] = given.get("value", "")
        elif tag in {"input", "textarea"} and name:
            form.fields[name] = given.get("value", "")


class Walker:
    """One browser: a cookie jar, and the page it is on.

    `http` may carry a proxy and a CA; redirects are followed here, so that each URL is seen.
    One that starts with `stop_before` is not opened: it is kept in `stopped_at`.
    """

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http
        self.seen: list[str] = []
        self.stop_before: str | None = None
        self.stopped_at: str | None = None
        self.response: httpx2.Response | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.close()

    @property
    def url(self) -> str:
        """Where the browser is."""
        return str(self._now().url)

    @property
    def text(self) -> str:
        """The page's source."""
        return self._now().text

    @property
    def status(self) -> int:
        """The status of the last answer."""
        return self._now().status_code

    @property
    def code(self) -> str | None:
        """`data-code` of the page's `main`: the catalogue's code on result pages."""
        return self._page().main.get("data-code")

    def get(self, url: str) -> None:
        """Open a URL and follow where it leads."""
        self._follow("GET", url, None)

    def follow_link(self, link_id: str) -> None:
        """Follow the link with that id."""
        self.get(self.link(link_id))

    def link(self, link_id: str) -> str:
        """Return where the link with that id leads."""
        return urljoin(self.url, self._page().links[link_id])

    def submit(self, button: str, **typed: str) -> None:
        """Press the button with that id, after typing into the form it is in."""
        for form in self._page().forms:
            if button in form.buttons:
                name, value = form.buttons[button]
                data = {**form.fields, **typed}
                if name:
                    data[name] = value
                self._follow(form.method, urljoin(self.url, form.action), data)
                return
        raise LookupError(f"no button {button!r} at {self._now().url.path}")

    def has(self, element_id: str) -> bool:
        """Tell whether a form or link has that id."""
        page = self._page()
        return element_id in page.links or any(
            element_id in form.ids or element_id in form.buttons for form in page.forms
        )

    def _follow(self, method: str, url: str, data: dict[str, str] | None) -> None:
        for _ in range(_MOST_REDIRECTS):
            if self.stop_before is not None and url.startswith(self.stop_before):
                self.stopped_at = url
                return
            self.seen.append(url)
            self.response = self._send(method, url, data)
            if self.response.status_code not in _REDIRECTS:
                return
            url = urljoin(url, self.response.headers["location"])
            if self.response.status_code not in {307, 308}:
                method, data = "GET", None
        raise RuntimeError("too many redirects")

    def _send(self, method: str, url: str, data: dict[str, str] | None) -> httpx2.Response:
        if method == "POST":
            origin = "/".join(self.url.split("/")[:3]) if self.response is not None else ""
            headers = {"Origin": origin} if origin else {}
            return self.http.post(url, data=data, headers=headers)
        return self.http.get(url, params=data)

    def _page(self) -> _Page:
        page = _Page()
        page.feed(self.text)
        return page

    def _now(self) -> httpx2.Response:
        if self.response is None:
            raise RuntimeError("no page is open")
        return self.response
