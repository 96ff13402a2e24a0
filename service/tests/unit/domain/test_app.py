"""`domain.app`: callback URLs by face, and where a browser may be sent back to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support.values import CALLBACK, FACE, app

from keyturn_service.domain.app import origin_of

HOME = "https://app.acme.example"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example", "https://a.example"),
        ("HTTPS://A.Example/Path?q#f", "https://a.example"),
        ("https://a.example:443/", "https://a.example"),
        ("http://a.example:80/", "http://a.example"),
        ("https://a.example:80/", "https://a.example:80"),
        ("http://a.example:443/", "http://a.example:443"),
        ("https://a.example:8443/", "https://a.example:8443"),
        ("https://user:word@a.example/", "https://a.example"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("http://[::1]/", "http://[::1]"),
        ("ftp://a.example:21/", "ftp://a.example:21"),
        ("https://a.example:/", "https://a.example"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    """In lower case; a port only where it is not the scheme's own."""
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "//a.example/",
        "/path",
        "https:///path",
        "javascript:alert(1)",
        "https://[",
        "https://a.example:x/",
        "https://a.example:99999/",
        "https://a\uff0fb.example/",
    ],
)
def test_what_has_no_origin_is_told_apart(url: str) -> None:
    """None, whatever is wrong with it."""
    assert origin_of(url) is None


def test_the_callback_is_the_one_of_the_browsers_face() -> None:
    """The first that is registered there; none elsewhere."""
    other = "https://keys.acme.example"
    made = app(callback_urls=(CALLBACK, f"{other}/one", f"{other}/two"))

    assert made.callback_on(FACE) == CALLBACK
    assert made.callback_on(other) == f"{other}/one"
    assert made.callback_on("https://evil.example") is None
    assert app(callback_urls=()).callback_on(FACE) is None


@pytest.mark.parametrize(
    "url",
    [HOME, f"{HOME}/", f"{HOME}:443/settings?tab=crm", "https://APP.acme.example/søk"],
)
def test_a_browser_may_go_back_to_a_registered_origin(url: str) -> None:
    """On any path of it."""
    assert app().accepts_return_url(url)


def test_plain_http_is_accepted_where_it_is_registered() -> None:
    """For development; it does not stand for https, nor https for it."""
    made = app(return_origins=("http://localhost:8000",))

    assert made.accepts_return_url("http://localhost:8000/done")
    assert not made.accepts_return_url("https://localhost:8000/done")
    assert not made.accepts_return_url("http://localhost:8001/done")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://app.acme.example.evil.example/",
        "https://evil.example/https://app.acme.example",
        "http://app.acme.example/",
        f"{HOME}:8443/",
        "https://user@app.acme.example/",
        "https://:word@app.acme.example/",
        "https://app.acme.example@evil.example/",
        f"{HOME}/#fragment",
        f"{HOME}\\@evil.example/",
        f"{HOME}/\\evil.example",
        "//app.acme.example/",
        "",
    ],
)
def test_a_browser_is_sent_nowhere_else(url: str) -> None:
    """However much it looks like a registered origin."""
    assert not app().accepts_return_url(url)


@pytest.mark.parametrize(
    "url",
    ["https://[", "https://[::1", "https://app.acme.example:x/", f"{HOME}\uff0f.evil.example/"],
)
def test_what_is_no_url_is_refused_like_any_other(url: str) -> None:
    """As a wrong value, not as a fault of ours."""
    assert not app().accepts_return_url(url)


def test_another_scheme_is_refused_though_its_origin_is_registered() -> None:
    """Nothing but the web is a place to go back to."""
    made = app(return_origins=("myapp://host",))

    assert not made.accepts_return_url("myapp://host/done")


@given(st.text())
def test_whatever_follows_an_origin_stays_on_it_or_is_refused(text: str) -> None:
    """Without falling over; and nowhere is a place to go to where none is registered."""
    url = HOME + text

    assert origin_of(url) == HOME or not app().accepts_return_url(url)
    assert not app(return_origins=()).accepts_return_url(url)
