"""Who may call, and what the door says to the others."""

from __future__ import annotations

import pytest

from keyturn_service.domain.api_key import Right

CALLS = [
    ("GET", "/v1/apps", Right.CONNECTIONS_READ),
    ("GET", "/v1/apps/app_one", Right.CONNECTIONS_READ),
    ("POST", "/v1/apps", Right.ADMIN),
    ("PATCH", "/v1/apps/app_one", Right.ADMIN),
    ("PUT", "/v1/apps/app_one/consumer-credentials", Right.ADMIN),
    ("GET", "/v1/api-keys", Right.ADMIN),
    ("POST", "/v1/api-keys", Right.ADMIN),
    ("DELETE", "/v1/api-keys/key_0", Right.ADMIN),
    ("POST", "/v1/connect-sessions", Right.CONNECTIONS_WRITE),
    ("GET", "/v1/connect-sessions/cs_1", Right.CONNECTIONS_READ),
    ("POST", "/v1/connect-sessions/cs_1/confirm", Right.CONNECTIONS_WRITE),
    ("GET", "/v1/connections", Right.CONNECTIONS_READ),
    ("GET", "/v1/connections/con_one", Right.CONNECTIONS_READ),
    ("PATCH", "/v1/connections/con_one", Right.CONNECTIONS_WRITE),
    ("DELETE", "/v1/connections/con_one", Right.CONNECTIONS_WRITE),
    ("GET", "/v1/audit-events", Right.CONNECTIONS_READ),
    ("POST", "/v1/connections/con_one/access-token", Right.TOKENS_READ),
    ("POST", "/v1/connections/con_one/proxy-sessions", Right.PROXY),
    ("GET", "/v1/connections/con_one/salesforce/services/data", Right.PROXY),
    ("GET", "/api/v1/connections", Right.CONNECTIONS_READ),
    ("GET", "/api/v1/connections/con_one/credentials", Right.TOKENS_READ),
    ("POST", "/api/v1/proxy/salesforce", Right.PROXY),
]


@pytest.mark.parametrize(("method", "path", "right"), CALLS)
async def test_a_call_without_a_key_is_refused(house, method, path, right):
    """Each address asks for a key, whatever right it needs, and does nothing without one."""
    assert right in Right
    answer = await house.http.request(method, path)

    assert answer.status_code == 401
    assert answer.headers["keyturn-problem"] == "unauthorized"
    assert house.memory.events == []


@pytest.mark.parametrize(("method", "path", "right"), CALLS)
async def test_a_key_without_the_right_is_refused(house, method, path, right):
    """A key that has every other right does nothing here."""
    key = house.add_key("kt_live_all-other-rights-xx", *(set(Right) - {right}))

    answer = await house.http.request(method, path, headers=house.headers(key))

    assert answer.status_code == 403
    assert right in answer.text
    assert house.memory.events == []


async def test_an_expired_key_opens_nothing(house, admin):
    """A key has its end."""
    made = await house.http.post(
        "/v1/api-keys",
        headers=admin,
        json={
            "name": "short", "rights": ["connections:read"], "expires_at": "2026-11-24T13:00:00Z"
        },
    )  # fmt: skip
    headers = house.headers(made.json()["key"])
    before = await house.http.get("/v1/connections", headers=headers)
    house.clock.advance(hours=1)
    after = await house.http.get("/v1/connections", headers=headers)

    assert (before.status_code, after.status_code) == (200, 401)


@pytest.mark.parametrize(
    "key", ["kt_", "kt_live_x", "another-kind-of-key-altogether", "kt_live_" + "x" * 400]
)
async def test_what_is_no_key_of_ours_is_not_looked_up(house, key):
    """It costs the database nothing."""
    answer = await house.http.get("/v1/connections", headers=house.headers(key))

    assert answer.status_code == 401
    assert house.memory.lookups == 0


async def test_guessing_ends_before_the_database_does(house, admin):
    """After many wrong keys an address is told to wait; a good key from there still works."""
    await house.http.get("/v1/connections", headers=admin)
    wrong = house.headers("kt_live_nobody-was-ever-given-this")
    answers = [await house.http.get("/v1/connections", headers=wrong) for _ in range(61)]
    looked_up = house.memory.lookups
    refused = await house.http.post("/v1/connections/con_one/access-token", headers=wrong)
    good = await house.http.get("/v1/connections", headers=admin)

    assert [answer.status_code for answer in answers] == [401] * 60 + [429]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert good.status_code == 200
    assert house.memory.lookups == looked_up + 1


async def test_another_workspace_s_things_are_not_there(house):
    """A key of another workspace with all rights finds nothing of this one."""
    key = house.add_key("kt_live_of-another-workspace", *Right, workspace_id="ws_other")
    headers = house.headers(key)
    calls = [
        ("GET", "/v1/apps/app_one", None),
        ("PATCH", "/v1/apps/app_one", {"name": "taken over"}),
        ("DELETE", "/v1/api-keys/key_0", None),
        ("GET", "/v1/connections/con_one", None),
        ("PATCH", "/v1/connections/con_one", {"keep_alive": False}),
        ("DELETE", "/v1/connections/con_one", None),
        ("POST", "/v1/connections/con_one/access-token", None),
        ("POST", "/v1/connections/con_one/proxy-sessions", None),
        ("GET", "/v1/connections/con_one/salesforce/services/data", None),
    ]
    for method, path, body in calls:
        answer = await house.http.request(method, path, headers=headers, json=body)
        assert (path, answer.status_code) == (path, 404)

    listed = await house.http.get("/v1/connections", headers=headers)
    assert listed.json()["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("POST", "/v1/connections/con_one/access-token", "kt_live_nobody-was-ever-given-this"),
        ("GET", "/api/v1/connections/con_one/credentials", "kt_live_nobody-was-ever-given-this"),
        ("GET", "/services/data", f"00D5g000004bLxZ!{'x' * 43}"),
    ],
)
async def test_every_door_counts_wrong_secrets(house, method, path, key):
    """Those beside the framework's, and proxy sessions too."""
    answers = [
        await house.http.request(method, path, headers=house.headers(key)) for _ in range(61)
    ]

    assert [answer.status_code for answer in answers] == [401] * 60 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
