"""The order of the calls of a refresh, and what answers that go wrong leave, through HTTP.

Replicas are killed at each of these calls in `test_kills`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.fault.crash_world import CrashWorld, crash_world
from tests.support.postgres import running_postgres

ORG = "Northwind"
# From the first of these to the last of them, a token set may be in nobody's hands but ours.
INTENT = "tokens.begin_attempt"
SPOOLED = "spool.put"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CrashWorld]:
    """A world on each database."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        with crash_world(folder) as world:
            yield world
        return
    with (
        running_postgres(fsync=True) as server,
        crash_world(folder, database_url=server.create_database()) as world,
    ):
        yield world


@pytest.fixture(scope="module")
def calls(world: CrashWorld) -> list[str]:
    """The awaited calls of one refresh, in order, from the intent to the answer's delivery."""
    world.start()
    connection = world.connect(ORG)
    world.advance("PT3H")
    world.arm.touch()
    assert world.token(connection).status_code == 200
    world.arm.unlink()
    world.stop()
    met = world.record.read_text().split()
    first, last = met.index(INTENT), met.index("spool.delivered")
    return met[first - 1 : last + 2]


def test_the_recorded_refresh_has_the_protocols_order(calls: list[str]) -> None:
    """Audit, intent, call, spool, store, audit, delivered; between call and spool is nothing."""
    order = [
        "audit.record(token.presented)",
        INTENT,
        "endpoint.present",
        SPOOLED,
        "tokens.replace",
        "audit.record(token.stored)",
        "spool.delivered",
    ]
    assert [call for call in calls if call in order] == order
    assert calls.index(SPOOLED) == calls.index("endpoint.present") + 1


def test_answers_lost_on_the_way_leave_it_uncertain_and_serving(world: CrashWorld) -> None:
    """The org rotated and its answer never came: the access token in hand goes on serving."""
    world.start()
    connection = _active(world)
    held = world.token(connection).json()
    world.fault("lost_answer", match={"grant_type": "refresh_token"})
    body: dict[str, Any] = {"rejected_generation": held["generation"]}
    assert world.token(connection, **body).json()["code"] == "connection_uncertain"
    assert world.connection(connection)["state"] == "uncertain"
    world.advance("PT2M")
    world.token(connection)
    world.connect(ORG, connection)
    assert world.token(connection).status_code == 200
    world.stop()


def test_an_org_that_says_not_now_costs_nothing(world: CrashWorld) -> None:
    """429 and 503 in JSON are "not processed": the same token is good for the next try."""
    world.start()
    connection = _active(world)
    generation = world.token(connection).json()["generation"]
    world.fault(
        "status", match={"grant_type": "refresh_token"}, options={"status": 503, "body": "json"}
    )
    world.advance("PT3H")
    refused = world.token(connection)
    assert (refused.status_code, refused.json()["code"]) == (503, "org_unavailable")
    assert refused.headers["retry-after"]
    assert world.connection(connection)["state"] == "active"
    world.advance("PT2S")  # longer than the answer's Retry-After
    assert world.token(connection).json()["generation"] == generation + 1
    world.stop()


def test_a_truncated_answer_is_salvaged_where_the_refresh_token_is_in_it(
    world: CrashWorld,
) -> None:
    """What came in part is on the spool; a connection is kept where that is possible."""
    world.start()
    connection = _active(world)
    generation = world.token(connection).json()["generation"]
    world.fault("truncated_answer", match={"grant_type": "refresh_token"}, options={"bytes": 700})
    world.advance("PT3H")
    answer = world.token(connection)
    if answer.status_code == 200:
        assert answer.json()["generation"] > generation
    else:
        assert answer.json()["code"] == "connection_uncertain"
        world.advance("PT2M")
        world.token(connection)
        world.connect(ORG, connection)
    assert world.token(connection).status_code == 200
    world.stop()


def _active(world: CrashWorld) -> str:
    found = world.call("GET", "/v1/connections?state=active").json()["data"]
    return str(found[0]["id"]) if found else world.connect(ORG)
