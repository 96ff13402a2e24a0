"""`ports.TokenStore.forget_attempts`: what says nothing any more goes, whatever still may stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import CONNECTION, HOUR, START, connection, tokens

from keyturn_service.domain.attempt import Attempt, AttemptOutcome
from keyturn_service.domain.ids import AttemptId

_LATER = START + timedelta(days=100)


async def refreshed(base: Base, *, generation: int, **changes: Any) -> Attempt:
    """Put the next generation in force by an attempt at this one."""
    intent = await base.begun(
        id=AttemptId(f"att_{generation}"), generation=generation, started_at=START, **changes
    )
    connected, kept = connection(generation=generation + 1), tokens(generation=generation + 1)
    assert await base.stores.tokens.replace(connected, kept, attempt=intent)
    return intent


async def forget(base: Base, *, limit: int = 100) -> int:
    """Forget what ended before `_LATER`."""
    return await base.stores.tokens.forget_attempts(ended_before=_LATER, limit=limit)


async def left(base: Base) -> list[str]:
    """Return the ids of what is kept."""
    rows = await base.rows("SELECT id FROM attempts ORDER BY id")
    return [row[0] for row in rows]


async def test_all_but_the_newest_go_a_limited_number_at_once(base: Base) -> None:
    """The newest one tells of an older row put back."""
    await base.with_connection()
    for generation in range(1, 5):
        await refreshed(base, generation=generation)

    assert [await forget(base, limit=2) for _ in range(3)] == [2, 1, 0]

    assert await left(base) == ["att_4"]
    assert await base.stores.tokens.load(CONNECTION) == (
        connection(generation=5),
        tokens(generation=5),
    )


async def test_what_ended_lately_stays(base: Base) -> None:
    """To the moment."""
    await base.with_connection()
    for generation in range(1, 3):
        await refreshed(base, generation=generation)

    ended = tokens().received_at
    assert await base.stores.tokens.forget_attempts(ended_before=ended, limit=100) == 0
    just_after = ended + timedelta(microseconds=1)
    assert await base.stores.tokens.forget_attempts(ended_before=just_after, limit=100) == 1


@pytest.mark.parametrize(
    ("outcome", "answered", "goes"),
    [
        (AttemptOutcome.UNKNOWN, False, False),
        (AttemptOutcome.UNKNOWN, True, True),
        (AttemptOutcome.REFUSED, True, True),
        (AttemptOutcome.BUSY, False, True),
    ],
)
async def test_one_that_waits_for_its_spool_stays(
    base: Base, outcome: AttemptOutcome, *, answered: bool, goes: bool
) -> None:
    """An old spool may turn up yet."""
    await base.with_connection()
    first = await base.begun(id=AttemptId("att_0"), started_at=START)
    await base.stores.tokens.end_attempt(first, outcome, at=START + HOUR, spool_answered=answered)
    await refreshed(base, generation=1)
    await refreshed(base, generation=2)

    await forget(base)

    assert ("att_0" in await left(base)) is not goes


async def test_those_of_the_generation_in_force_stay(base: Base) -> None:
    """A refusal that was said long ago still says why a connection does not serve."""
    await base.with_connection()
    refused = await base.begun(started_at=START)
    await base.stores.tokens.end_attempt(
        refused, AttemptOutcome.REFUSED, at=START + HOUR, spool_answered=True
    )

    assert await forget(base) == 0

    assert await base.stores.tokens.latest_attempt(CONNECTION) is not None


async def test_one_of_a_grant_that_was_replaced_is_no_newest_one(base: Base) -> None:
    """What was foreseen for an earlier grant says nothing of the one in force."""
    await base.with_connection()
    await refreshed(base, generation=1)
    await refreshed(base, generation=2)
    await base.execute("UPDATE attempts SET outcome = 'superseded' WHERE id = 'att_2'")

    assert await forget(base) == 0
    assert await left(base) == ["att_1", "att_2"]
