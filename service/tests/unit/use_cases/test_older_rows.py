"""`use_cases.refresh_tokens`, where somebody put an older row back into the database.

Its seal opens: it was sealed for that place and generation. The refresh token in it is used up,
and presenting it would end the grant.
"""

from __future__ import annotations

import pytest
from service.tests.support.older_rows import BOTH, Copy
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, REFRESH

from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import SealRefused


@pytest.fixture
async def copy(replica: Replica, world: World) -> Copy:
    """Return a copy of generation 1; generation 2 is in force since."""
    taken = Copy(world)
    await taken.take()
    await replica.refresh(CONNECTION, refused=1)
    return taken


def presented(world: World) -> list[str]:
    """Return the refresh tokens that the org has seen."""
    return [form["refresh_token"] for form in world.org.presented]


async def test_the_journal_puts_what_was_in_force_in_force_again(
    replica: Replica, world: World, copy: Copy
) -> None:
    """The used token is not presented; the grant lives, and goes on."""
    in_force = await world.tokens()
    await copy.put_back(*BOTH)
    assert (await world.tokens()).generation == 1

    connection, tokens = await replica.refresh(CONNECTION, refused=1)

    assert (connection.state, tokens.generation) == (ConnectionState.ACTIVE, 2)
    assert tokens.refresh_token == in_force.refresh_token
    assert presented(world) == [REFRESH], "once, before the row was put back"
    assert world.audit.types.count("token.older_row_found") == 1
    _, further = await replica.refresh(CONNECTION, refused=2)
    assert further.generation == 3


async def test_several_generations_back_is_brought_up_to_date_one_by_one(
    replica: Replica, world: World, copy: Copy
) -> None:
    """Each of them is in the journal."""
    await replica.refresh(CONNECTION, refused=2)
    await replica.refresh(CONNECTION, refused=3)
    before = presented(world)
    await copy.put_back(*BOTH)

    for generation in (1, 2, 3):
        _, tokens = await replica.refresh(CONNECTION, refused=generation)
        assert tokens.generation == generation + 1

    assert presented(world) == before
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_another_replicas_journal_is_waited_for(
    kitchen: Kitchen, replica: Replica, world: World, copy: Copy
) -> None:
    """It is uncertain until the replica that has the answer is back."""
    await copy.put_back(*BOTH)
    other = await kitchen.replica("spool_two")

    with pytest.raises(ConnectionCannotServe, match="connection_uncertain"):
        await other.refresh(CONNECTION, refused=1)
    assert (await world.connection()).state is ConnectionState.UNCERTAIN

    again = await kitchen.replica(replica.spool)
    await again.deliver.recover()
    assert (await world.tokens()).generation == 2
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert presented(world) == [REFRESH]


async def test_without_a_journal_the_customer_is_asked_and_the_token_stays_where_it_is(
    replica: Replica, world: World, copy: Copy
) -> None:
    """It is known to be used up: it is not presented once more, however long one waits."""
    await copy.put_back(*BOTH)
    replica.spool.kept.clear()

    with pytest.raises(ConnectionCannotServe, match=r"uncertain|reauthorization"):
        await replica.refresh(CONNECTION, refused=1)
    world.clock.advance(days=1)
    with pytest.raises(ConnectionCannotServe, match="reauthorization_required"):
        await replica.refresh(CONNECTION, refused=1)

    assert presented(world) == [REFRESH]
    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert [one.presented_again for one in await world.attempts()] == [True]


@pytest.mark.parametrize("table", BOTH)
async def test_half_of_an_older_state_is_refused(
    replica: Replica, world: World, copy: Copy, table: str
) -> None:
    """Nothing says which tokens are in force, so none is presented."""
    await copy.put_back(table)
    refused = (await world.tokens()).generation

    with pytest.raises(SealRefused):
        await replica.refresh(CONNECTION, refused=refused)

    assert presented(world) == [REFRESH]
    assert world.audit.types[-1] == "token.older_row_found"


async def test_an_attempt_that_was_stored_as_it_should_be_is_not_mistaken(
    replica: Replica, world: World, copy: Copy
) -> None:
    """Generation 2 is in force: what was stored at generation 1 is in order."""
    del copy
    await replica.refresh(CONNECTION, refused=2)

    assert await world.outcomes() == [AttemptOutcome.STORED, AttemptOutcome.STORED]
    assert "token.older_row_found" not in world.audit.types
