"""`POST …/access-token`: a token that serves, or a refusal that says why."""

from __future__ import annotations

import json

import pytest

PATH = "/v1/connections/con_one/access-token"


async def test_a_token_in_force_is_handed_out(house, admin):
    """All that a caller needs, marked so that nothing on the way keeps it."""
    answer = await house.http.post(PATH, headers=admin)

    assert answer.json() == {
        "access_token": "token-in-force",
        "token_type": "Bearer",
        "instance_url": "https://northwind.my.salesforce.com",
        "expires_at": "2026-11-24T14:00:00Z",
        "generation": 7,
        "org_id": "00D5g000004bLxZEAU",
        "user_id": "0055g00000F2rTkAAJ",
        "scopes": ["api", "refresh_token"],
    }
    assert answer.headers["cache-control"] == "no-store"
    assert house.refreshing.times == 0
    assert house.memory.lookups == 1


async def test_each_read_is_recorded(house, admin):
    """Who read which generation."""
    await house.http.post(PATH, headers=admin)

    event = house.memory.events[-1]
    assert (event.type, event.actor, event.detail) == ("token.read", "key_0", {"generation": 7})


async def test_a_refused_token_is_renewed_once(house, admin):
    """Two callers that were refused generation 7 get generation 8, refreshed once."""
    body = {"rejected_generation": 7}
    first = await house.http.post(PATH, headers=admin, json=body)
    second = await house.http.post(PATH, headers=admin, json=body)

    assert first.json()["generation"] == second.json()["generation"] == 8
    assert first.json()["access_token"] == "token-8"
    assert house.refreshing.times == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("reauthorization_required", 409),
        ("connection_revoked", 409),
        ("connection_pending", 409),
        ("connection_uncertain", 409),
        ("org_unavailable", 503),
        ("sealed", 503),
    ],
)
async def test_a_connection_that_cannot_serve_says_why(house, admin, code, status):
    """Never a token that is known to be dead."""
    house.cannot_serve(code)

    answer = await house.http.post(PATH, headers=admin)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) or status == 409
    assert "access_token" not in answer.text


async def test_no_token_leaves_unrecorded(house, admin):
    """Where the trail cannot be written."""
    house.memory.audit_down = True

    answer = await house.http.post(PATH, headers=admin)

    assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "token-in-force" not in answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b'{"rejected_generation": "7"}', 422),
        (b'{"rejected": 7}', 422),
        (json.dumps({"rejected_generation": 7, "x": "y" * 5000}).encode(), 413),
    ],
)
async def test_a_body_out_of_shape_is_refused(house, admin, body, status):
    """Unknown members too: a mistyped name must not pass for `none`."""
    answer = await house.http.post(PATH, headers=admin, content=body)

    assert answer.status_code == status
    assert house.memory.events == []


async def test_only_post_asks_for_a_token(house, admin):
    """A link or an image cannot."""
    answer = await house.http.get(PATH, headers=admin)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_a_connection_that_is_ending_serves_no_more(house, admin):
    """From the moment somebody disconnected it."""
    house.memory.ending.add("con_one")

    answer = await house.http.post(PATH, headers=admin)

    assert answer.json()["code"] == "connection_revoked"
