"""What goes wrong while connecting reaches a person with cause and remedy, and is audited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.support.vendor import Vendor
from tools.walker import Walker
from tools.world import World


@pytest.fixture
def world(sqlite_world: World) -> World:
    """These need no second database."""
    return sqlite_world


@pytest.fixture
def browser(vendor: Vendor) -> Iterator[Walker]:
    """A customer's browser."""
    with vendor.browser() as walker:
        yield walker


def test_an_org_without_the_package_is_sent_to_its_admin(vendor: Vendor, browser: Walker) -> None:
    """Salesforce refuses on a page of its own or on the callback; the session says what to do."""
    session = vendor.begin("stonebridge")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Stonebridge"))

    stands = vendor.session(session["id"])
    if stands["status"] == "failed":
        assert browser.code == "app_not_installed"
        assert stands["problem"]["who"] == "admin"
    else:  # no callback came: the session ends by its time, with the same advice
        assert browser.status >= 400
        vendor.advance("PT31M")
        stands = vendor.session(session["id"])
        assert stands["status"] == "expired"
        assert stands["problem"]["code"] == "session_expired"


def test_who_says_no_is_told_what_that_means(vendor: Vendor, browser: Walker) -> None:
    """Deny on the consent page ends the session as `access_denied`."""
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    browser.submit("oadeny")

    assert browser.code == "access_denied"
    stands = vendor.session(session["id"])
    assert (stands["status"], stands["problem"]["code"]) == ("failed", "access_denied")
    assert "?" not in browser.url, "the callback's URL does not stay in the browser"
    assert _abouts(vendor, session, "connect_session.failed") == ["authorization refused"]


def test_a_user_whom_the_admin_did_not_approve_is_refused(vendor: Vendor, browser: Walker) -> None:
    """Where users have to be pre-authorized, others hear that it is their admin who can mend it."""
    session = vendor.begin("oakhollow")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Oakhollow"), "standard")

    assert browser.code == "user_not_authorized"
    assert vendor.session(session["id"])["problem"]["who"] == "admin"


def _callback(vendor: Vendor, browser: Walker, session: dict[str, Any]) -> str:
    """Walk up to the authorization response, and return its URL unopened."""
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    browser.stop_before = f"{vendor.world.service_url}/oauth/callback"
    browser.submit("oaapprove")
    assert browser.stopped_at is not None
    callback, browser.stop_before, browser.stopped_at = browser.stopped_at, None, None
    return callback


def _with(url: str, **changed: str) -> str:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
    return parts._replace(query=urlencode(query)).geturl()


def test_a_wrong_state_is_refused(vendor: Vendor, browser: Walker) -> None:
    """A response that no session of ours asked for opens nothing."""
    callback = _callback(vendor, browser, vendor.begin("brightwater"))
    browser.get(_with(callback, state="guessed"))
    assert browser.code == "state_mismatch"


def test_another_browser_cannot_bring_the_response(vendor: Vendor, browser: Walker) -> None:
    """The response is bound to the browser that pressed Connect."""
    session = vendor.begin("brightwater")
    callback = _callback(vendor, browser, session)
    with vendor.browser() as other:
        other.get(callback)
        assert other.code == "state_mismatch"
    assert vendor.session(session["id"])["status"] != "awaiting_confirmation"
    assert _abouts(vendor, session) == ["another browser"]


def test_a_response_brought_twice_is_refused(vendor: Vendor, browser: Walker) -> None:
    """The second time it is a replay, and the first time's grant is not touched by it."""
    session = vendor.begin("brightwater")
    callback = _callback(vendor, browser, session)
    browser.stop_before = vendor.return_url
    browser.get(callback)
    assert browser.stopped_at is not None
    browser.stop_before = None
    browser.get(callback)
    assert browser.code == "code_replayed"
    assert vendor.session(session["id"])["status"] == "awaiting_confirmation"
    assert _abouts(vendor, session) == ["replayed response"]


def test_a_forwarded_link_is_of_no_use_once_somebody_pressed_connect(
    vendor: Vendor, browser: Walker
) -> None:
    """Opening a link uses nothing up; pressing Connect does, for every other browser."""
    session = vendor.begin("brightwater")
    with vendor.browser() as scanner:
        scanner.get(session["url"])
        assert scanner.has("connect")
    vendor.to_login(browser, session)
    with vendor.browser() as other:
        other.get(session["url"])
        assert other.code == "session_expired"
        assert not other.has("connect")
    assert _abouts(vendor, session) == ["another browser opened the link"]


def test_a_stolen_or_late_confirmation_code_confirms_nothing(
    vendor: Vendor, browser: Walker
) -> None:
    """A wrong code is refused, a right one after ten minutes too; the grant is then revoked."""
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    code = vendor.consent(browser)
    path = f"/v1/connect-sessions/{session['id']}/confirm"

    wrong = vendor.api.post(path, json={"confirmation_code": code[::-1]})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "confirmation_invalid")
    since = vendor.next_entry()
    vendor.advance("PT11M")
    late = vendor.api.post(path, json={"confirmation_code": code})
    assert late.json()["code"] == "session_expired"
    vendor.until(lambda: vendor.journal(path="/services/oauth2/revoke", since=since))
    assert _abouts(vendor, session)[0] == "wrong code or org"
    assert len(_abouts(vendor, session)) == 2
    # The revocation is committed with the session's end: another replica may be first with it.
    vendor.until(lambda: vendor.told(session["id"], "connect_session.unconfirmed"))


def test_a_confirmation_code_works_once(vendor: Vendor) -> None:
    """Confirmed again with the same code is refused."""
    session = vendor.begin("brightwater-once")
    with vendor.browser() as browser:
        vendor.to_login(browser, session)
        vendor.log_in(browser, vendor.org("Brightwater"))
        code = vendor.consent(browser)
    connection = vendor.confirm(session["id"], code)
    again = vendor.api.post(
        f"/v1/connect-sessions/{session['id']}/confirm", json={"confirmation_code": code}
    )
    assert again.json()["code"] == "confirmation_invalid"
    assert _abouts(vendor, session) == ["completed"]

    other = vendor.begin("somebody-else")
    with vendor.browser() as browser:
        vendor.to_login(browser, other)
        vendor.log_in(browser, vendor.org("Brightwater"))
        browser.submit("oaapprove")
        assert browser.code == "org_already_connected"
    assert _abouts(vendor, other, "connect_session.failed") == ["for another customer"]
    vendor.api.delete(f"/v1/connections/{connection['id']}").raise_for_status()
    vendor.until(lambda: vendor.connection(connection["id"])["state"] == "revoked")


def test_a_connection_keeps_its_org(vendor: Vendor, browser: Walker) -> None:
    """Reauthorized from another org it is refused, and serves on as it was."""
    connection = vendor.world.line["connections"][0]
    session = vendor.begin(connection["customer_id"], connection_id=connection["id"])
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    browser.submit("oaapprove")
    assert browser.code == "org_mismatch"
    assert vendor.token(connection["id"]).status_code == 200
    assert "connect_session.failed" in vendor.events(connection["id"])
    assert "org" in _abouts(vendor, session, "connect_session.failed")[0]


@pytest.mark.parametrize(
    "typed",
    [
        "evil.example",
        "https://login.salesforce.com.evil.example",
        "127.0.0.1:1",
        "a b",
        "file:///x",
    ],
)
def test_hosts_that_are_not_salesforces_are_refused(
    vendor: Vendor, browser: Walker, typed: str
) -> None:
    """Whatever is typed as My Domain, the browser is sent to Salesforce or nowhere."""
    session = vendor.begin("brightwater")
    browser.get(session["url"])
    browser.submit("connect", environment="my_domain", my_domain=typed)
    assert (browser.status, browser.code) == (422, "host_refused")
    assert browser.has("connect"), "it can be mended on the spot"
    assert _abouts(vendor, session) == ["not a host of Salesforce's"]


@pytest.mark.parametrize(
    "url", ["https://evil.example/x", "javascript:alert(1)", "//evil.example", "http://"]
)
def test_return_urls_of_other_origins_are_refused(vendor: Vendor, url: str) -> None:
    """The vendor's registered origins are the only ones that browsers are sent back to."""
    answer = vendor.api.post(
        "/v1/connect-sessions", json={"customer_id": "northwind", "return_url": url}
    )
    assert answer.status_code in {409, 422}
    assert answer.json()["code"] in {"return_url_refused", "invalid_request"}
    assert answer.headers["content-type"].startswith("application/problem+json")
    if answer.status_code == 409:  # in shape, but not the vendor's
        _see_that_it_is_recorded(vendor, "return_url_refused")


@pytest.mark.parametrize("typed", ["evil.example", "login.salesforce.com.evil.example"])
def test_hosts_are_refused_to_the_vendors_own_program_too(vendor: Vendor, typed: str) -> None:
    """A My Domain that the vendor's backend hands on is looked at like one that is typed."""
    asked = {"customer_id": "northwind", "return_url": vendor.return_url, "my_domain": typed}
    answer = vendor.api.post("/v1/connect-sessions", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (409, "host_refused")
    _see_that_it_is_recorded(vendor, "host_refused")


def _see_that_it_is_recorded(vendor: Vendor, code: str) -> None:
    asked = {"type": "connect_session.refused", "limit": 200}
    events = vendor.api.get("/v1/audit-events", params=asked).json()["data"]
    assert {"about": "not begun", "problem": code} in [event["detail"] for event in events]


def _abouts(
    vendor: Vendor, session: dict[str, Any], type_: str = "connect_session.refused"
) -> list[str]:
    """Return why the audit says that steps of a session were refused."""
    return [one["about"] for one in vendor.told(session["id"], type_)]
