"""`SeeAuditRounds`: well, failed, or late without a word."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.audit_chains import MemoryTurns
from service.tests.support.fakes import FakeClock
from service.tests.support.values import START

from keyturn_service.ports import Turn
from keyturn_service.use_cases.see_audit_rounds import AuditRound, RoundState, SeeAuditRounds

HOUR = timedelta(hours=1)


async def seen(*kept: Turn, pauses: tuple[str, ...] = ("export",)) -> list[AuditRound]:
    """Look, at `START`."""
    see = SeeAuditRounds(
        turns=MemoryTurns(*kept), pauses=dict.fromkeys(pauses, HOUR), clock=FakeClock()
    )
    return list(await see())


@pytest.mark.parametrize(
    ("age", "problem", "state"),
    [
        (HOUR, None, RoundState.OK),
        (timedelta(minutes=125), None, RoundState.OK),
        (timedelta(minutes=126), None, RoundState.LATE),
        (timedelta(minutes=-126), None, RoundState.LATE),
        (HOUR, "the folder is away", RoundState.FAILED),
        (5 * HOUR, "the folder is away", RoundState.FAILED),
    ],
)
async def test_it_is_well_failed_or_late(
    age: timedelta, problem: str | None, state: RoundState
) -> None:
    """By what was told of the last try, and when it was last done."""
    turn = Turn(name="export", succeeded_at=START - age, problem=problem)

    assert await seen(turn) == [AuditRound(turn=turn, state=state, age=age)]


async def test_before_it_was_ever_done_it_is_well_unless_it_failed() -> None:
    """There is no age then."""
    failed = Turn(name="trim", succeeded_at=None, problem="no checkpoint")

    export, trim = await seen(failed, pauses=("trim", "export"))

    assert (export.turn.name, export.state, export.age) == ("export", RoundState.OK, None)
    assert (trim.turn, trim.state, trim.age) == (failed, RoundState.FAILED, None)


async def test_where_nothing_is_asked_for_nothing_is_told() -> None:
    """Whatever stands there from before."""
    assert await seen(Turn(name="export", succeeded_at=None, problem="x"), pauses=()) == []
