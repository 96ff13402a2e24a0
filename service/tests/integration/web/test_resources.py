"""Apps, API keys, connections and audit events over the REST API."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import web_fakes

from keyturn_core.salesforce.hosts import Environment
from keyturn_service.domain.connection import ConnectionState

NEW_APP = {
    "name": "Acme Analytics",
    "namespace": "acme",
    "callback_urls": ["https://connect.acme.example/oauth/callback"],
    "return_origins": ["https://app.acme.example"],
    "scopes": ["api", "refresh_token"],
    "start_url": "https://app.acme.example/salesforce?from=install",
}


class Odd:
    """A connection whose row somebody wrote."""

    def __getattr__(self, name):
        raise ValueError(name)


async def test_an_app_is_registered_and_read_again(house, admin):
    """What was sent comes back, with Salesforce's login hosts where none were named."""
    made = await house.http.post("/v1/apps", headers=admin, json=NEW_APP)
    read = await house.http.get(f"/v1/apps/{made.json()['id']}", headers=admin)

    assert made.status_code == 201
    assert NEW_APP.items() <= made.json().items()
    assert made.json()["login_hosts"]["production"] == "https://login.salesforce.com"
    assert made.json()["has_consumer_credentials"] is False
    assert read.json() == made.json()


async def test_a_change_leaves_the_rest(house, admin):
    """PATCH changes what it names."""
    package = {"install_urls": {"production": "https://login.salesforce.com/packaging/x?p0=04t"}}
    start = {"start_url": "http://localhost:8000/salesforce"}
    await house.http.patch("/v1/apps/app_one", headers=admin, json=start)
    answer = await house.http.patch(
        "/v1/apps/app_one", headers=admin, json={"name": "New name", "package": package}
    )

    assert answer.json()["name"] == "New name"
    assert answer.json()["package"] == package
    assert answer.json()["start_url"] == start["start_url"]
    assert answer.json()["return_origins"] == ["https://app.acme.example"]


async def test_consumer_credentials_are_never_read_back(house, admin):
    """204 without a body; no answer shows key or secret."""
    credentials = {"consumer_key": "3MVG9canary", "consumer_secret": "canary-secret"}
    put = await house.http.put(
        "/v1/apps/app_one/consumer-credentials", headers=admin, json=credentials
    )
    read = await house.http.get("/v1/apps/app_one", headers=admin)

    assert (put.status_code, put.content) == (204, b"")
    assert read.json()["has_consumer_credentials"] is True
    assert "canary" not in read.text


@pytest.mark.parametrize(
    ("member", "value", "field"),
    [
        ("name", "", "body.name"),
        ("name", "a\x00b", "body.name"),
        ("name", "\ud800", "body.name"),
        ("namespace", "1acme", "body.namespace"),
        ("callback_urls", [], "body.callback_urls"),
        ("callback_urls", ["javascript:alert(1)"], "body.callback_urls.0"),
        ("callback_urls", ["https://a@b.example/"], "body.callback_urls.0"),
        ("return_origins", ["https://app.acme.example/path"], "body.return_origins.0"),
        ("return_origins", ["http://["], "body.return_origins.0"),
        ("scopes", ["everything"], "body.scopes.0"),
        ("start_url", "http://app.acme.example/", "body.start_url"),
        ("start_url", "http://127.0.0.1.evil.example/", "body.start_url"),
        ("start_url", "https://acme@evil.example/", "body.start_url"),
        ("start_url", "https://app.acme.example\\@evil.example/", "body.start_url"),
        ("start_url", "javascript:alert(1)", "body.start_url"),
        ("colour", "red", "body.colour"),
    ],
)
async def test_what_an_app_cannot_be_is_said(house, admin, member, value, field):
    """The field is named; nothing is kept."""
    headers = {**admin, "Content-Type": "application/json"}
    body = json.dumps({**NEW_APP, member: value})
    answer = await house.http.post("/v1/apps", headers=headers, content=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert len(house.memory.apps) == 1


@pytest.mark.parametrize(
    "hosts",
    [
        {"login_hosts": {"production": "https://evil.example"}},
        {"package": {"install_urls": {"sandbox": "https://test.salesforce.com.evil.example/"}}},
        {"package": {"install_urls": {"sandbox": "https://test.salesforce.com@evil.example/"}}},
    ],
)
async def test_admins_are_sent_to_salesforce_alone(house, admin, hosts):
    """Logins and installations happen nowhere else."""
    answer = await house.http.post("/v1/apps", headers=admin, json={**NEW_APP, **hosts})

    assert (answer.status_code, answer.json()["code"]) == (409, "host_refused")
    assert len(house.memory.apps) == 1


async def test_an_origin_is_kept_as_browsers_write_it(house, admin):
    """Lower case, and without a port that goes unsaid."""
    asked = {**NEW_APP, "return_origins": ["https://App.Acme.Example:443", "http://a.example:81"]}

    made = await house.http.post("/v1/apps", headers=admin, json=asked)

    assert made.json()["return_origins"] == ["https://app.acme.example", "http://a.example:81"]


async def test_an_api_key_is_shown_once_and_ends_when_deleted(house, admin):
    """The list has no secrets; the deleted key opens nothing."""
    asked = {"name": "reporting", "rights": ["connections:read"]}
    made = (await house.http.post("/v1/api-keys", headers=admin, json=asked)).json()
    own = house.headers(made["key"])
    listed = await house.http.get("/v1/api-keys", headers=admin)
    before = await house.http.get("/v1/connections", headers=own)
    deleted = await house.http.delete(f"/v1/api-keys/{made['id']}", headers=admin)
    after = await house.http.get("/v1/connections", headers=own)

    assert made["key"].startswith("kt_live_")
    assert made["key"] not in listed.text
    assert made["id"] in listed.text
    assert (before.status_code, deleted.status_code, after.status_code) == (200, 204, 401)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rights": []},
        {"rights": ["everything"]},
        {"expires_at": 1900000000},
        {"expires_at": "0001-01-01T00:00:00+01:00"},
        {"expires_at": "2027-01-01T00:00:00"},
    ],
)
async def test_a_key_that_would_open_nothing_is_not_made(house, admin, wrong):
    """No rights, unknown ones, a time without a zone or before all calendars."""
    answer = await house.http.post(
        "/v1/api-keys", headers=admin, json={"name": "x", "rights": ["proxy"], **wrong}
    )

    assert answer.status_code == 422


async def test_a_list_is_read_page_by_page(house, admin):
    """Following `next_cursor` brings each item once, in order, and ends with null."""
    for number in range(5):
        house.add_connection(f"con_{number}")
    found, cursor = [], None
    for _ in range(3):
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await house.http.get("/v1/connections", headers=admin, params=params)).json()
        found += [connection["id"] for connection in page["data"]]
        cursor = page["next_cursor"]

    assert found == ["con_one", *(f"con_{number}" for number in range(5))]
    assert cursor is None


async def test_short_lists_have_pages_too(house, admin):
    """API keys and apps, which are never many."""
    for number in range(3):
        house.add_key(f"kt_live_number-{number}-xxxxxxxxx", "proxy")
    first = await house.http.get("/v1/api-keys?limit=3", headers=admin)
    cursor = first.json()["next_cursor"]
    second = await house.http.get(f"/v1/api-keys?limit=3&cursor={cursor}", headers=admin)

    ids = [key["id"] for page in (first, second) for key in page.json()["data"]]
    assert ids == ["key_0", "key_1", "key_2", "key_3"]
    assert second.json()["next_cursor"] is None


@pytest.mark.parametrize("path", ["/v1/connections", "/v1/audit-events", "/v1/api-keys"])
@pytest.mark.parametrize("limit", ["0", "201", "x"])
async def test_a_page_has_its_bounds(house, admin, path, limit):
    """Between 1 and 200 items."""
    answer = await house.http.get(f"{path}?limit={limit}", headers=admin)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "query.limit"


@pytest.mark.parametrize("path", ["/v1/connections", "/v1/audit-events", "/v1/api-keys"])
async def test_a_cursor_is_one_of_ours(house, admin, path):
    """What was made up, or kept too long, leads nowhere."""
    answer = await house.http.get(f"{path}?cursor=made-up", headers=admin)

    assert (answer.status_code, answer.json()["code"]) == (409, "cursor_unknown")


async def test_a_row_that_cannot_be_read_is_not_called_a_cursor(house, admin):
    """It is the operator's: whoever asks can do nothing about it."""
    house.memory.connections["con_one"] = Odd()

    answer = await house.http.get("/v1/connections?customer_id=northwind", headers=admin)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.json()["who"] == "operator"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("customer_id=contoso", ["con_two"]),
        ("state=uncertain", ["con_two"]),
        ("environment=sandbox", ["con_two"]),
        ("org_id=00D5g000004bLxZ", ["con_one", "con_two"]),
        ("app_id=app_other", []),
        ("q=ada", ["con_one", "con_two"]),
        ("q=eve", []),
    ],
)
async def test_connections_are_filtered(house, admin, query, found):
    """An org id of 15 characters finds what is kept with 18."""
    house.add_connection(
        "con_two",
        customer_id="contoso",
        state=ConnectionState.UNCERTAIN,
        environment=Environment.SANDBOX,
    )

    answer = await house.http.get(f"/v1/connections?{query}", headers=admin)

    assert [connection["id"] for connection in answer.json()["data"]] == found


async def test_a_connection_says_what_is_wrong_and_when_it_dies(house, admin):
    """`problem` is an object with its code; times are RFC 3339 in UTC."""
    house.add_connection(state=ConnectionState.UNCERTAIN, problem="connection_uncertain")

    said = (await house.http.get("/v1/connections/con_one", headers=admin)).json()

    assert said["problem"]["code"] == "connection_uncertain"
    assert said["problem"]["who"] == "operator"
    assert said["dies_at"] == "2027-11-24T12:00:00Z"
    assert said["dies_because"] == "fixed_lifetime"
    assert said["user"]["username"] == "ada@northwind.example"


@pytest.mark.parametrize("written", ["off", "yes", 1.0, 0, None])
async def test_a_switch_takes_true_and_false_alone(house, admin, written):
    """A word that somebody meant otherwise switches nothing, on or off."""
    for path, name in (
        ("/v1/connections/con_one", "keep_alive"),
        ("/v1/apps/app_one", "allow_same_org"),
    ):
        if (name, written) == ("allow_same_org", None):
            continue  # which leaves it as it is
        answer = await house.http.patch(path, headers=admin, json={name: written})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_keep_alive_is_set(house, admin):
    """A connection that is let die idle says so."""
    answer = await house.http.patch(
        "/v1/connections/con_one", headers=admin, json={"keep_alive": False}
    )

    assert answer.json()["keep_alive"] is False
    assert answer.json()["dies_because"] == "idle"


async def test_disconnecting_runs_on_and_is_the_same_a_second_time(house, admin):
    """202 while the grant is being ended, 200 once it is."""
    first = await house.http.delete("/v1/connections/con_one", headers=admin)
    second = await house.http.delete("/v1/connections/con_one", headers=admin)

    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["state"] == "revoked"
    assert [reason for _, reason in house.memory.revoked] == ["disconnected"]


async def test_audit_events_tell_what_was_done(house, admin):
    """By connection, by type, since when."""
    await house.http.post("/v1/connections/con_one/access-token", headers=admin)
    house.clock.advance(minutes=5)
    await house.http.patch("/v1/connections/con_one", headers=admin, json={"keep_alive": False})
    later = (web_fakes.START + timedelta(minutes=1)).isoformat()

    async def types(**params):
        answer = await house.http.get("/v1/audit-events", headers=admin, params=params)
        return [event["type"] for event in answer.json()["data"]]

    assert await types(connection_id="con_one") == ["token.read", "connection.keep_alive_set"]
    assert await types(type="token.read") == ["token.read"]
    assert await types(since=later) == ["connection.keep_alive_set"]
    assert await types(connection_id="con_other") == []


async def test_an_app_of_several_has_to_be_named(house, admin):
    """Which app a customer connects with cannot be guessed."""
    house.memory.apps["app_two"] = replace(house.memory.apps["app_one"], id="app_two")
    asked = {"customer_id": "northwind", "return_url": "https://app.acme.example/settings"}

    unnamed = await house.http.post("/v1/connect-sessions", headers=admin, json=asked)
    named = await house.http.post(
        "/v1/connect-sessions", headers=admin, json={**asked, "app_id": "app_two"}
    )

    assert unnamed.json()["code"] == "app_required"
    assert named.json()["app_id"] == "app_two"
