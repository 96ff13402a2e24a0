"""What Keyturn itself refuses, and what an org's own policies bring about, end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.vendor import Vendor
from tools.walker import Walker
from tools.world import World, running_world

CODE = {"path": "/services/oauth2/token", "grant_type": "authorization_code"}
REFRESH = {"path": "/services/oauth2/token", "grant_type": "refresh_token"}

pytestmark = pytest.mark.takes(40)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of its own: apps, orgs and policies are changed in it."""
    with running_world(log=tmp_path_factory.mktemp("refused") / "dev.log") as world:
        yield world


@pytest.fixture
def browser(vendor: Vendor) -> Iterator[Walker]:
    """A customer's browser."""
    with vendor.browser() as walker:
        yield walker


@pytest.fixture
def changed(vendor: Vendor) -> Iterator[Callable[..., None]]:
    """Change something by PATCH, at the service or the simulator, until the test ends."""
    undo: list[tuple[str, dict[str, Any]]] = []

    def patch(path: str, body: dict[str, Any]) -> None:
        client = vendor.api if path.startswith("/v1/") else vendor.control
        client.patch(path, json=body).raise_for_status()

    def change(path: str, body: dict[str, Any], back: dict[str, Any]) -> None:
        patch(path, body)
        undo.append((path, back))

    yield change
    for path, back in reversed(undo):
        patch(path, back)


def _app(vendor: Vendor) -> dict[str, Any]:
    """Return the vendor's app."""
    return dict(vendor.api.get(f"/v1/apps/{vendor.world.line['app_id']}").json())


def _sim_app(vendor: Vendor) -> dict[str, Any]:
    """Return the simulator's side of it."""
    apps: list[dict[str, Any]] = vendor.control.get("/apps").json()
    return next(app for app in apps if app["name"] == "Acme")


def _fails_with(vendor: Vendor, session: dict[str, Any], code: str) -> dict[str, Any]:
    stands = vendor.session(session["id"])
    assert (stands["status"], stands["problem"]["code"]) == ("failed", code)
    [event] = vendor.told(session["id"], "connect_session.failed")
    assert event["problem"] == code
    return dict(stands["problem"])


# --- what we refuse ---------------------------------------------------------------------------


def test_an_app_without_a_callback_here(
    vendor: Vendor, browser: Walker, changed: Callable[..., None]
) -> None:
    """The vendor has to register the address; the link goes on working."""
    app = _app(vendor)
    elsewhere = {"callback_urls": ["https://elsewhere.example/oauth/callback"]}
    changed(f"/v1/apps/{app['id']}", elsewhere, {"callback_urls": app["callback_urls"]})
    session = vendor.begin("brightwater")

    vendor.to_login(browser, session)

    assert (browser.status, browser.code) == (409, "callback_not_registered")
    assert "callback_not_registered" in browser.text
    assert vendor.session(session["id"])["status"] == "open"


def test_an_app_without_credentials(vendor: Vendor, browser: Walker) -> None:
    """Nobody is sent to Salesforce under an app that cannot finish."""
    app = _app(vendor)
    named = {name: app[name] for name in ("callback_urls", "return_origins", "scopes")}
    other = vendor.api.post("/v1/apps", json={"name": "Bare", "namespace": None, **named})
    session = vendor.begin("brightwater", app_id=other.raise_for_status().json()["id"])

    vendor.to_login(browser, session)

    assert (browser.status, browser.code) == (409, "consumer_credentials_missing")


def test_a_grant_without_a_way_to_stay(
    vendor: Vendor, browser: Walker, changed: Callable[..., None]
) -> None:
    """Without a refresh token the connection would end in hours: refused, and revoked."""
    app = _app(vendor)
    fewer = {"scopes": [scope for scope in app["scopes"] if scope != "refresh_token"]}
    changed(f"/v1/apps/{app['id']}", fewer, {"scopes": app["scopes"]})
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    since = vendor.next_entry()

    browser.submit("oaapprove")

    assert browser.code == "scopes_missing"
    problem = _fails_with(vendor, session, "scopes_missing")
    assert (problem["who"], problem["remedy"]) == ("vendor", "reconfigure")
    vendor.until(lambda: vendor.journal(path="/services/oauth2/revoke", since=since))


def test_an_answer_that_is_no_token_response(vendor: Vendor, browser: Walker) -> None:
    """200 without an access token is told as what it is."""
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    vendor.fault("status", match=CODE, options={"status": 200, "body": "json"})

    browser.submit("oaapprove")

    assert browser.code == "unexpected_answer"
    assert _fails_with(vendor, session, "unexpected_answer")["who"] == "operator"


def test_another_user_of_the_same_org(vendor: Vendor, browser: Walker) -> None:
    """A connection is reauthorized by the user who made it; the one in force serves on."""
    known = _reauthorized(vendor, _connected(vendor))
    session = _reauthorizing(vendor, known)
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.world.org(known["org_id"]), "standard")
    since = vendor.next_entry()

    browser.submit("oaapprove")

    assert browser.code == "user_mismatch"
    assert _fails_with(vendor, session, "user_mismatch")["who"] == "user"
    vendor.until(lambda: vendor.journal(path="/services/oauth2/revoke", since=since))
    assert vendor.token(known["id"]).status_code == 200


def test_a_connection_that_nobody_confirmed(vendor: Vendor, browser: Walker) -> None:
    """Its tokens are unusable until the vendor's backend has confirmed it."""
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, vendor.org("Brightwater"))
    code = vendor.consent(browser)
    pending = vendor.session(session["id"])["connection_id"]

    refused = vendor.token(pending)

    assert (refused.status_code, refused.json()["code"]) == (409, "connection_pending")
    connection = vendor.confirm(session["id"], code)
    assert connection["id"] == pending
    vendor.api.delete(f"/v1/connections/{pending}").raise_for_status()


def test_a_connection_that_was_disconnected(vendor: Vendor) -> None:
    """Token and proxy say that it was ended, and how to begin again."""
    made = vendor.connect(
        "brightwater", vendor.org("Brightwater"), app_id=vendor.world.line["app_id"]
    )
    vendor.api.delete(f"/v1/connections/{made['id']}").raise_for_status()

    refused = vendor.token(made["id"])

    assert (refused.status_code, refused.json()["code"]) == (409, "connection_revoked")
    assert refused.json()["remedy"] == "reauthorize"
    vendor.until(lambda: vendor.connection(made["id"])["state"] == "revoked")


def test_a_refresh_whose_answer_was_lost(vendor: Vendor) -> None:
    """Told that the token was refused, there is none that is known to work."""
    known = _reauthorized(vendor, _connected(vendor))
    generation = vendor.token(known["id"]).json()["generation"]
    vendor.fault("lost_answer", match=REFRESH)

    refused = vendor.token(known["id"], rejected_generation=generation)

    assert (refused.status_code, refused.json()["code"]) == (409, "connection_uncertain")
    assert refused.json()["who"] == "operator"
    assert "token.outcome_unknown" in vendor.events(known["id"])
    assert _reauthorized(vendor, known)["state"] == "active"


# --- what an org's own policies bring about ----------------------------------------------------


class Policy(NamedTuple):
    """What is changed at the org, how it is put back, and what comes of it."""

    path: str
    body: dict[str, Any]
    back: dict[str, Any]
    code: str
    said: str


def _policies(vendor: Vendor, org: dict[str, Any], user: dict[str, Any]) -> dict[str, Policy]:
    acme = _sim_app(vendor)
    app, here = f"/apps/{acme['consumer_key']}", f"/orgs/{org['org_id']}"
    installed = f"{here}/apps/{acme['consumer_key']}"
    approved = {"permitted_users": "pre_authorized", "pre_authorized": []}
    return {
        "blocked": Policy(
            installed, {"blocked": True}, {"blocked": False}, "app_blocked", "blocked"
        ),
        "not approved": Policy(
            installed, approved, {"permitted_users": "all"}, "user_not_authorized", "approved"
        ),
        "locked": Policy(here, {"state": "locked"}, {"state": "active"}, "org_inactive", "org"),
        "inactive": Policy(
            f"{here}/users/{user['user_id']}",
            {"active": False},
            {"active": True},
            "user_inactive",
            "inactive",
        ),
        "logins": Policy(
            "/switches",
            {"logins_per_hour": 0},
            {"logins_per_hour": 3600},
            "login_rate_exceeded",
            "rate",
        ),
        "address": Policy(
            app,
            {"refresh_ip_allowlist": ["192.0.2.1"]},
            {"refresh_ip_allowlist": []},
            "ip_restricted",
            "ip restricted",
        ),
        "uninstalled": Policy(
            installed, {"installed": False}, {"installed": True}, "app_not_installed", "installed"
        ),
        "expired": Policy(
            installed,
            {"refresh_policy": "zero"},
            {"refresh_policy": "specific_lifetime"},
            "grant_expired",
            "expired",
        ),
    }


@pytest.mark.parametrize(
    "name", ["blocked", "not approved", "locked", "inactive", "logins", "uninstalled"]
)
def test_an_org_that_does_not_let_the_vendor_in(
    vendor: Vendor, browser: Walker, changed: Callable[..., None], name: str
) -> None:
    """The person at the browser and the vendor hear of it, in Salesforce's words too."""
    org = dict(vendor.org("Brightwater"))
    policy = _policies(vendor, org, dict(vendor.user(org, "admin")))[name]
    changed(policy.path, policy.body, policy.back)
    session = vendor.begin("brightwater")

    vendor.to_login(browser, session)
    vendor.log_in(browser, org)

    assert browser.code == policy.code
    problem = _fails_with(vendor, session, policy.code)
    assert policy.said in problem["detail"].partition("Salesforce said:")[2]


def test_an_address_that_may_not_exchange_a_code(
    vendor: Vendor, browser: Walker, changed: Callable[..., None]
) -> None:
    """The developer's allow-list is for codes as well."""
    org = dict(vendor.org("Brightwater"))
    policy = _policies(vendor, org, dict(vendor.user(org, "admin")))["address"]
    session = vendor.begin("brightwater")
    vendor.to_login(browser, session)
    vendor.log_in(browser, org)
    changed(policy.path, policy.body, policy.back)

    browser.submit("oaapprove")

    assert browser.code == "ip_restricted"
    assert _fails_with(vendor, session, "ip_restricted")["who"] == "admin"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("blocked", "app_blocked"),
        ("not approved", "user_not_authorized"),
        ("locked", "org_inactive"),
        ("inactive", "user_inactive"),
        ("logins", "login_rate_exceeded"),
        ("address", "ip_restricted"),
        ("uninstalled", "grant_revoked"),
        ("expired", "grant_expired"),
    ],
)
def test_an_org_that_changed_its_mind(
    vendor: Vendor, changed: Callable[..., None], name: str, code: str
) -> None:
    """At the next refresh the vendor hears what its customer's admin did."""
    known = _reauthorized(vendor, _connected(vendor))
    generation = vendor.token(known["id"]).json()["generation"]
    org = vendor.world.org(known["org_id"])
    user = next(one for one in org["users"] if one["username"] == known["user"]["username"])
    policy = _policies(vendor, org, user)[name]
    changed(policy.path, policy.body, policy.back)

    refused = vendor.token(known["id"], rejected_generation=generation)

    assert refused.status_code in {409, 503}
    assert refused.json()["reason"] == code
    assert vendor.connection(known["id"])["problem"]["code"] == code


def test_a_callback_that_the_app_does_not_know_keeps_the_browser_at_salesforce(
    vendor: Vendor, browser: Walker, changed: Callable[..., None]
) -> None:
    """A body instead of a page, and no callback: the session ends by time with advice."""
    acme = _sim_app(vendor)
    elsewhere = {"callback_urls": ["https://elsewhere.example/callback"]}
    path, back = f"/apps/{acme['consumer_key']}", {"callback_urls": acme["callback_urls"]}
    changed(path, elsewhere, back)
    session = vendor.begin("brightwater")

    vendor.to_login(browser, session)

    assert browser.status == 400
    assert parse_qs(browser.text)["error"] == ["redirect_uri_mismatch"]
    assert urlsplit(browser.url).path == "/services/oauth2/authorize"
    vendor.advance("PT16M")
    assert "send it to the vendor" in vendor.session(session["id"])["problem"]["detail"]


def _connected(vendor: Vendor) -> dict[str, Any]:
    """Return a connection of the world's that is not ended."""
    return vendor.connection(vendor.world.line["connections"][0]["id"])


def _reauthorizing(vendor: Vendor, known: dict[str, Any]) -> dict[str, Any]:
    return vendor.begin(
        known["customer_id"],
        connection_id=known["id"],
        environment=known["environment"],
    )


def _reauthorized(vendor: Vendor, known: dict[str, Any]) -> dict[str, Any]:
    return vendor.connect(
        known["customer_id"],
        vendor.world.org(known["org_id"]),
        connection_id=known["id"],
    )
