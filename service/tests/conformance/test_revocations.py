"""`ports.Revocations`: jobs that are retried until they are done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    START,
    WORKSPACE,
    connection,
    in_force,
    revocation,
)
from sqlalchemy.exc import IntegrityError

from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId, RevocationId
from keyturn_service.ports import Revocation, RevocationReason, StoreUnavailable

TOKENS: list[AccessToken | RefreshToken] = [RefreshToken("refresh"), AccessToken("access")]
CLAIM = timedelta(seconds=30)


async def jobs(base: Base, count: int) -> list[str]:
    """Keep jobs that end no connection; return their ids."""
    names = [f"rev_{number}" for number in range(count)]
    for number, name in enumerate(names):
        due_at = START - timedelta(seconds=count - number)
        job = revocation(id=RevocationId(name), ends_connection=False, due_at=due_at)
        await base.stores.revocations.add(job, TOKENS)
    return names


@pytest.mark.parametrize("reason", list(RevocationReason))
@pytest.mark.parametrize("kept", [TOKENS, TOKENS[:1], []])
async def test_a_job_comes_back_with_its_tokens(
    base: Base, reason: RevocationReason, kept: list[AccessToken | RefreshToken]
) -> None:
    """In their order and kinds, opened."""
    job = revocation(reason=reason, ends_connection=False, connection_id=ConnectionId(""))

    await base.stores.revocations.add(job, kept)

    assert await base.stores.revocations.open(job.id) == (job, kept)
    assert await base.stores.revocations.open(RevocationId("rev_none")) is None


async def test_a_connection_serves_no_more_once_its_end_is_asked(base: Base) -> None:
    """It is `ending` from that moment, whatever its state says."""
    await base.with_connection()

    await base.stores.revocations.add(revocation(), TOKENS)

    serving = await base.stores.serving.read(CONNECTION, key_hash=b"")
    assert serving.ending
    assert serving.connection == connection().in_use()


async def test_a_job_for_a_superseded_grant_leaves_the_connection(base: Base) -> None:
    """It goes on serving, before the job is done and after."""
    await base.with_connection()
    job = revocation(ends_connection=False, reason=RevocationReason.SUPERSEDED)

    await base.stores.revocations.add(job, TOKENS)
    await base.stores.revocations.done(job, problem=None)

    serving = await base.stores.serving.read(CONNECTION, key_hash=b"")
    assert (serving.ending, serving.connection) == (False, connection().in_use())
    assert serving.tokens == in_force()


async def test_a_job_and_the_end_of_serving_are_kept_together(base: Base) -> None:
    """Where the connection cannot be kept, there is no job either."""
    await base.with_connection()
    await base.refuse("UPDATE", "connections")

    with pytest.raises(IntegrityError):
        await base.stores.revocations.add(revocation(), TOKENS)

    await base.allow("connections")
    assert await base.stores.revocations.open(revocation().id) is None


async def test_due_jobs_are_claimed_oldest_first(base: Base) -> None:
    """Only so many, and those that are not due yet stay."""
    names = await jobs(base, 4)
    later = revocation(id=RevocationId("rev_later"), ends_connection=False, due_at=START + HOUR)
    await base.stores.revocations.add(later, TOKENS)
    claim = base.stores.revocations.claim_due

    assert sorted(await claim(START, ttl=CLAIM, limit=3)) == names[:3]
    assert list(await claim(START, ttl=CLAIM, limit=3)) == names[3:]
    assert list(await claim(START, ttl=CLAIM, limit=3)) == []


async def test_replicas_that_claim_at_once_get_different_jobs(base: Base) -> None:
    """Each job goes to one of them, and none is left."""
    names = await jobs(base, 12)
    claimed: list[str] = []

    async with base.replica("spool_two") as other:
        while True:
            taken = await asyncio.gather(
                *(
                    stores.revocations.claim_due(START, ttl=CLAIM, limit=2)
                    for stores in (base.stores, other, base.stores, other)
                )
            )
            claimed += [name for some in taken for name in some]
            if not any(taken):
                break

    assert sorted(claimed) == sorted(names)


async def test_a_job_whose_claimer_died_is_given_to_another(base: Base) -> None:
    """When the claim is over, by the database's clock, and with its tokens."""
    [name] = await jobs(base, 1)
    claim = base.stores.revocations.claim_due
    assert list(await claim(START, ttl=timedelta(0), limit=9)) == [name]
    assert list(await claim(START, ttl=CLAIM, limit=9)) == [name]

    for clock in (START, START + timedelta(minutes=10), START + timedelta(days=1000)):
        assert list(await claim(clock, ttl=CLAIM, limit=9)) == []
    opened = await base.stores.revocations.open(RevocationId(name))
    assert opened is not None
    assert opened[1] == TOKENS


async def test_a_finished_job_forgets_its_tokens(base: Base) -> None:
    """It can neither be opened nor claimed; its row holds no sealed value."""
    await base.with_connection()
    await base.stores.revocations.add(revocation(), TOKENS)

    await base.stores.revocations.done(revocation(), problem=None)

    assert await base.stores.revocations.open(revocation().id) is None
    claimed = await base.stores.revocations.claim_due(START + HOUR, ttl=CLAIM, limit=9)
    assert list(claimed) == []
    assert await base.rows("SELECT tokens, due_at FROM revocations") == [(None, None)]


async def test_a_finished_job_ends_its_connection(base: Base) -> None:
    """The connection is `revoked` and has no token set any more."""
    await base.with_connection()
    await base.stores.revocations.add(revocation(), TOKENS)

    await base.stores.revocations.done(revocation(), problem="grant_revoked")

    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == connection(state=ConnectionState.REVOKED, problem="grant_revoked")
    assert await base.stores.tokens.load(CONNECTION) is None


async def test_a_job_whose_tokens_do_not_open_ends_its_connection_at_once(base: Base) -> None:
    """Nobody is to carry it out; it counts as given up."""
    await base.with_connection()
    jobs = base.stores.revocations

    await jobs.add(revocation(), None)

    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == connection(state=ConnectionState.REVOKED)
    assert await base.stores.tokens.load(CONNECTION) is None
    assert await jobs.given_up(CONNECTION)
    assert list(await jobs.unfinished(CONNECTION)) == []
    assert list(await jobs.claim_due(START + HOUR, ttl=CLAIM, limit=9)) == []


async def test_a_job_and_its_connection_end_together(base: Base) -> None:
    """Where the token set cannot be forgotten, the job is still to be done."""
    await base.with_connection()
    await base.stores.revocations.add(revocation(), TOKENS)
    await base.refuse("DELETE", "token_sets")

    with pytest.raises(IntegrityError):
        await base.stores.revocations.done(revocation(), problem=None)

    await base.allow("token_sets")
    assert await base.stores.revocations.open(revocation().id) == (revocation(), TOKENS)
    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == connection()


async def test_finishing_a_job_twice_is_harmless(base: Base) -> None:
    """Jobs are safe to run again."""
    await base.with_connection()
    await base.stores.revocations.add(revocation(), TOKENS)

    await base.stores.revocations.done(revocation(), problem=None)
    await base.stores.revocations.done(revocation(), problem=None)

    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == connection(state=ConnectionState.REVOKED)


async def test_a_postponed_job_counts_its_attempts(base: Base) -> None:
    """And is due at the time it was put off to."""
    job: Revocation = revocation(ends_connection=False)
    await base.stores.revocations.add(job, TOKENS)

    await base.stores.revocations.postpone(job, due_at=START + HOUR)

    opened = await base.stores.revocations.open(job.id)
    assert opened == (replace(job, attempts=1, due_at=START + HOUR), TOKENS)
    claim = base.stores.revocations.claim_due
    assert list(await claim(START, ttl=CLAIM, limit=9)) == []
    assert list(await claim(START + HOUR, ttl=CLAIM, limit=9)) == [job.id]


@pytest.mark.parametrize("reason", list(RevocationReason))
async def test_a_connections_earlier_grants_are_found_until_they_have_ended(
    base: Base, reason: RevocationReason
) -> None:
    """Not what never was in force on it, and not another connection's."""
    job = revocation(ends_connection=False, reason=reason)
    was_in_force = reason in {RevocationReason.SUPERSEDED, RevocationReason.DISCONNECTED}
    jobs = base.stores.revocations
    await jobs.add(job, TOKENS)

    assert list(await jobs.unfinished(CONNECTION)) == [job.id] * was_in_force
    assert list(await jobs.unfinished(ConnectionId("con_two"))) == []
    assert not await jobs.given_up(CONNECTION)

    await jobs.done(job, problem=None)
    assert list(await jobs.unfinished(CONNECTION)) == []
    assert not await jobs.given_up(CONNECTION)


@pytest.mark.parametrize("reason", list(RevocationReason))
async def test_a_job_that_was_given_up_is_told(base: Base, reason: RevocationReason) -> None:
    """The grant may be in force still, where it ever was on this connection."""
    job = revocation(ends_connection=False, reason=reason)
    was_in_force = reason in {RevocationReason.SUPERSEDED, RevocationReason.DISCONNECTED}
    jobs = base.stores.revocations
    await jobs.add(job, TOKENS)

    await jobs.done(job, problem="does_not_open")

    assert list(await jobs.unfinished(CONNECTION)) == []
    assert await jobs.given_up(CONNECTION) is was_in_force
    assert not await jobs.given_up(ConnectionId("con_two"))


async def test_a_finished_job_is_not_postponed(base: Base) -> None:
    """A slow second claimer does not bring it back."""
    job = revocation(ends_connection=False)
    await base.stores.revocations.add(job, TOKENS)
    await base.stores.revocations.done(job, problem=None)

    await base.stores.revocations.postpone(job, due_at=START)

    assert await base.stores.revocations.open(job.id) is None
    assert list(await base.stores.revocations.claim_due(START, ttl=CLAIM, limit=9)) == []


async def test_a_silent_database_is_told_apart_from_a_finished_job(base: Base) -> None:
    """A grant is not called ended because nobody could look."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await base.stores.revocations.open(revocation().id)
    with pytest.raises(StoreUnavailable):
        await base.stores.revocations.claim_due(START, ttl=CLAIM, limit=1)
