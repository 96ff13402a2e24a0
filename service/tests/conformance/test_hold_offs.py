"""`ports.TokenStore`: what the attempts say of when another one may be of use."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    OTHER_USER,
    START,
    connection,
    tokens,
    user,
)

from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId


async def test_every_replica_reads_when_another_attempt_may_be_of_use(base: Base) -> None:
    """With the latest attempt of the generation in force, however it ended."""
    await base.with_connection()
    assert await base.stores.tokens.latest_attempt(CONNECTION) is None
    intent = await base.begun()
    later = START + timedelta(seconds=30)

    await base.stores.tokens.end_attempt(
        intent, AttemptOutcome.NOT_PROCESSED, at=START, spool_answered=True, retry_at=later
    )

    latest = await base.stores.tokens.latest_attempt(CONNECTION)
    assert latest is not None
    assert (latest.id, latest.outcome, latest.retry_at) == (
        intent.id,
        AttemptOutcome.NOT_PROCESSED,
        later,
    )


async def test_a_refusal_for_too_many_logins_counts_for_the_user(base: Base) -> None:
    """Not for others of the org, and not once something else is the matter."""
    await base.with_connection()
    store, code = base.stores.tokens, "login_rate_exceeded"
    same = connection(id=ConnectionId("con_two"))
    others = connection(id=ConnectionId("con_two"), user=user(id=OTHER_USER))
    intent = await base.begun()
    assert await store.rate_refusal(same) is None
    later = START + HOUR
    at = {"at": START, "spool_answered": True, "retry_at": later}
    for problem, expected in ((code, intent.id), ("salesforce_unavailable", None)):
        await store.end_attempt(
            intent, AttemptOutcome.REFUSED, state=ConnectionState.ACTIVE, problem=problem, **at
        )

        found = await store.rate_refusal(same)

        assert (found and found.id) == expected
        assert await store.rate_refusal(others) is None


async def test_when_another_attempt_may_be_of_use_is_kept_with_what_an_attempt_brought(
    base: Base,
) -> None:
    """Its access token was lost: the attempt is the newest one, though of the generation before."""
    await base.with_connection()
    intent = replace(await base.begun(), retry_at=START + HOUR)

    assert await base.stores.tokens.replace(
        connection(generation=2), tokens(generation=2, expires_at=None), attempt=intent
    )

    newest = await base.stores.tokens.newest_attempt(CONNECTION)
    assert newest is not None
    assert (newest.id, newest.retry_at) == (intent.id, START + HOUR)
    assert newest.lost_access_token(before=2)
