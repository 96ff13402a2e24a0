"""The other platform's published client, moved in by its URL and key alone."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import web_fakes
from appnigma_integrations_client import AppnigmaAPIError, AppnigmaClient
from web_org import open_org

from keyturn_core.salesforce.hosts import Environment
from keyturn_service.domain.connection import ConnectionState

QUERY = {"method": "GET", "path": "/services/data/v68.0/query", "query": {"q": "SELECT Id FROM X"}}


@pytest.fixture
async def client(house):
    """Return that client with the key that has all rights."""
    async with AppnigmaClient(api_key=house.key, base_url=house.url) as opened:
        yield opened


@pytest.fixture
async def org(house):
    """Return an org that the house's connection leads to."""
    async with open_org() as opened:
        house.at_org(opened.origin)
        yield opened


async def test_connections_are_listed_in_its_words(client):
    """Each member that it documents."""
    listed = await client.list_connections()

    assert listed["totalCount"] == 1
    assert "nextCursor" not in listed
    assert listed["connections"][0] == {
        "connectionId": "con_one",
        "userEmail": "ada@n.example",
        "userName": "ada@northwind.example",
        "orgName": "Northwind",
        "environment": "production",
        "region": "global",
        "status": "connected",
        "connectedAt": "2026-11-24T12:00:00Z",
        "lastActiveAt": "2026-11-24T12:00:00Z",
    }


async def test_its_pages_bring_each_connection_once(house, client):
    """Twenty at a time unless it says otherwise."""
    for number in range(45):
        house.add_connection(f"con_{number:02}")
    sizes, found, cursor = [], [], None
    for _ in range(3):
        page = await client.list_connections(cursor=cursor)
        sizes.append(len(page["connections"]))
        found += [connection["connectionId"] for connection in page["connections"]]
        cursor = page.get("nextCursor")

    assert sizes == [20, 20, 6]
    assert len(set(found)) == 46
    assert cursor is None
    assert page["totalCount"] == 46


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
async def test_connected_are_those_that_serve(house, client, limit):
    """Active ones, and uncertain ones whose access token still works, whatever the page size."""
    house.add_connection("con_serving", state=ConnectionState.UNCERTAIN)
    long_ago = web_fakes.START - timedelta(hours=3)
    house.add_connection("con_dead", state=ConnectionState.UNCERTAIN, last_refreshed_at=long_ago)
    house.add_connection("con_ended", state=ConnectionState.REVOKED)
    house.add_connection("con_two")
    found, cursor = [], None
    while True:
        page = await client.list_connections(status="connected", limit=limit, cursor=cursor)
        found += [(each["connectionId"], each["status"]) for each in page["connections"]]
        cursor = page.get("nextCursor")
        if cursor is None:
            break

    assert found == [
        ("con_one", "connected"), ("con_two", "connected"), ("con_serving", "connected")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"environment": "sandbox"}, ["con_two"]),
        ({"status": "revoked"}, ["con_two"]),
        ({"status": "active"}, []),
        ({"status": "disconnected"}, []),
        ({"search": "ada@n"}, ["con_one", "con_two"]),
        ({"search": "eve"}, []),
        ({"integration_id": "app_one"}, ["con_one", "con_two"]),
        ({"integration_id": "app_other"}, []),
    ],
)
async def test_its_filters_hold(house, client, filters, found):
    """A status that no connection has here finds none."""
    house.add_connection("con_two", environment=Environment.SANDBOX, state=ConnectionState.REVOKED)

    listed = await client.list_connections(**filters)

    assert [each["connectionId"] for each in listed["connections"]] == found
    assert listed["totalCount"] == len(found)


async def test_credentials_are_texts(client):
    """All of them, the end of the token among them."""
    said = await client.get_connection_credentials("con_one", integration_id="app_one")

    assert said["accessToken"] == "token-in-force"
    assert said["tokenType"] == "Bearer"
    assert said["instanceUrl"] == "https://northwind.my.salesforce.com"
    assert datetime.fromisoformat(said["expiresAt"]) > web_fakes.START
    assert all(isinstance(value, str) for value in said.values())


async def test_a_call_is_proxied(client, org):
    """Its query, its data, Salesforce's body as it came."""
    org.parts = [b'{"records": [{"Id": "003"}]}']

    read = await client.proxy_salesforce_request("con_one", QUERY)
    await client.proxy_salesforce_request(
        "con_one",
        {"method": "POST", "path": "/services/data/v68.0/sobjects/Lead", "data": {"Name": "A"}},
    )

    assert read == {"records": [{"Id": "003"}]}
    assert org.arrived[0].target == "/services/data/v68.0/query?q=SELECT+Id+FROM+X"
    assert org.arrived[0].header(b"authorization") == b"Bearer token-in-force"
    assert org.arrived[1].body == b'{"Name": "A"}'


@pytest.mark.parametrize(
    ("status", "body", "read"),
    [(204, b"", None), (200, b"", None), (200, b"a,b\n1,2\n", "a,b\n1,2\n"), (201, b"[]", [])],
)
async def test_every_answer_is_json(client, org, status, body, read):
    """It reads JSON before it looks at the status; nothing is written as null."""
    org.status, org.parts, org.headers = status, [body], []
    if status == 204:
        org.parts = []

    assert await client.proxy_salesforce_request("con_one", QUERY) == read


async def test_a_refusal_of_salesforce_keeps_status_and_body(client, org):
    """So that its caller can read Salesforce's own error."""
    org.status, org.parts = 400, [b'[{"errorCode": "MALFORMED_QUERY", "message": "x"}]']

    with pytest.raises(AppnigmaAPIError) as refused:
        await client.proxy_salesforce_request("con_one", QUERY)

    assert refused.value.status_code == 400
    assert refused.value.response_body[0]["errorCode"] == "MALFORMED_QUERY"


async def test_refusals_of_ours_are_its_errors(house, client):
    """With our code as `error`, on each of its calls."""
    house.cannot_serve("reauthorization_required")
    calls = {
        "reauthorization_required": client.get_connection_credentials("con_one"),
        "not_found": client.get_connection_credentials("con_one", integration_id="app_other"),
        "invalid_request": client.list_connections(limit=0),
        "proxy_path_refused": client.proxy_salesforce_request(
            "con_one", {"method": "GET", "path": "/services/oauth2/token"}
        ),
    }
    for code, call in calls.items():
        with pytest.raises(AppnigmaAPIError) as refused:
            await call
        assert refused.value.error == code
        assert refused.value.message
        assert refused.value.status_code >= 400


async def test_a_wrong_key_is_its_error(house):
    """401, in JSON as it reads it."""
    async with AppnigmaClient(
        api_key="kt_live_nobody-was-ever-given-this", base_url=house.url
    ) as client:
        with pytest.raises(AppnigmaAPIError) as refused:
            await client.list_connections()

    assert (refused.value.status_code, refused.value.error) == (401, "unauthorized")


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/api/v1/proxy/salesforce"])
async def test_what_is_not_there_is_said_in_its_words(house, path):
    """404 and 405 too."""
    answer = await house.http.get(path)

    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "message"}


@pytest.mark.parametrize("cursor", ["made-up", "u:made-up"])
async def test_a_cursor_is_one_of_ours(house, client, cursor):
    """Whichever list it pretends to be of."""
    house.add_connection("con_two", state=ConnectionState.UNCERTAIN)

    with pytest.raises(AppnigmaAPIError) as refused:
        await client.list_connections(status="connected", cursor=cursor)

    assert refused.value.error == "cursor_unknown"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 422),
        (b'{"method": "TRACE", "path": "/services/data"}', 422),
        (b'{"method": "GET"}', 422),
    ],
)
async def test_a_call_out_of_shape_is_refused(house, admin, body, status):
    """Before any connection is looked for."""
    answer = await house.http.post("/api/v1/proxy/salesforce", headers=admin, content=body)

    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


async def test_values_of_its_query_are_written_as_texts(client, org):
    """Numbers and booleans as Salesforce writes them; null is left out."""
    call = {**QUERY, "query": {"n": 5, "all": True, "none": None}}

    await client.proxy_salesforce_request("con_one", call)

    assert org.arrived[0].target.endswith("?n=5&all=true")
