"""The client of the hosted platform that does this job: moving in changes URL and key alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from appnigma_integrations_client import AppnigmaAPIError, AppnigmaClient
from tests.support.vendor import Vendor
from tools.world import World


@pytest.fixture
async def client(world: World) -> AsyncIterator[AppnigmaClient]:
    """The client, pointed at our service."""
    async with AppnigmaClient(api_key=world.api_key, base_url=world.service_url) as client:
        yield client


async def test_it_lists_connections(client: AppnigmaClient, world: World) -> None:
    """With filters and pages, in the names that it reads."""
    listed = await client.list_connections(integration_id=world.line["app_id"], limit=1)
    first = listed["connections"][0]
    assert first["connectionId"] in {one["id"] for one in world.line["connections"]}
    assert (first["environment"], first["status"]) == ("production", "connected")
    assert first["userEmail"]
    assert listed["totalCount"] >= 2
    following = await client.list_connections(limit=50, cursor=listed["nextCursor"])
    assert first["connectionId"] not in {one["connectionId"] for one in following["connections"]}


async def test_it_gets_credentials(client: AppnigmaClient, world: World, vendor: Vendor) -> None:
    """The access token that works at the org."""
    connection = world.line["connections"][0]["id"]
    credentials = await client.get_connection_credentials(connection)
    assert credentials["accessToken"] == vendor.token(connection).json()["access_token"]
    assert credentials["tokenType"] == "Bearer"
    assert credentials["expiresAt"]


async def test_it_proxies_calls(client: AppnigmaClient, world: World) -> None:
    """Reads and writes, also those that Salesforce answers with nothing."""
    connection = world.line["connections"][0]["id"]
    base = "/services/data/v68.0"
    found = await client.proxy_salesforce_request(
        connection,
        {
            "method": "GET",
            "path": f"{base}/query",
            "query": {"q": "SELECT Id FROM Contact LIMIT 1"},
        },
    )
    contact = found["records"][0]["Id"]
    changed = await client.proxy_salesforce_request(
        connection,
        {
            "method": "PATCH",
            "path": f"{base}/sobjects/Contact/{contact}",
            "data": {"Title": "Buyer"},
        },
    )
    assert changed is None


async def test_its_errors_carry_code_and_status(client: AppnigmaClient) -> None:
    """What we refuse comes out as its own error class."""
    with pytest.raises(AppnigmaAPIError) as refused:
        await client.get_connection_credentials("con_nobody")
    assert refused.value.status_code == 404
    assert refused.value.error


async def test_a_wrong_key_is_refused(world: World) -> None:
    """As 401, in its own error class."""
    async with AppnigmaClient(api_key="kt_test_wrong", base_url=world.service_url) as client:
        with pytest.raises(AppnigmaAPIError) as refused:
            await client.list_connections()
    assert refused.value.status_code == 401
