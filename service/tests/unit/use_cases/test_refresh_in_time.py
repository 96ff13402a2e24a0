"""`use_cases.refresh_tokens` against the clock: leases, pauses, and what a refusal asks to wait."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.fakes import refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION, OTHER_USER, REFRESH, user

from keyturn_core.oauth.token_answer import OutcomeUnknown, TokenAnswer
from keyturn_service.domain.attempt import Attempt, AttemptOutcome, SpooledAnswer
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import AuditUnavailable, StoreUnavailable

UNKNOWN = OutcomeUnknown("no status came")
TOLD = ("org_unavailable", "login_rate_exceeded")


def meanwhile(
    world: World, work: Callable[[], Awaitable[object]]
) -> Callable[[Mapping[str, str]], Awaitable[TokenAnswer]]:
    """Do something while the org has the request, then have it answer as usual."""

    async def answer(form: Mapping[str, str]) -> TokenAnswer:
        await work()
        return world.org.process(form)

    return answer


async def code_of(asked: Awaitable[object]) -> tuple[str, str | None]:
    """Return the code and reason that something is refused with."""
    with pytest.raises(ConnectionCannotServe) as refusal:
        await asked
    return refusal.value.code, refusal.value.reason


async def test_one_refusal_holds_off_all_callers_of_all_replicas(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """What one replica heard counts for all: nobody asks before `Retry-After` is over."""
    other = await kitchen.replica("spool_two")
    world.org.next.append(TokenAnswer(status=429, body=b"busy", complete=True, retry_after="30"))
    with pytest.raises(ConnectionCannotServe):
        await replica.refresh(CONNECTION, refused=1)
    world.clock.advance(seconds=12.5)

    for _ in range(10):
        for asked in (replica, other):
            with pytest.raises(ConnectionCannotServe) as refusal:
                await asked.refresh(CONNECTION, refused=1)
            assert (refusal.value.code, refusal.value.retry_after) == ("org_unavailable", 18)

    assert len(world.org.presented) == 1
    assert (await world.connection()).state is ConnectionState.ACTIVE


async def test_a_hold_off_tells_the_same_reason_and_ends_with_its_time(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """A quota breaks nothing, is told as what it is, and delays no call past its hour."""
    other = await kitchen.replica("spool_two")
    world.org.next.append(refused("rate_limit_exceeded", "login rate exceeded"))

    assert await code_of(replica.refresh(CONNECTION, refused=1)) == TOLD
    world.clock.advance(machine=False, seconds=3599)
    assert await code_of(other.refresh(CONNECTION, refused=1)) == TOLD
    world.clock.advance(machine=False, seconds=1)

    assert (await other.refresh(CONNECTION, refused=1))[1].generation == 2


async def test_what_allows_another_presentation_is_on_record_first(
    replica: Replica, world: World
) -> None:
    """With the audit away the attempt stays open, and its answer on the spool says the rest."""

    async def busy(_: Mapping[str, str]) -> TokenAnswer:
        world.audit.down = True
        return TokenAnswer(status=503, body=b"", complete=True)

    world.org.next.append(busy)
    with pytest.raises(AuditUnavailable):
        await replica.refresh(CONNECTION, refused=1)
    assert await world.outcomes() == [None]

    world.audit.down = False
    assert await replica.deliver() == 1

    assert await world.outcomes() == [AttemptOutcome.NOT_PROCESSED]
    assert world.audit.types.count("token.not_processed") == 1
    world.clock.advance(minutes=1)
    assert (await replica.refresh(CONNECTION, refused=1))[1].generation == 2


async def test_too_many_logins_of_a_user_hold_off_all_their_connections(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Salesforce counts them by user, whichever customer or app they are for; others go on."""
    other = await kitchen.replica("spool_two")
    same, another = ConnectionId("con_same_user"), ConnectionId("con_another_user")
    await world.base.with_connection(id=same, customer_id="two")
    await world.base.with_connection(id=another, customer_id="three", user=user(id=OTHER_USER))
    world.org.next.append(refused("rate_limit_exceeded", "login rate exceeded"))
    assert await code_of(replica.refresh(CONNECTION, refused=1)) == TOLD

    assert await code_of(other.refresh(same, refused=1)) == TOLD
    assert len(world.org.presented) == 1
    assert (await other.refresh(another, refused=1))[1].generation == 2

    world.clock.advance(machine=False, seconds=3600)
    world.org.refresh_token = REFRESH
    assert (await other.refresh(same, refused=1))[1].generation == 2


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_clocks_that_differ_hold_nobody_off_for_longer_than_was_asked(
    kitchen: Kitchen, replica: Replica, world: World, minutes: int
) -> None:
    """Another replica serves after that second, whatever either thinks the time is."""
    other = await kitchen.replica("spool_two", off=timedelta(minutes=minutes))
    for first, second in ((other, replica), (replica, other)):
        generation = (await world.tokens()).generation
        world.org.next.append(TokenAnswer(status=503, body=b"", complete=True, retry_after="1"))
        await code_of(first.refresh(CONNECTION, refused=generation))
        with contextlib.suppress(ConnectionCannotServe):
            await second.refresh(CONNECTION, refused=generation)
        world.clock.advance(seconds=1)

        _, new = await second.refresh(CONNECTION, refused=generation)

        assert new.generation == generation + 1


async def test_a_clock_that_is_set_back_with_the_answer_in_hand_asks_for_no_longer_wait(
    replica: Replica, world: World
) -> None:
    """What is kept is what the org asked for."""
    world.org.next.append(TokenAnswer(status=503, body=b"", complete=True, retry_after="30"))
    put = replica.spool.put

    async def set_back(answer: SpooledAnswer) -> None:
        await put(answer)
        world.clock.advance(machine=False, minutes=-10)

    replica.spool.put = set_back  # type: ignore[method-assign]
    await code_of(replica.refresh(CONNECTION, refused=1))

    [attempt] = await world.attempts()
    assert attempt.hold_off is not None
    assert attempt.hold_off.length == timedelta(seconds=30)


async def waits(replica: Replica, world: World, answer: TokenAnswer, *, times: int) -> list[int]:
    """Have the org refuse so often, and ask each time as soon as one is told to; return when."""
    told = []
    for _ in range(times):
        world.org.next.append(answer)
        with pytest.raises(ConnectionCannotServe) as refusal:
            await replica.refresh(CONNECTION, refused=1)
        assert refusal.value.retry_after is not None
        told.append(refusal.value.retry_after)
        world.clock.advance(seconds=told[-1])
    assert len(world.org.presented) == times
    return told


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (refused("invalid_grant", "ip restricted"), 10),
        (refused("invalid_client", "invalid client credentials"), 10),
        (refused("server_error"), 1),
        (TokenAnswer(status=503, body=b"", complete=True), 1),
    ],
)
async def test_an_org_that_refuses_again_and_again_is_asked_less_and_less(
    replica: Replica, world: World, answer: TokenAnswer, first: int
) -> None:
    """Up to a minute; whoever mends something is served within that."""
    told = await waits(replica, world, answer, times=8)

    assert told[0] == first
    assert told[0] < told[1] < told[2]
    assert all(45 <= one <= 60 for one in told[-2:])
    _, new = await replica.refresh(CONNECTION, refused=1)
    assert new.generation == 2


async def test_an_org_that_says_when_is_asked_then(replica: Replica, world: World) -> None:
    """However often it says so."""
    answer = TokenAnswer(status=503, body=b"", complete=True, retry_after="7")

    assert await waits(replica, world, answer, times=4) == [7] * 4


async def test_a_new_grant_is_not_held_off(replica: Replica, world: World) -> None:
    """A hold-off is about one generation: the customer who connected again starts free."""
    world.org.next.append(refused("rate_limit_exceeded", "login rate exceeded"))
    await code_of(replica.refresh(CONNECTION, refused=1))

    await replica.connect.connected()

    assert (await world.tokens()).generation == 2
    assert (await replica.refresh(CONNECTION, refused=2))[1].generation == 3


async def test_an_answer_on_the_spool_is_delivered_while_the_org_is_left_alone(
    replica: Replica, world: World
) -> None:
    """A hold-off is about presenting; what came back already waits for nobody."""
    replica.store.fails["replace"] = [StoreUnavailable()]
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)
    [kept] = await world.attempts()
    await world.base.stores.tokens.end_attempt(
        kept,
        AttemptOutcome.UNKNOWN,
        at=world.clock.now(),
        spool_answered=False,
        retry_at=world.clock.now() + timedelta(hours=1),
    )

    assert await replica.deliver() == 1

    assert (await world.tokens()).generation == 2


@pytest.mark.parametrize(("spent", "sent"), [(14, 1), (16, 0)])
async def test_no_call_begins_that_could_outlast_its_lease(
    replica: Replica, world: World, spent: int, sent: int
) -> None:
    """The longest answer (30 s) and the time to keep it (15 s) fit into what is left, or wait."""
    begin = replica.stores.tokens.begin_attempt

    class Slow:
        """A store that takes its time over the intent."""

        def __getattr__(self, name: str) -> object:
            return getattr(replica.store, name)

        async def begin_attempt(self, attempt: Attempt) -> None:
            await begin(attempt)
            world.clock.advance(seconds=spent)

    replica.refresh.store = Slow()  # type: ignore[assignment]

    with contextlib.suppress(ConnectionCannotServe):
        await replica.refresh(CONNECTION, refused=1)

    assert len(world.org.presented) == sent


def test_an_endpoint_that_may_outlast_a_lease_is_refused(replica: Replica, world: World) -> None:
    """Time-outs, save time and lease are compared before anything is served."""
    world.org.answer_seconds = 36

    with pytest.raises(ValueError, match="outlast the lease"):
        replace(replica.refresh)

    world.org.answer_seconds = 35
    replace(replica.refresh)


@pytest.mark.parametrize("lost", [False, True])
async def test_a_call_that_ends_after_its_lease_is_counted(
    replica: Replica, world: World, *, lost: bool
) -> None:
    """A process that was paused in the middle of it says by how much, whatever came back."""

    async def pause() -> None:
        world.clock.advance(seconds=62)
        if lost:
            raise UNKNOWN

    world.org.next.append(meanwhile(world, pause))

    with contextlib.suppress(ConnectionCannotServe):
        await replica.refresh(CONNECTION, refused=1)

    [late] = world.audit.of("token.presented_late")
    [presented] = world.audit.of("token.presented")
    assert late.detail == {**presented.detail, "late_ms": 2000}
    assert len(replica.spool.kept) == 1


async def test_a_call_inside_its_lease_is_not_counted_as_late(
    replica: Replica, world: World
) -> None:
    """What ended in time says nothing about a pause."""
    world.org.next.append(meanwhile(world, _half_a_minute(world)))

    await replica.refresh(CONNECTION, refused=1)

    assert world.audit.of("token.presented_late") == []


def _half_a_minute(world: World) -> Callable[[], Awaitable[None]]:
    async def pass_by() -> None:
        world.clock.advance(seconds=30)

    return pass_by


async def test_a_full_disk_does_not_cost_a_token(replica: Replica, world: World) -> None:
    """What is in our hands is stored all the same."""

    async def fills_up() -> None:
        replica.spool.full = True

    world.org.next.append(meanwhile(world, fills_up))

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert await world.tokens() == new
    assert await world.outcomes() == [AttemptOutcome.STORED]


async def test_nothing_is_presented_while_the_disk_is_full(replica: Replica, world: World) -> None:
    """It would not take the answer; the next one goes as if nothing had been."""
    replica.spool.full = True
    with pytest.raises(StoreUnavailable, match="spool"):
        await replica.refresh(CONNECTION, refused=1)
    assert world.org.presented == []

    replica.spool.full = False
    world.clock.advance(seconds=1)
    await replica.refresh(CONNECTION, refused=1)

    assert await world.outcomes() == [AttemptOutcome.NOT_PRESENTED, AttemptOutcome.STORED]
    assert (await world.connection()).state is ConnectionState.ACTIVE


@pytest.mark.parametrize("later", [0, 1])
async def test_what_was_delivered_during_a_pause_is_stored_and_not_superseded(
    kitchen: Kitchen, replica: Replica, world: World, later: int
) -> None:
    """Who wakes up with the answer finds it in force, or followed; it is no grant to end."""
    put = replica.spool.put

    async def paused(answer: SpooledAnswer) -> None:
        await put(answer)
        replica.spool.put = put  # type: ignore[method-assign]
        await replica.stores.leases.release_earlier_runs()  # as if a minute had passed
        other = await kitchen.replica(replica.spool)
        assert await other.deliver() == 1
        for generation in range(2, 2 + later):
            await other.refresh(CONNECTION, refused=generation)

    replica.spool.put = paused  # type: ignore[method-assign]

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new == await world.tokens()
    assert await world.outcomes() == [AttemptOutcome.STORED] * (1 + later)
    assert await world.jobs() == []
    assert replica.spool.open == []
