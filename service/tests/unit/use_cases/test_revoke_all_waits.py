"""`use_cases.revoke_all`: it waits for what is under way about a grant."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import refused
from service.tests.support.incidents import (
    UNKNOWN,
    opened,
    outcome,
    presented,
    progress,
    rounds_of,
)
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    REFRESH,
    WORKSPACE,
)

from keyturn_core.oauth.token_answer import OutcomeUnknown, TokenAnswer
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.incident import Because, IncidentOutcome
from keyturn_service.use_cases.revoke_all import RevokeAll

TOO_BUSY = TokenAnswer(status=503, body=b"", complete=True)


@pytest.fixture
def revoke_all(replica: Replica) -> RevokeAll:
    """Return the round of the only replica."""
    return rounds_of(replica)


async def test_what_was_connected_again_is_left_alone_until_the_earlier_grant_has_ended(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """The new grant is not the one that is to be ended; the earlier one has a job of its own."""
    await opened(replica)
    world.org.next_posts += [TOO_BUSY]
    await revoke_all()
    world.clock.advance(minutes=1)
    again = await replica.connect.connected(connection_id=CONNECTION)
    [job] = world.background.asked
    world.org.next_posts += [TOO_BUSY]
    assert not await replica.revoke_grant(job)

    await revoke_all()

    assert await outcome(replica) == (None, None, False)
    assert await progress(replica) == (0, 1, 0, 0)
    assert world.audit.types[-1] == "grant.revocation_postponed"
    assert world.audit.events[-1].detail["because"] == "revocation_under_way"
    assert "grant.revoked" not in world.audit.types

    assert await replica.revoke_grant(job)
    world.clock.advance(minutes=1)
    await revoke_all()

    assert presented(world) == [REFRESH] * 3
    assert await outcome(replica) == (IncidentOutcome.REVOKED, Because.CONNECTED_AGAIN, False)
    assert (await world.connection()) == again


@pytest.mark.parametrize("changed", ["token_sets", "revocations"])
async def test_an_earlier_grant_that_does_not_open_is_named_for_an_admin(
    replica: Replica, world: World, revoke_all: RevokeAll, changed: str
) -> None:
    """In its place, or in its job: nobody can present it, and it may be in force."""
    column = "access_token" if changed == "token_sets" else "tokens"
    change = f"UPDATE {changed} SET {column} = :new"  # noqa: S608 - ours
    await opened(replica)
    if changed == "token_sets":
        await world.base.execute(change, new=b"changed")
    world.clock.advance(minutes=1)
    again = await replica.connect.connected(connection_id=CONNECTION)
    if changed == "revocations":
        await world.base.execute(change, new=b"changed")

    await revoke_all()

    assert presented(world) == []
    assert await outcome(replica) == (IncidentOutcome.ADMIN, Because.DOES_NOT_OPEN, False)
    assert (await world.connection()) == again


async def test_a_job_that_ends_in_this_moment_is_not_waited_for(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """Another replica was quicker."""
    await opened(replica)
    world.clock.advance(minutes=1)
    await replica.connect.connected(connection_id=CONNECTION)

    class Late:
        """Jobs that end between being found and being opened."""

        def __getattr__(self, name: str) -> object:
            return getattr(replica.stores.revocations, name)

        async def unfinished(self, *asked: Any) -> Any:
            found = await replica.stores.revocations.unfinished(*asked)
            assert await world.carried_out(replica) == [REFRESH]
            return found

    await replace(revoke_all, revocations=Late())()  # type: ignore[arg-type]

    assert await outcome(replica) == (IncidentOutcome.REVOKED, Because.CONNECTED_AGAIN, False)


async def test_what_was_disconnected_is_not_ended_before_its_earlier_grant_is(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """Connected again and disconnected: the latest grant has ended, and the listed one has not."""
    await opened(replica)
    world.clock.advance(minutes=1)
    await replica.connect.connected(connection_id=CONNECTION)
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    earlier, latest = world.background.asked
    assert await replica.revoke_grant(latest)
    assert await replica.stores.tokens.load(CONNECTION) is None

    await revoke_all()
    assert await outcome(replica) == (None, None, False)

    assert await replica.revoke_grant(earlier)
    world.clock.advance(minutes=1)
    await revoke_all()
    assert await outcome(replica) == (IncidentOutcome.REVOKED, Because.ENDED_BEFORE, False)


async def test_a_refresh_under_way_comes_to_its_end_first(
    replica: Replica, world: World, revoke_all: RevokeAll
) -> None:
    """What it brought is what is revoked."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(form: Any) -> TokenAnswer:
        begun.set()
        await go_on.wait()
        return world.org.process(form)

    world.org.next.append(hold)
    refreshing = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()
    await opened(replica)
    await revoke_all()
    assert presented(world) == []
    assert await progress(replica) == (1, 0, 0, 0)

    go_on.set()
    await refreshing
    world.clock.advance(seconds=2)
    await revoke_all()

    assert presented(world) == [world.org.token_response()["refresh_token"]]
    assert (await world.connection()).state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert await progress(replica) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    ("said", "because"),
    [
        (OutcomeUnknown(), Because.OUTCOME_UNKNOWN),
        (refused("invalid_grant", "token validity expired"), Because.ENDED_BEFORE),
    ],
)
async def test_what_a_refresh_under_way_learned_tells_what_to_make_of_the_grant(
    replica: Replica,
    world: World,
    revoke_all: RevokeAll,
    said: TokenAnswer | Exception,
    because: Because,
) -> None:
    """That it may be in force under a token nobody has, or was dead already; it serves neither way.

    Here Salesforce knows neither of its tokens any more.
    """
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: Any) -> TokenAnswer:
        begun.set()
        await go_on.wait()
        if isinstance(said, Exception):
            raise said
        return said

    world.org.next.append(hold)
    refreshing = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()
    await opened(replica)
    go_on.set()
    with pytest.raises(ConnectionCannotServe):
        await refreshing
    kept = await world.connection()
    assert (kept.state, kept.problem) == (
        ConnectionState.REAUTHORIZATION_REQUIRED,
        "revoked_in_incident",
    )

    world.org.next_posts += [UNKNOWN, UNKNOWN]
    await revoke_all()

    assert (await outcome(replica))[1] is because
