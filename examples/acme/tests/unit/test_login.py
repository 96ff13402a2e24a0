"""Logging in and out, sessions, and forms that somebody else sends."""

from __future__ import annotations

from datetime import timedelta

import pytest

PLAIN = "http://127.0.0.1:8400"
NAMED = "https://app.acme.example"


@pytest.mark.parametrize("path", ["/", "/settings", "/salesforce", "/settings?connect_session=x"])
async def test_strangers_are_sent_to_log_in(new_browser, keyturn, path):
    """And the service is not asked for anything."""
    browser = new_browser()

    await browser.get(path)

    assert browser.path == "/login"
    assert {"username", "password", "login"} <= browser.page.ids
    assert keyturn.asked == []


async def test_a_user_logs_in(ann):
    """And comes to the settings."""
    assert ann.path == "/settings"
    assert ann.answer.status_code == 200
    assert {"connect-to-salesforce", "logout"} <= ann.page.ids


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("ann@acme.example", "wrong"),
        ("nobody@acme.example", "correct horse"),
        ("", ""),
        ("<script>", "x"),
    ],
)
async def test_a_wrong_password_is_refused(new_browser, username, password):
    """In the same words, whether the name is known or not."""
    browser = new_browser()
    await browser.get("/login")

    await browser.press("login", {"username": username, "password": password})

    assert (browser.answer.status_code, browser.page.code) == (401, "login_refused")
    assert "<script>" not in browser.page.source
    assert (await browser.get("/settings")).url.path == "/login"


async def test_a_name_is_known_whatever_its_case(new_browser):
    """As people type them."""
    browser = new_browser()
    await browser.get("/login")

    await browser.press("login", {"username": " ANN@acme.example ", "password": "correct horse"})

    assert browser.path == "/settings"


async def test_logging_in_begins_another_session(new_browser):
    """One that somebody planted before is worth nothing."""
    browser = new_browser()
    await browser.get("/login")
    planted = browser.http.cookies["acme_session"]

    await browser.log_in()

    browser.http.cookies.clear()
    browser.http.cookies.set("acme_session", planted, domain="127.0.0.1")
    assert (await browser.get("/settings")).url.path == "/login"


async def test_a_session_that_was_logged_out_opens_nothing(ann):
    """Even where its cookie was copied."""
    copied = ann.http.cookies["acme_session"]

    await ann.press("logout")

    assert ann.path == "/login"
    ann.http.cookies.clear()
    ann.http.cookies.set("acme_session", copied, domain="127.0.0.1")
    assert (await ann.get("/settings")).url.path == "/login"


@pytest.mark.parametrize(
    ("days", "path"), [(timedelta(days=13), "/settings"), (timedelta(days=14), "/login")]
)
async def test_a_session_ends_by_acmes_clock(ann, clock, days, path):
    """Which is that of the simulated world, where there is one."""
    clock.set(clock.now() + days)

    assert (await ann.get("/settings")).url.path == path


async def test_a_forged_cookie_opens_nothing(ann):
    """The signature covers all of it."""
    good = ann.http.cookies["acme_session"]
    ann.http.cookies.clear()
    flipped = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
    ann.http.cookies.set("acme_session", flipped, domain="127.0.0.1")

    assert (await ann.get("/settings")).url.path == "/login"


@pytest.mark.parametrize(
    ("face", "name", "secure"),
    [(PLAIN, "acme_session", False), (NAMED, "__Host-acme_session", True)],
)
async def test_the_cookie_is_the_faces_own(new_browser, face, name, secure):
    """Out of reach of scripts; over https such that no other host can set it."""
    browser = new_browser(face)

    answer = await browser.get("/login")

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert ("Secure" in cookie) is secure


@pytest.mark.parametrize(
    ("field", "headers"),
    [
        ("", {}),
        ("0" * 64, {}),
        ("é", {}),
        (None, {"Origin": "https://evil.example"}),
        (None, {"Origin": "null"}),
        (None, {"Sec-Fetch-Site": "cross-site"}),
        (None, {"Sec-Fetch-Site": "same-site"}),
    ],
)
async def test_a_form_of_somebody_else_does_nothing(ann, keyturn, field, headers):
    """Without the token, or from another site."""
    keyturn.connect()
    await ann.get("/settings")
    asked = len(keyturn.asked)
    typed = {} if field is None else {"form_token": field}

    await ann.press("disconnect", typed, **headers)

    assert (ann.answer.status_code, ann.page.code) == (403, "form_refused")
    assert len(keyturn.asked) == asked


async def test_a_form_of_another_browser_does_nothing(ann, new_browser, keyturn):
    """A token is good in the session that it was given in."""
    keyturn.connect()
    other = new_browser()
    await other.log_in()
    token = other.page.forms[0]["fields"]["form_token"]

    answer = await ann.post("/settings/disconnect", {"form_token": token}, Origin=PLAIN)

    assert answer.status_code == 403
    assert not [one for one in keyturn.asked if one[0] == "DELETE"]


async def test_a_login_form_of_somebody_else_does_nothing(new_browser):
    """Nobody is logged in as another by a page of somebody else's."""
    browser = new_browser()

    answer = await browser.post(
        "/login", {"username": "ann@acme.example", "password": "correct horse"}
    )

    assert answer.status_code == 403


async def test_a_form_without_a_session_leads_to_the_login(ann, clock):
    """After the session has ended, the button leads there and does nothing."""
    clock.set(clock.now() + timedelta(days=15))
    await ann.get("/login")
    token = ann.page.forms[0]["fields"]["form_token"]

    await ann.post("/settings/disconnect", {"form_token": token}, Origin=PLAIN)

    assert ann.path == "/login"


async def test_a_form_that_is_too_long_is_refused(new_browser):
    """Before it is kept in memory."""
    answer = await new_browser().post("/login", {"username": "x" * 20_000})

    assert answer.status_code == 413
