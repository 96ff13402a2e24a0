"""`domain.connection`: when a connection is refreshed to stay alive, and when its end is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.values import START, connection

from keyturn_service.domain.connection import (
    FIXED_LIFETIME,
    IDLE_LIMIT,
    KEPT_BY,
    KEPT_FROM,
    ConnectionState,
    Renewal,
)
from keyturn_service.domain.ids import ConnectionId

DAY = timedelta(days=1)
FIXED = [START + FIXED_LIFETIME - days * DAY for days in (30, 7, 1)]
ENDS = START + 300 * DAY  # of a certificate


def test_it_is_refreshed_well_before_it_is_idle_for_too_long() -> None:
    """Between ten and twenty-four of thirty days after the last time."""
    due = connection(last_refreshed_at=START).refresh_due()

    assert due is not None
    assert START + KEPT_FROM <= due <= START + KEPT_BY
    assert KEPT_BY + 5 * DAY < IDLE_LIMIT


def test_what_was_never_refreshed_counts_from_its_grant() -> None:
    """Its grant was its last use."""
    never = connection(last_refreshed_at=None, authorized_at=START)

    assert never.refresh_due() == connection(last_refreshed_at=START).refresh_due()


@pytest.mark.parametrize(
    "changes",
    [
        {"keep_alive": False},
        {"renewal": Renewal.JWT_BEARER},
        {"state": ConnectionState.PENDING},
        {"state": ConnectionState.REAUTHORIZATION_REQUIRED},
        {"state": ConnectionState.REVOKED},
    ],
)
def test_what_nobody_keeps_alive_is_not_due(changes: dict[str, object]) -> None:
    """Let go by the vendor, without a refresh token, or not in force."""
    assert connection(**changes).refresh_due() is None


def test_a_connection_in_doubt_is_looked_after() -> None:
    """It would die of idleness too."""
    assert connection(state=ConnectionState.UNCERTAIN).refresh_due() is not None


def test_ten_thousand_of_one_day_are_kept_for_ninety_days_and_spread_evenly() -> None:
    """None is ever idle for thirty days; from the first due day on no day has a crowd."""
    days: Counter[int] = Counter()
    for number in range(10_000):
        one = connection(id=ConnectionId(f"con_{number:05}"), last_refreshed_at=START)
        while (due := one.refresh_due()) is not None and due < START + 90 * DAY:
            assert one.last_refreshed_at is not None
            assert due - one.last_refreshed_at < IDLE_LIMIT
            days[(due - START).days] += 1
            one = replace(one, last_refreshed_at=due, generation=one.generation + 1)

    assert min(days) == KEPT_FROM.days
    busiest = max(days.values())
    assert busiest < 1.3 * 10_000 / (KEPT_BY - KEPT_FROM).days
    later = [days[day] for day in range(45, 90)]
    assert max(later) < 1.25 * sum(later) / len(later)


def test_a_fixed_end_is_told_thirty_seven_and_one_day_ahead() -> None:
    """Of 365 days."""
    assert connection(keep_alive=True).warnings() == FIXED


@pytest.mark.parametrize("renewal", list(Renewal))
def test_what_was_let_go_is_not_announced(renewal: Renewal) -> None:
    """Its owner wants it to end."""
    let_go = connection(keep_alive=False, renewal=renewal)

    assert let_go.dies(certificate_ends=ENDS) != (None, None)
    assert let_go.warnings(certificate_ends=ENDS) == []
    assert let_go.due_by(certificate_ends=ENDS) is None


def test_a_certificates_end_is_told_thirty_seven_and_one_day_ahead() -> None:
    """Whatever is renewed by its assertions is never refreshed to stay alive."""
    made = connection(renewal=Renewal.JWT_BEARER)

    told = [ENDS - days * DAY for days in (30, 7, 1)]
    assert made.warnings(certificate_ends=ENDS) == told
    assert made.due_by(certificate_ends=ENDS) == told[0]
    later = ENDS + 700 * DAY
    warned = replace(made, warned_at=told[1])
    assert warned.warnings(certificate_ends=ENDS) == told[2:]
    assert len(warned.warnings(certificate_ends=later)) == 3


def test_a_certificate_that_ends_soon_is_told_of_as_far_as_it_can_be() -> None:
    """What was connected in its last twenty days is told seven days ahead and one."""
    made = connection(renewal=Renewal.JWT_BEARER, authorized_at=ENDS - 20 * DAY)

    assert made.warnings(certificate_ends=ENDS) == [ENDS - 7 * DAY, ENDS - DAY]


def test_what_hangs_on_a_certificate_is_looked_at_first() -> None:
    """Its row does not say when that ends; where nothing is known, nothing is told."""
    made = connection(renewal=Renewal.JWT_BEARER, last_refreshed_at=START + DAY)

    assert made.due_at() == START + DAY
    assert made.due_by() is None


@pytest.mark.parametrize(("told", "left"), [(0, 2), (1, 1), (2, 0)])
def test_what_was_told_is_not_told_again(told: int, left: int) -> None:
    """A warning that came late stands for those before it."""
    made = connection(warned_at=FIXED[told])

    assert made.warnings() == FIXED[3 - left :]


def test_a_new_grant_starts_anew() -> None:
    """What was told before it was of another end."""
    made = connection(warned_at=START + 340 * DAY, authorized_at=START + 350 * DAY)

    assert len(made.warnings()) == 3


@pytest.mark.parametrize("renewal", list(Renewal))
def test_what_is_over_has_no_end_to_come(renewal: Renewal) -> None:
    """Nobody looks at it again."""
    made = connection(renewal=renewal, state=ConnectionState.REVOKED)

    assert made.warnings(certificate_ends=ENDS) == []
    assert made.due_at() is None


def test_it_is_due_for_whatever_comes_first() -> None:
    """A refresh, or a warning."""
    kept = connection(last_refreshed_at=START)
    assert kept.due_at() == kept.refresh_due()

    old = connection(last_refreshed_at=FIXED[0] - DAY)
    assert old.due_at() == FIXED[0]
