"""`ports.TokenStore.foresee`: attempts at generations that a restored database has not reached."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    SPOOL,
    START,
    attempt,
    connection,
    tokens,
)

from keyturn_service.domain.attempt import Attempt, AttemptOutcome
from keyturn_service.domain.connection import Connection, TokenSet
from keyturn_service.domain.ids import AttemptId
from keyturn_service.ports import StaleWrite


def renewed() -> tuple[Connection, TokenSet]:
    """Return connection and tokens of the next generation."""
    return connection(generation=2), tokens(generation=2, received_at=START + HOUR)


async def ahead(base: Base, **changes: object) -> Attempt:
    """Take the lease and keep an attempt at a generation that is not in force yet."""
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(0))
    assert lease is not None
    made = attempt(**{"generation": 2, "fence": lease.fence, **changes})
    await base.stores.tokens.foresee(made)
    return made


async def test_a_foreseen_attempt_says_that_tokens_before_it_are_used_up(base: Base) -> None:
    """After those at the generation in force; what is kept of it already stays."""
    await base.with_connection()
    made = await ahead(base, id=AttemptId("att_ahead"))
    again = await ahead(base, id=made.id, started_at=START + HOUR)
    store = base.stores.tokens
    assert await store.open_attempt(CONNECTION) == made
    assert await store.open_attempts_of(SPOOL) == [made]

    intent = await base.begun(id=AttemptId("att_before"))
    assert await store.open_attempt(CONNECTION) == intent
    assert await store.replace(*renewed(), attempt=intent)

    assert again != made
    assert await store.open_attempt(CONNECTION) == made


async def test_who_lost_the_lease_foresees_nothing(base: Base) -> None:
    """Another one looks after the connection."""
    await base.with_connection()

    with pytest.raises(StaleWrite):
        await ahead(base, fence=0)

    assert await base.stores.tokens.open_attempts_of(SPOOL) == []


@pytest.mark.parametrize("anew", [True, False])
async def test_a_grant_given_anew_ends_what_was_foreseen(base: Base, *, anew: bool) -> None:
    """Generations of the grant before have the same numbers; an earlier one is left alone."""
    await base.with_connection()
    intent = await base.begun(id=AttemptId("att_before"))
    for number in (2, 3):
        await ahead(base, id=AttemptId(f"att_{number}"), generation=number)
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(0))
    assert lease is not None

    assert await base.stores.tokens.renew(*renewed(), instead_of=1, fence=lease.fence, anew=anew)

    open_ones = {one.id for one in await base.stores.tokens.open_attempts_of(SPOOL)}
    assert open_ones == {intent.id} | (set() if anew else {"att_2", "att_3"})


async def test_the_newest_attempt_may_be_one_that_was_foreseen(base: Base) -> None:
    """Of whatever outcome, but not one of a grant that another one has replaced."""
    await base.with_connection()
    store = base.stores.tokens
    assert await store.newest_attempt(CONNECTION) is None
    now = await base.begun()
    assert await store.newest_attempt(CONNECTION) == now
    later = replace(now, id=AttemptId("att_later"), generation=now.generation + 3)
    await store.foresee(later)
    assert await store.newest_attempt(CONNECTION) == later

    await store.end_attempt(later, AttemptOutcome.UNKNOWN, at=START, spool_answered=True)
    newest = await store.newest_attempt(CONNECTION)
    assert newest is not None
    assert newest.id == later.id
    await store.end_attempt(later, AttemptOutcome.SUPERSEDED, at=START, spool_answered=True)

    assert await store.newest_attempt(CONNECTION) == now
