"""Connecting, coming back, and ending it."""

from __future__ import annotations

import pytest

PLAIN = "http://127.0.0.1:8400"
NAMED = "https://app.acme.example"
BACK = "/settings?connect_session=cs_1&confirmation_code=secret-code"


def calls(keyturn, method, part):
    """Return the bodies of the calls that were made to a path."""
    return [body for verb, path, body in keyturn.asked if verb == method and part in path]


@pytest.mark.parametrize(
    ("face", "service"),
    [(PLAIN, "http://127.0.0.1:8321"), (NAMED, "https://connect.keyturn.example")],
)
async def test_connecting_stays_on_the_face_that_it_began_on(new_browser, keyturn, face, service):
    """The service is asked on its own address of that face, and sends the browser back there."""
    browser = new_browser(face)
    await browser.log_in()

    await browser.press("connect-to-salesforce")

    assert browser.last_redirect == f"{service}/connect/secret"
    assert calls(keyturn, "POST", "/connect-sessions") == [
        {"customer_id": "northwind", "return_url": f"{face}/settings"}
    ]
    assert all(url.startswith(f"{service}/") for url in keyturn.urls)


async def test_coming_back_confirms_and_cleans_the_address(ann, keyturn):
    """The code is used once and is in no address any more."""
    await ann.press("connect-to-salesforce")

    await ann.get(BACK)

    assert calls(keyturn, "POST", "/confirm") == [{"confirmation_code": "secret-code"}]
    assert (ann.path, ann.answer.status_code, ann.page.code) == ("/settings", 200, None)
    assert "Connected to Northwind &amp; Co." in ann.page.source
    assert "disconnect" in ann.page.ids


async def test_what_was_told_once_is_not_told_again(ann):
    """A notice goes with the page that tells it."""
    await ann.press("connect-to-salesforce")
    await ann.get(BACK)

    await ann.get("/settings")

    assert "Connected to" not in ann.page.source


async def test_a_link_that_was_begun_elsewhere_is_not_confirmed(ann, keyturn):
    """A forwarded link would tie this user's org to somebody else's account."""
    await ann.get(BACK)

    assert calls(keyturn, "POST", "/confirm") == []
    assert (ann.path, ann.page.code) == ("/settings", "connect_session_unknown")


async def test_another_users_session_does_not_confirm(ann, new_browser, keyturn):
    """Not even at the same customer: whoever began it comes back."""
    await ann.press("connect-to-salesforce")
    carl = new_browser()
    await carl.get("/login")
    await carl.press("login", {"username": "carl@acme.example", "password": "correct horse"})

    await carl.get(BACK)

    assert calls(keyturn, "POST", "/confirm") == []
    assert carl.page.code == "connect_session_unknown"


async def test_a_connect_session_is_confirmed_once(ann, keyturn):
    """Reloading the address does nothing."""
    await ann.press("connect-to-salesforce")
    await ann.get(BACK)

    await ann.get(BACK)

    assert len(calls(keyturn, "POST", "/confirm")) == 1
    assert ann.page.code == "connect_session_unknown"


async def test_a_refused_confirmation_is_told(ann, keyturn):
    """With the service's code, and who can mend it."""
    await ann.press("connect-to-salesforce")
    keyturn.refuse("/confirm", 409, "confirmation_invalid", who="user", detail="Too late")

    await ann.get(BACK)

    assert (ann.path, ann.page.code) == ("/settings", "confirmation_invalid")
    assert "You can mend this: connect again." in ann.page.source


async def test_coming_back_without_a_code_tells_what_went_wrong(ann, keyturn):
    """The service knows."""
    await ann.press("connect-to-salesforce")

    await ann.get("/settings?connect_session=cs_1")

    assert (ann.path, ann.page.code) == ("/settings", "access_denied")
    assert calls(keyturn, "POST", "/confirm") == []


@pytest.mark.parametrize(
    ("state", "again", "shown"),
    [
        ("active", "con_1", True),
        ("uncertain", "con_1", True),
        ("reauthorization_required", "con_1", True),
        ("pending", None, False),
        ("revoked", None, False),
    ],
)
async def test_access_is_granted_again_to_the_same_connection(ann, keyturn, state, again, shown):
    """Unless it has ended for good: then another one is made."""
    keyturn.connect(state=state)
    await ann.get("/settings")
    assert ("disconnect" in ann.page.ids) is shown
    assert (f'data-state="{state}"' in ann.page.source) is shown

    await ann.press("connect-to-salesforce")

    assert calls(keyturn, "POST", "/connect-sessions")[0].get("connection_id") == again


async def test_the_page_shows_the_org(ann, keyturn):
    """Its name, its id and who let Acme in."""
    keyturn.connect()

    source = (await ann.get("/settings")).text

    for said in ("Northwind &amp; Co", "00D000000000001EAA", "admin@northwind.example"):
        assert said in source
    assert "24 November 2027" in source


async def test_a_connection_of_another_customer_is_never_shown(ann, keyturn):
    """Even where the service answered one."""
    keyturn.connect(customer_id="southwind")

    await ann.get("/settings")

    assert 'data-state="none"' in ann.page.source


async def test_disconnecting_ends_the_connection(ann, keyturn):
    """And the page says so."""
    keyturn.connect()
    await ann.get("/settings")

    await ann.press("disconnect")

    assert len(calls(keyturn, "DELETE", "/connections/con_1")) == 1
    assert ann.path == "/settings"
    assert "Salesforce is disconnected." in ann.page.source
    assert "disconnect" not in ann.page.ids


async def test_a_service_that_is_away_is_told_and_nothing_is_claimed(ann, keyturn):
    """The state is not known then, and not shown as `not connected`."""
    keyturn.refuse("/v1/connections", 503, "store_unavailable", who="operator", retry_after=60)

    await ann.get("/settings")

    assert (ann.answer.status_code, ann.page.code) == (502, "store_unavailable")
    assert 'data-state="unknown"' in ann.page.source


async def test_a_refusal_to_connect_is_told(ann, keyturn):
    """The browser stays at Acme."""
    keyturn.refuse("/connect-sessions", 422, "return_url_refused", who="vendor")

    await ann.press("connect-to-salesforce")

    assert (ann.path, ann.page.code) == ("/settings", "return_url_refused")


async def test_a_refusal_to_disconnect_is_told(ann, keyturn):
    """The connection is shown as it still is."""
    keyturn.connect()
    await ann.get("/settings")
    keyturn.refuse("/connections/con_1", 503, "audit_unavailable", who="operator", retry_after=60)

    await ann.press("disconnect")

    assert ann.page.code == "audit_unavailable"
    assert 'data-state="active"' in ann.page.source
