"""`domain.connection`: when tokens serve, when a connection dies, what a refusal teaches."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service.tests.support.values import START, connection, tokens

from keyturn_service.domain.connection import (
    FIXED_LIFETIME,
    IDLE_LIMIT,
    SESSION_MARGIN,
    SHORTEST_SESSION,
    ConnectionState,
    DiesBecause,
    Renewal,
    learned_session,
)

TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)


def test_the_limits_are_those_of_the_design() -> None:
    """Salesforce's, and our own distance from them."""
    assert timedelta(days=30) == IDLE_LIMIT
    assert timedelta(days=365) == FIXED_LIFETIME
    assert timedelta(seconds=60) == SESSION_MARGIN
    assert timedelta(minutes=15) == SHORTEST_SESSION


def test_an_access_token_serves_while_it_is_safely_inside_its_life() -> None:
    """Up to the margin before its learned end, and not at it."""
    end = START + timedelta(hours=1)
    made = tokens(expires_at=end)

    assert made.serves(START)
    assert made.serves(end - SESSION_MARGIN - TICK)
    assert not made.serves(end - SESSION_MARGIN)
    assert not made.serves(end)


def test_a_refused_access_token_serves_nobody() -> None:
    """It has no end any more."""
    assert not tokens(expires_at=None).serves(START)


@pytest.mark.parametrize("state", [ConnectionState.ACTIVE, ConnectionState.UNCERTAIN])
def test_a_connection_kept_alive_dies_of_its_fixed_lifetime(state: ConnectionState) -> None:
    """A year after the last grant, however long ago it was refreshed."""
    made = connection(state=state, keep_alive=True, last_refreshed_at=START - 29 * DAY)

    assert made.dies() == (START + FIXED_LIFETIME, DiesBecause.FIXED_LIFETIME)


def test_a_connection_that_was_let_go_dies_of_idleness() -> None:
    """Thirty days after its last refresh."""
    made = connection(keep_alive=False, last_refreshed_at=START + DAY)

    assert made.dies() == (START + DAY + IDLE_LIMIT, DiesBecause.IDLE)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_what_is_renewed_by_assertions_dies_with_its_certificate(*, keep_alive: bool) -> None:
    """Neither idleness nor a fixed lifetime ends it: there is no refresh token."""
    made = connection(renewal=Renewal.JWT_BEARER, keep_alive=keep_alive)

    assert made.dies(certificate_ends=START + DAY) == (START + DAY, DiesBecause.CERTIFICATE)
    assert made.dies() == (None, None), "nobody knows when"


def test_a_certificate_says_nothing_about_a_refresh_token() -> None:
    """The app may have one all the same."""
    made = connection()

    assert made.dies(certificate_ends=START + DAY) == made.dies()


def test_a_connection_that_was_never_refreshed_is_idle_since_its_grant() -> None:
    """Its grant was its last use."""
    made = connection(keep_alive=False, last_refreshed_at=None, authorized_at=START + DAY)

    assert made.dies() == (START + DAY + IDLE_LIMIT, DiesBecause.IDLE)


@pytest.mark.parametrize(
    ("refreshed_at", "because"),
    [
        (START + FIXED_LIFETIME - IDLE_LIMIT - TICK, DiesBecause.IDLE),
        (START + FIXED_LIFETIME - IDLE_LIMIT, DiesBecause.FIXED_LIFETIME),
        (START + FIXED_LIFETIME - DAY, DiesBecause.FIXED_LIFETIME),
    ],
)
def test_what_comes_first_is_told(refreshed_at: datetime, because: DiesBecause) -> None:
    """No refresh takes a connection past its fixed lifetime."""
    made = connection(keep_alive=False, last_refreshed_at=refreshed_at)

    assert made.dies() == (min(refreshed_at + IDLE_LIMIT, START + FIXED_LIFETIME), because)


@pytest.mark.parametrize(
    "state",
    [
        ConnectionState.PENDING,
        ConnectionState.REAUTHORIZATION_REQUIRED,
        ConnectionState.REVOKED,
    ],
)
def test_what_does_not_live_does_not_die(state: ConnectionState) -> None:
    """Neither a time nor a reason."""
    assert connection(state=state, keep_alive=False).dies() == (None, None)


def test_a_problem_comes_and_goes_with_its_state() -> None:
    """Nothing else of the connection changes."""
    wrong = connection().with_problem(ConnectionState.REAUTHORIZATION_REQUIRED, "grant_revoked")

    assert wrong == connection(
        state=ConnectionState.REAUTHORIZATION_REQUIRED, problem="grant_revoked"
    )
    assert wrong.with_problem(ConnectionState.ACTIVE, None) == connection()


@pytest.mark.parametrize(
    ("age", "learned"),
    [
        (timedelta(0), timedelta(hours=2)),
        (SHORTEST_SESSION - TICK, timedelta(hours=2)),
        (SHORTEST_SESSION, SHORTEST_SESSION),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(hours=3), timedelta(hours=2)),
    ],
)
def test_a_refusal_teaches_the_length_of_a_session(age: timedelta, learned: timedelta) -> None:
    """One that came too early for any timeout was something else, and teaches nothing."""
    assert learned_session(timedelta(hours=2), refused_at_age=age) == learned


@given(
    current=st.timedeltas(min_value=SHORTEST_SESSION, max_value=DAY),
    age=st.timedeltas(min_value=timedelta(0), max_value=2 * DAY),
)
def test_a_session_is_never_learned_longer_or_impossibly_short(
    current: timedelta, age: timedelta
) -> None:
    """Whatever came."""
    assert SHORTEST_SESSION <= learned_session(current, refused_at_age=age) <= current


def test_serving_needs_a_part_of_a_connection_and_gets_it_unchanged() -> None:
    """Each member is the connection's own, whatever its state."""
    made = connection(state=ConnectionState.UNCERTAIN, problem="outcome_unknown")

    in_use = made.in_use()

    names = {each.name for each in fields(in_use)} - {"user_id"}
    assert names
    assert {name: getattr(in_use, name) for name in names} == {
        name: getattr(made, name) for name in names
    }
    assert in_use.user_id == made.user.id
    assert None not in (in_use.org_id, in_use.instance_url, in_use.session_life, in_use.problem)
