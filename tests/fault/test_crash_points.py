"""A replica is killed at each awaited call of a refresh; no connection is lost that could be kept.

The calls are not listed by hand: one refresh is recorded, and each call in it is a place to die
before and after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.fault.crash_world import CrashWorld, crash_world
from tests.support.postgres import running_postgres

ORG = "Northwind"
# From the first of these to the last of them, a token set may be in nobody's hands but ours.
INTENT = "tokens.begin_attempt"
SPOOLED = "spool.put"
KILLED = -9


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
    """Audit, intent, call, spool, store, delivered: nothing stands between call and spool."""
    order = [
        "audit.record(token.presented)",
        INTENT,
        "endpoint.present",
        SPOOLED,
        "tokens.replace",
        "spool.delivered",
        "audit.record(token.stored)",
    ]
    assert [call for call in calls if call in order] == order
    assert calls.index(SPOOLED) == calls.index("endpoint.present") + 1


@pytest.mark.timeout(900)  # some twenty places to die, a start after each
def test_a_kill_at_each_awaited_call_loses_no_connection(
    world: CrashWorld, calls: list[str]
) -> None:
    """What lies on the spool is delivered, every other connection is `uncertain`."""
    world.start()
    connection = next(
        one["id"] for one in world.call("GET", "/v1/connections?state=active").json()["data"]
    )
    world.stop()
    for call in calls:
        for when in ("before", "after"):
            connection = _crash_and_recover(world, connection, calls, call, when)
    _see_that_nothing_was_presented_twice(world, connection)
    world.stop()


def _crash_and_recover(
    world: CrashWorld, connection: str, calls: list[str], call: str, when: str
) -> str:
    place = f"{call}:{when}"
    world.start(kill_at=place)
    world.advance("PT3H")
    before = world.connection(connection)
    since = world.next_entry()
    world.arm.touch()
    try:
        with pytest.raises(httpx2.TransportError):
            world.token(connection)
        assert world.wait_until_dead() == KILLED, place
    finally:
        world.arm.unlink()
        world.kill()

    seconds = world.start()
    assert seconds < 10, place
    state = world.connection(connection)["state"]
    seen = [entry for entry in world.refreshes(since) if entry["status"] == 200]
    if _reached(calls, call, when, SPOOLED):
        assert (place, state, len(seen)) == (place, "active", 1)
        answer = world.token(connection)
        assert answer.status_code == 200, (place, answer.text)
        assert len(world.refreshes(since)) == 1, place
    elif _reached(calls, call, when, INTENT):
        assert (place, state) == (place, "uncertain")
        connection = _resolve(world, connection, rotated=bool(seen))
    else:
        assert (place, state, seen) == (place, "active", [])
        assert world.token(connection).status_code == 200, place
    assert before["org_id"] == world.connection(connection)["org_id"]
    world.stop()
    return connection


def _reached(calls: list[str], call: str, when: str, mark: str) -> bool:
    """Tell whether a replica killed there had got through the call `mark`."""
    at, wanted = calls.index(call), calls.index(mark)
    return at > wanted or (at == wanted and when == "after")


def _resolve(world: CrashWorld, connection: str, *, rotated: bool) -> str:
    """Bring an uncertain connection out of it, as its vendor would."""
    refused = world.token(connection)
    assert refused.status_code == 409
    assert refused.json()["code"] == "connection_uncertain"
    world.advance("PT2M")
    again = world.token(connection)
    types = [event["type"] for event in world.events(connection)]
    assert types.count("token.decided_to_present_again") >= 1
    if not rotated:
        assert again.status_code == 200, again.text
        return connection
    assert (again.status_code, again.json()["code"]) == (409, "reauthorization_required")
    return world.connect(ORG, connection)


def _see_that_nothing_was_presented_twice(world: CrashWorld, connection: str) -> None:
    """A token stands twice in the org's journal only where a decision is on record."""
    world.start()
    refs = Counter(entry["token_ref"] for entry in world.refreshes())
    twice = [ref for ref, count in refs.items() if count > 1]
    decisions = [
        event
        for event in world.events(connection)
        if event["type"] == "token.decided_to_present_again"
    ]
    assert all(count <= 2 for count in refs.values())
    assert len(twice) <= len(decisions)


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
