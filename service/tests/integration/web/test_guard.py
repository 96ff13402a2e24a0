"""What stands around every request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from keyturn_service.ports import Turn
from keyturn_service.web.refusals import ENTRIES


@pytest.mark.parametrize("path", ["/v1/connections", "/docs/errors", "/services/data", "/"])
async def test_another_host_is_refused(house, admin, path):
    """A rebound name must not reach the service, nor make it write links to itself."""
    answer = await house.http.get(path, headers={**admin, "Host": "evil.example"})

    assert answer.status_code == 421
    assert answer.json()["code"] == "misdirected_request"
    assert answer.json()["type"].startswith(house.url)
    assert "evil" not in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_are_answered_on_any_host(house, path):
    """They call by address."""
    answer = await house.http.get(path, headers={"Host": "10.1.2.3:8321"})

    assert answer.status_code == 200


async def test_a_service_without_its_database_lives_but_is_not_ready(house):
    """So that it is taken out of rotation, and not killed."""
    house.memory.down = True

    alive = await house.http.get("/healthz")
    ready = await house.http.get("/readyz")

    assert alive.status_code == 200
    assert (ready.status_code, ready.json()["code"]) == (503, "store_unavailable")


async def test_a_replica_whose_audit_is_not_exported_serves_on_and_says_so(house):
    """Since when, and not on what: anybody may ask."""
    last = house.clock.now() - timedelta(hours=7)
    house.memory.turns = [Turn(name="export", succeeded_at=last, problem="/mnt/audit: disk full")]

    ready = await house.http.get("/readyz")

    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "audit": [{"name": "export", "state": "failed", "age_seconds": 7 * 3600}],
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/connections"), ("POST", "/v1/connections/con_one/access-token")],
)
async def test_a_silent_database_is_told_without_its_address(house, admin, method, path):
    """503 with the time after which to ask again."""
    house.memory.down = True

    answer = await house.http.request(method, path, headers=admin)

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("path", ["/v1/connections/con_one", "/api/v1/connections"])
async def test_an_unexpected_error_is_logged_by_type_and_place(house, admin, path):
    """Neither the answer nor the log has its text."""
    house.memory.connections["con_one"] = "canary: what no fake should hold"
    with capture_logs() as logs:
        answer = await house.http.get(path, headers=admin)

    assert answer.status_code == 500
    assert answer.headers["keyturn-problem"] == "internal_error"
    assert "canary" not in answer.text + str(logs)
    (logged,) = (log for log in logs if log["event"] == "request_failed")
    assert logged["error"] == "AttributeError"
    assert ":" in logged["handler"]


async def test_every_answer_carries_its_guards(house, admin):
    """No sniffing, no framing, nothing kept, nothing told to the next page."""
    for path in ("/v1/connections", "/healthz", "/docs/errors", "/nowhere", "/openapi.json"):
        headers = (await house.http.get(path, headers=admin)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "strict-transport-security" not in headers


async def test_a_secure_face_asks_to_stay_secure(house):
    """Strict-Transport-Security belongs on https alone."""
    answer = await house.http.get("/healthz", headers={"Host": "keyturn.example"})

    assert "max-age=" in answer.headers["strict-transport-security"]


async def test_a_long_body_is_refused(house, admin):
    """Whether or not it says how long it is."""

    async def parts():
        for _ in range(30):
            yield b" " * 10_000

    declared = await house.http.post("/v1/apps", headers=admin, content=b" " * 300_000)
    undeclared = await house.http.post("/v1/apps", headers=admin, content=parts())

    assert (declared.status_code, undeclared.status_code) == (413, 413)
    assert undeclared.json()["code"] == "payload_too_large"


@pytest.mark.parametrize("body", [b"{", b"", b"\xff\xfe", b'{"a":' * 5000])
async def test_a_body_that_cannot_be_read_is_a_problem(house, admin, body):
    """Of the caller's, whatever it is."""
    headers = {**admin, "Content-Type": "application/json"}

    answer = await house.http.post("/v1/apps", headers=headers, content=body)

    assert answer.status_code in {400, 422}
    assert answer.json()["code"] == "invalid_request"


async def test_an_unknown_address_is_a_problem(house):
    """404 and 405 are problems as all others."""
    nowhere = await house.http.get("/v2/connections")
    elsewise = await house.http.delete("/docs/errors")

    assert nowhere.json()["code"] == "not_found"
    assert elsewise.json()["code"] == "method_not_allowed"
    assert elsewise.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/apps", "GET, POST"),
        ("/v1/connections/con_one", "DELETE, GET, PATCH"),
        ("/v1/connections/con_one/access-token", "POST"),
    ],
)
async def test_what_an_address_takes_is_said_in_full(house, path, methods):
    """Also where several routes share it."""
    answer = await house.http.request("OPTIONS", path)

    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


async def test_each_problem_s_type_leads_to_a_page(house):
    """Every code has one, and the list has them all."""
    listed = (await house.http.get("/docs/errors")).text
    for code in ENTRIES:
        page = await house.http.get(f"/docs/errors/{code}")
        assert page.status_code == 200
        assert f'data-code="{code}"' in page.text
        assert f"/docs/errors/{code}" in listed
    assert (await house.http.get("/docs/errors/made_up")).status_code == 404
