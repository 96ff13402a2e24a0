"""`ports.TokenStore.end_attempt`, where a replica that was paused says what it knew before."""

from __future__ import annotations

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import CONNECTION, HOUR, START, connection, tokens

from keyturn_service.domain.attempt import Attempt, AttemptOutcome
from keyturn_service.domain.connection import ConnectionState


async def not_answered(base: Base, attempt: Attempt) -> None:
    """Say as another replica does that the spool of an attempt has not answered."""
    await base.stores.tokens.end_attempt(
        attempt,
        AttemptOutcome.UNKNOWN,
        at=START + HOUR,
        spool_answered=False,
        state=ConnectionState.UNCERTAIN,
        problem="connection_uncertain",
    )


@pytest.mark.parametrize("outcome", ["not_presented", "refused", "unknown", "busy"])
async def test_what_a_spool_has_answered_stays_answered(base: Base, outcome: str) -> None:
    """Nobody would ask that spool again, and the connection would wait for it forever."""
    await base.with_connection()
    intent = await base.begun()
    await base.stores.tokens.end_attempt(
        intent, AttemptOutcome(outcome), at=START, spool_answered=True
    )
    kept = await base.stores.tokens.attempt(intent.id)

    await not_answered(base, intent)

    assert await base.stores.tokens.attempt(intent.id) == kept
    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())


async def test_its_own_spool_knows_more_than_another_replica(base: Base) -> None:
    """It may say later what has become of it."""
    await base.with_connection()
    intent = await base.begun()
    await not_answered(base, intent)

    await base.stores.tokens.end_attempt(
        intent, AttemptOutcome.NOT_PRESENTED, at=START, spool_answered=True
    )

    kept = await base.stores.tokens.attempt(intent.id)
    assert kept is not None
    assert (kept.outcome, kept.spool_answered) == (AttemptOutcome.NOT_PRESENTED, True)


async def test_what_was_in_force_before_an_older_row_is_asked_for_anew(base: Base) -> None:
    """Its spool has the answer, and is to say so again."""
    await base.with_connection()
    intent = await base.begun()
    stored = tokens(generation=2)
    assert await base.stores.tokens.replace(connection(generation=2), stored, attempt=intent)
    await base.execute("UPDATE connections SET generation = 1")

    await not_answered(base, intent)

    kept = await base.stores.tokens.attempt(intent.id)
    assert kept is not None
    assert kept.waits_for_its_spool
