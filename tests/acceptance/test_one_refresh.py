"""An access token that ended is renewed once, however many ask for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2
from tests.support.vendor import Vendor

READERS = 200


def test_two_hundred_readers_of_an_expired_token_make_one_token_request(vendor: Vendor) -> None:
    """All get the same new generation; the org's journal has one refresh."""
    connection = vendor.world.line["connections"][0]["id"]
    before = vendor.token(connection).json()["generation"]
    vendor.advance("PT3H")
    since = vendor.next_entry()

    urls = vendor.world.line["service_urls"]
    path = f"/v1/connections/{connection}/access-token"
    headers = {"Authorization": f"Bearer {vendor.world.api_key}"}
    limits = httpx2.Limits(max_connections=READERS, max_keepalive_connections=READERS)
    with (
        httpx2.Client(headers=headers, trust_env=False, timeout=60, limits=limits) as http,
        ThreadPoolExecutor(READERS) as pool,
    ):
        answers = list(pool.map(lambda n: http.post(urls[n % len(urls)] + path), range(READERS)))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["generation"] for answer in answers} == {before + 1}
    refreshes = vendor.journal(grant_type="refresh_token", since=since)
    assert [entry["status"] for entry in refreshes] == [200]


def test_rejected_generation_is_renewed_once_and_compared(vendor: Vendor) -> None:
    """Told that Salesforce refused a generation, it renews once; told again it compares."""
    connection = vendor.world.line["connections"][1]["id"]
    held = vendor.token(connection).json()
    since = vendor.next_entry()

    first = vendor.token(connection, rejected_generation=held["generation"]).json()
    second = vendor.token(connection, rejected_generation=held["generation"]).json()

    assert first["generation"] == second["generation"] == held["generation"] + 1
    assert first["access_token"] == second["access_token"] != held["access_token"]
    assert len(vendor.journal(grant_type="refresh_token", since=since)) == 1
