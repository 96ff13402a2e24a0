"""`domain.connect_session`: the steps of connecting, and how time ends them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from service.tests.support.values import CONNECTION, HOUR, START, authorization, hash_of, session

from keyturn_service.domain.connect_session import (
    ConnectSession,
    SessionStatus,
    exchange_of,
    session_of,
)
from keyturn_service.domain.ids import AttemptId, ConnectSessionId

TICK = timedelta(microseconds=1)
LINK_END = START + HOUR
TRIP_END = START + 2 * HOUR
CONFIRMATION_END = START + 3 * HOUR
ENDED = [SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.EXPIRED]


def at_step(status: SessionStatus) -> ConnectSession:
    """Return a session whose steps end at three different times."""
    return session(
        status=status,
        expires_at=LINK_END,
        authorization=authorization(expires_at=TRIP_END),
        confirmation_hash=hash_of("confirmation"),
        confirmation_expires_at=CONFIRMATION_END,
    )


STEPS = [
    (SessionStatus.OPEN, LINK_END),
    (SessionStatus.AUTHORIZING, TRIP_END),
    (SessionStatus.AWAITING_CONFIRMATION, CONFIRMATION_END),
]


@pytest.mark.parametrize(("status", "ends_at"), STEPS)
def test_each_step_has_its_own_end(status: SessionStatus, ends_at: datetime) -> None:
    """The session is expired from that moment on, and not before."""
    made = at_step(status)

    assert made.ends_at() == ends_at
    assert made.status_at(ends_at - TICK) is status
    assert made.status_at(ends_at) is SessionStatus.EXPIRED


@pytest.mark.parametrize("status", [SessionStatus.AUTHORIZING, SessionStatus.AWAITING_CONFIRMATION])
def test_a_step_without_an_end_of_its_own_ends_with_the_link(status: SessionStatus) -> None:
    """No step goes on for ever."""
    made = session(
        status=status, expires_at=LINK_END, authorization=None, confirmation_expires_at=None
    )

    assert made.ends_at() == LINK_END


def test_a_session_that_is_cut_short_can_be_confirmed_on_no_clock() -> None:
    """Neither on one that is behind; what it waits for is still to be ended."""
    waiting = at_step(SessionStatus.AWAITING_CONFIRMATION)

    cut = waiting.cut_short()

    assert cut.status_at(waiting.created_at) is SessionStatus.EXPIRED
    assert (cut.status, cut.confirmation_hash) == (waiting.status, waiting.confirmation_hash)


@pytest.mark.parametrize("status", ENDED)
def test_an_ended_session_stays_as_it_ended(status: SessionStatus) -> None:
    """Time makes nothing else of it."""
    assert at_step(status).status_at(CONFIRMATION_END + 1000 * HOUR) is status


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        ("session_expired", SessionStatus.EXPIRED),
        ("access_denied", SessionStatus.FAILED),
        ("org_mismatch", SessionStatus.FAILED),
    ],
)
def test_a_failed_session_says_why_and_can_not_be_confirmed(
    problem: str, status: SessionStatus
) -> None:
    """What went on stays known; the version is the store's to raise."""
    before = at_step(SessionStatus.AWAITING_CONFIRMATION)

    after = before.failed(problem, said="access_denied: end-user denied authorization")

    assert after.said == "access_denied: end-user denied authorization"
    assert (after.status, after.problem, after.confirmation_hash) == (status, problem, None)
    assert (after.authorization, after.version) == (before.authorization, before.version)


@pytest.mark.parametrize(
    ("changes", "never"),
    [
        ({"authorization": authorization()}, True),
        ({"authorization": None}, False),
        ({"authorization": authorization(), "connection_id": CONNECTION}, False),
        ({"authorization": authorization(), "status": SessionStatus.AUTHORIZING}, False),
    ],
    ids=["went and was not seen again", "never went", "came back", "may come yet"],
)
def test_a_browser_that_never_came_back_is_told_apart(
    changes: dict[str, Any], *, never: bool
) -> None:
    """Only then is it worth asking what Salesforce showed there."""
    made = session(**{"status": SessionStatus.EXPIRED, **changes})

    assert made.never_came_back is never


def test_each_trip_names_its_exchange_and_the_name_tells_the_session() -> None:
    """Whose name an earlier release made is the session's own."""
    trip = authorization(state_hash=bytes(range(32)))

    name = exchange_of(ConnectSessionId("cs_one"), trip)

    assert name == "cs_one.0001020304050607"
    assert session_of(name) == "cs_one"
    assert session_of(AttemptId("cs_one")) == "cs_one"
