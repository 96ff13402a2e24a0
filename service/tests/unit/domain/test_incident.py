"""`domain.incident`: what became of a grant, by what Salesforce said of its tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.values import CONNECTION, LOGIN_URL, START, WORKSPACE

from keyturn_service.domain.connection import ConnectionState, Renewal
from keyturn_service.domain.ids import AppId, IncidentId
from keyturn_service.domain.incident import (
    Because,
    GrantToEnd,
    IncidentOutcome,
    Progress,
    Revoked,
    Scope,
    asks_for_access_token,
    judge,
)

GRANT = GrantToEnd(
    incident_id=IncidentId("inc_one"),
    connection_id=CONNECTION,
    workspace_id=WORKSPACE,
    login_url=LOGIN_URL,
    was=ConnectionState.ACTIVE,
    problem=None,
    authorized_at=START,
    attempts=0,
    unanswered=False,
)
UNCERTAIN = replace(GRANT, was=ConnectionState.UNCERTAIN, problem="connection_uncertain")
TAKEN_OVER = replace(GRANT, problem="refresh_token_lost")
DEAD = replace(GRANT, was=ConnectionState.REAUTHORIZATION_REQUIRED, problem="grant_revoked")
ASLEEP = replace(DEAD, problem="user_inactive")
REFRESH, JWT = Renewal.REFRESH_TOKEN, Renewal.JWT_BEARER
REVOKED, ADMIN = IncidentOutcome.REVOKED, IncidentOutcome.ADMIN


def unanswered(grant: GrantToEnd) -> GrantToEnd:
    """Return the grant as one whose refresh token was presented, and nobody knows the answer."""
    return replace(grant, unanswered=True)


AGAIN = unanswered(GRANT)


@pytest.mark.parametrize(
    ("grant", "renewal", "said", "expected"),
    [
        (GRANT, REFRESH, (True, None), (REVOKED, Because.REFRESH_TOKEN, True)),
        (AGAIN, REFRESH, (True, None), (REVOKED, Because.REFRESH_TOKEN, True)),
        (UNCERTAIN, REFRESH, (True, None), (REVOKED, Because.REFRESH_TOKEN, True)),
        (TAKEN_OVER, JWT, (True, True), (REVOKED, Because.REFRESH_TOKEN, True)),
        (GRANT, REFRESH, (None, True), (REVOKED, Because.ACCESS_TOKEN, True)),
        (GRANT, REFRESH, (None, False), (REVOKED, Because.ACCESS_TOKEN, False)),
        (GRANT, JWT, (None, True), (ADMIN, Because.PRE_AUTHORIZED, True)),
        (GRANT, JWT, (None, False), (ADMIN, Because.PRE_AUTHORIZED, False)),
        (GRANT, REFRESH, (False, True), (ADMIN, Because.TOKEN_UNKNOWN, True)),
        (GRANT, REFRESH, (False, False), (ADMIN, Because.TOKEN_UNKNOWN, False)),
        (UNCERTAIN, REFRESH, (False, True), (ADMIN, Because.OUTCOME_UNKNOWN, True)),
        (TAKEN_OVER, JWT, (False, True), (ADMIN, Because.OUTCOME_UNKNOWN, True)),
        (DEAD, REFRESH, (False, False), (REVOKED, Because.ENDED_BEFORE, False)),
        (ASLEEP, REFRESH, (False, False), (ADMIN, Because.TOKEN_UNKNOWN, False)),
        (replace(DEAD, was=ConnectionState.ACTIVE), REFRESH, (False, False), None),
        (AGAIN, REFRESH, (False, False), (REVOKED, Because.ANSWER_LOST, False)),
        (AGAIN, REFRESH, (False, True), (ADMIN, Because.TOKEN_UNKNOWN, True)),
        (unanswered(UNCERTAIN), REFRESH, (False, False), (ADMIN, Because.OUTCOME_UNKNOWN, False)),
        (unanswered(TAKEN_OVER), JWT, (False, False), (ADMIN, Because.OUTCOME_UNKNOWN, False)),
        (unanswered(DEAD), REFRESH, (False, False), (REVOKED, Because.ENDED_BEFORE, False)),
        (unanswered(ASLEEP), REFRESH, (False, False), (ADMIN, Because.TOKEN_UNKNOWN, False)),
    ],
)
def test_a_grant_counts_as_revoked_only_where_nothing_of_it_can_be_left(
    grant: GrantToEnd,
    renewal: Renewal,
    said: tuple[bool | None, bool | None],
    expected: tuple[IncidentOutcome, Because, bool] | None,
) -> None:
    """All else is named for an admin, whether its access token was ended or not."""
    revoked = Revoked(refresh_token=said[0], access_token=said[1])
    verdict = judge(grant, renewal, revoked, in_session=True)

    wanted = expected or (ADMIN, Because.TOKEN_UNKNOWN, False)
    assert (verdict.outcome, verdict.because, verdict.access_token_ended) == wanted


def test_an_access_token_whose_session_is_over_tells_nothing() -> None:
    """It is dead anyway: somebody else may have used the refresh token before it was presented."""
    verdict = judge(
        AGAIN, REFRESH, Revoked(refresh_token=False, access_token=False), in_session=False
    )

    assert (verdict.outcome, verdict.because) == (ADMIN, Because.TOKEN_UNKNOWN)


@pytest.mark.parametrize(
    ("refresh", "renewal", "asks"),
    [
        (True, REFRESH, False),
        (True, JWT, True),
        (False, REFRESH, True),
        (None, REFRESH, True),
        (None, JWT, True),
    ],
)
def test_an_access_token_is_revoked_by_itself_where_nothing_took_it_along(
    *, refresh: bool | None, renewal: Renewal, asks: bool
) -> None:
    """A refresh token that was ended took along what came of it, and nothing else."""
    assert asks_for_access_token(refresh_token=refresh, renewal=renewal) is asks


def test_tries_are_ever_further_apart_and_not_all_at_once() -> None:
    """Between half of the pause and all of it; a quarter of an hour at most."""
    for attempts, whole in enumerate([2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]):
        pause = replace(GRANT, attempts=attempts).pause()
        assert timedelta(seconds=whole / 2) <= pause <= timedelta(seconds=whole)
    others = {replace(GRANT, connection_id=f"con_{n}").pause() for n in range(500)}
    assert len(others) > 25
    assert (min(others), max(others)) == (timedelta(seconds=1), timedelta(seconds=2))


@pytest.mark.parametrize(
    ("scope", "whole"),
    [
        (Scope(), True),
        (Scope(workspace_id=WORKSPACE), False),
        (Scope(app_id=AppId("app_one")), False),
    ],
)
def test_a_scope_without_a_name_is_the_whole_service(*, scope: Scope, whole: bool) -> None:
    """And that alone."""
    assert scope.is_whole is whole


@pytest.mark.parametrize(
    ("waiting", "failed", "done"), [(0, 0, True), (1, 0, False), (0, 1, False), (1, 1, False)]
)
def test_an_incident_is_done_when_nothing_is_left_for_the_service(
    *, waiting: int, failed: int, done: bool
) -> None:
    """What an admin has to do does not keep it open."""
    progress = Progress(waiting=waiting, failed=failed, revoked=3, admin=2, last_ended_at=None)
    assert progress.total == waiting + failed + 5
    assert progress.is_done is done
