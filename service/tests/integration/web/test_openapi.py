"""The document says what the service does, and the service does what it says."""

from __future__ import annotations

import pytest
from starlette.routing import Route
from web_house import open_house

PAGES = ("/docs/", "/openapi.json", "/services/", "/id/")
COMPAT = "/api/v1/"


@pytest.fixture
async def document(house):
    """Return the document as it is served."""
    answer = await house.http.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def operations(document):
    """Return every operation with its method and path."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method, path, operation


def references(value):
    """Return every `$ref` in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


async def test_every_address_of_the_contract_is_in_it(document):
    """The lean routes and the proxy too."""
    paths = set(document["paths"])

    assert {
        "/v1/apps",
        "/v1/apps/{app_id}",
        "/v1/apps/{app_id}/consumer-credentials",
        "/v1/apps/{app_id}/signing-keys",
        "/v1/apps/{app_id}/signing-keys/{key_id}",
        "/v1/apps/{app_id}/signing-keys/{key_id}/activate",
        "/v1/api-keys",
        "/v1/api-keys/{key_id}",
        "/v1/connect-sessions",
        "/v1/connect-sessions/{session_id}",
        "/v1/connect-sessions/{session_id}/confirm",
        "/v1/connections",
        "/v1/connections/{connection_id}",
        "/v1/connections/{connection_id}/access-token",
        "/v1/connections/{connection_id}/verify",
        "/v1/connections/{connection_id}/proxy-sessions",
        "/v1/connections/{connection_id}/salesforce/{path}",
        "/v1/audit-events",
        "/api/v1/connections",
        "/api/v1/connections/{connection_id}/credentials",
        "/api/v1/proxy/salesforce",
        "/healthz",
        "/readyz",
    } == paths


async def test_it_leads_nowhere_that_is_not(document):
    """Each reference has its schema, each operation an id of its own."""
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    ids = [operation["operationId"] for _, _, operation in operations(document)]

    assert set(references(document)) <= schemas
    assert len(ids) == len(set(ids))


async def test_refusals_are_problems_everywhere(document):
    """No operation documents a refusal of another shape."""
    for method, path, operation in operations(document):
        refusal = operation["responses"]["default"]
        if path.startswith(COMPAT):  # in the words of the client that it is for
            assert list(refusal["content"]) == ["application/json"]
            continue
        assert "application/problem+json" in refusal["content"], (method, path)
        assert "422" not in operation["responses"], (method, path)


async def test_writes_take_an_idempotency_key(document):
    """Those of the resources; an access token is asked for anew each time."""
    for method, path, operation in operations(document):
        if "/access-token" in path or "/salesforce/" in path or path.startswith(COMPAT):
            continue
        names = [parameter["name"] for parameter in operation.get("parameters", [])]
        takes = method in {"post", "put", "patch", "delete"}
        assert ("Idempotency-Key" in names) == takes, (method, path)


async def test_every_call_but_the_probes_names_its_key(document):
    """`Authorization: Bearer`."""
    for method, path, operation in operations(document):
        assert ("security" in operation) == path.startswith(("/v1/", COMPAT)), (method, path)


async def test_it_names_the_faces(house, document):
    """So that a generated client finds the service."""
    assert [server["url"] for server in document["servers"]] == [
        house.url, "https://keyturn.example"
    ]  # fmt: skip


async def test_no_route_is_left_out():
    """What answers and is no page for people is in the document."""
    async with open_house() as house:
        paths = set((await house.http.get("/openapi.json")).json()["paths"])
        served = {
            route.path.replace("{path:path}", "{path}")
            for route in house.app.routes
            if isinstance(route, Route) and not route.path.startswith(PAGES)
        }

    assert served
    assert served <= paths
