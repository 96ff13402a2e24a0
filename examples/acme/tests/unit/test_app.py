"""What holds for every page."""

from __future__ import annotations

import re

import pytest

NAMED = "https://app.acme.example"


@pytest.mark.parametrize("path", ["/login", "/settings", "/salesforce", "/nowhere"])
async def test_a_page_keeps_the_browsers_rules(ann, path):
    """Nothing is loaded from elsewhere, framed or kept; forms lead here or to the service."""
    answer = await ann.get(path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:8321;" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/login", "/settings", "/salesforce", "/nowhere"])
async def test_a_page_needs_no_script_and_no_inline_style(ann, keyturn, path):
    """Which the policy would refuse."""
    keyturn.connect()

    source = (await ann.get(path)).text

    assert "<script" not in source
    assert "style=" not in source
    assert not re.search(r"<[^>]+\son[a-z]+=", source)


@pytest.mark.parametrize("path", ["/login", "/settings", "/salesforce", "/nowhere"])
async def test_a_page_says_what_it_is(ann, keyturn, path):
    """One heading, one main part, a language, a title of its own; labels for what is typed."""
    keyturn.connect()

    source = (await ann.get(path)).text

    assert source.count("<h1>") == source.count("<main ") == 1
    assert '<html lang="en">' in source
    assert re.search(r"<title>.+ \S Acme</title>", source)
    typed = re.findall(r'<(?:input id|select id)="([^"]+)"', source)
    assert all(f'<label for="{name}">' in source for name in typed)
    ids = re.findall(r' id="([^"]+)"', source)
    assert len(ids) == len(set(ids))


async def test_https_stays_https(new_browser):
    """Browsers are told so, on the faces that have it."""
    answer = await new_browser(NAMED).get("/login")

    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert (
        "form-action 'self' https://connect.keyturn.example;"
        in (answer.headers["content-security-policy"])
    )


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1:8401", "app.acme.example", "127.0.0.1:8400.evil.example"]
)
async def test_another_name_is_refused(new_browser, host):
    """Links and callbacks would lead there."""
    answer = await new_browser().get("/login", Host=host)

    assert answer.status_code == 421
    assert "set-cookie" not in answer.headers


async def test_a_standard_port_may_be_written_out(new_browser):
    """It is the same origin."""
    answer = await new_browser(NAMED).get("/login", Host="App.Acme.Example:443")

    assert answer.status_code == 200


async def test_what_is_not_there_is_told_as_a_page(ann):
    """With a code and a way on."""
    answer = await ann.get("/nowhere")

    assert (answer.status_code, ann.page.code) == (404, "not_found")


async def test_looks_come_from_acme_itself(ann):
    """The style sheet and the icon may be kept."""
    style = await ann.get("/static/acme.css")
    icon = await ann.get("/static/icon.svg")

    assert style.headers["content-type"].startswith("text/css")
    assert icon.headers["content-type"].startswith("image/svg+xml")
    assert "no-store" not in style.headers.get("cache-control", "")
