"""A browser without a window: enough of one to press Connect, log in and consent."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin

import aiohttp

_HOPS: Final = 12
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FIELDS: Final = frozenset({"input", "select", "textarea"})
_PRESSED: Final = frozenset({"submit", "button", "image", "reset"})
_TICKED: Final = frozenset({"radio", "checkbox"})


class PageUnexpected(Exception):
    """The walk came to a page it cannot go on from."""


@dataclass
class Form:
    """A form of a page: where it goes and what it would send."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)


class _Forms(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = given.get("method", "get").lower()
            self.found.append(Form(action=given.get("action", ""), method=method))
            return
        if not self.found:
            return
        form, kind, name = self.found[-1], given.get("type", ""), given.get("name", "")
        if tag == "button" or (tag == "input" and kind in _PRESSED):
            form.buttons[given.get("id", "")] = (name, given.get("value", ""))
        elif tag in _FIELDS and name and (kind not in _TICKED or "checked" in given):
            form.fields[name] = given.get("value", "")


class Browser:
    """Follows redirects and submits forms, one page at a time."""

    def __init__(self) -> None:
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.url = ""
        self.status = 0
        self._page = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def get(self, url: str) -> None:
        """Open a page."""
        await self._go("get", url, None, until=None)

    async def press(self, button_id: str, *, until: str | None = None, **typed: str) -> None:
        """Submit the form of a button with what is typed.

        A redirect to an address that starts with `until` is noted as `url` and not followed.

        Raises:
            PageUnexpected: the page has no such button.
        """
        forms = _Forms()
        forms.feed(self._page)
        form = next((form for form in forms.found if button_id in form.buttons), None)
        if form is None:
            where = self.url.partition("?")[0].rpartition("/")[0]
            raise PageUnexpected(f"no button {button_id} on a page of {where}: {self.status}")
        name, value = form.buttons[button_id]
        sent = {**form.fields, **typed, **({name: value} if name else {})}
        await self._go(form.method, urljoin(self.url, form.action), sent, until=until)

    async def _go(
        self, method: str, url: str, sent: dict[str, str] | None, *, until: str | None
    ) -> None:
        for _ in range(_HOPS):
            query, form = (sent, None) if method == "get" else (None, sent)
            async with self._http.request(
                method, url, params=query, data=form, allow_redirects=False
            ) as answer:
                self.url, self.status = str(answer.url), answer.status
                location = answer.headers.get("Location")
                self._page = await answer.text()
            if answer.status not in _REDIRECTS or location is None:
                return
            url, method, sent = urljoin(self.url, location), "get", None
            if until is not None and url.startswith(until):
                self.url = url
                return
        raise PageUnexpected("the redirects do not end")
