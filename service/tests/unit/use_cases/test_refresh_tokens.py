"""`use_cases.refresh_tokens`: the order of the protocol, and who presents what, how often."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import pytest
from service.tests.support.fakes import fake_hash, json_answer, refused
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import (
    CANARY,
    CONNECTION,
    LOGIN_URL,
    REFRESH,
    SPOOL,
    connection,
    tokens,
)

from keyturn_core.oauth.token_answer import OutcomeUnknown, TokenAnswer
from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import Connection, ConnectionState, TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe, NotFound
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import AuditUnavailable, Lease, StoreUnavailable
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL

UNKNOWN = OutcomeUnknown("no status came")


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


async def test_a_refresh_brings_the_next_generation(replica: Replica, world: World) -> None:
    """The org's answer is in force, with its refresh token, and the old one is used up."""
    made, new = await replica.refresh(CONNECTION, refused=1)

    assert (made.generation, new.generation) == (2, 2)
    assert new.refresh_token == RefreshToken(str(world.org.refresh_token))
    assert await world.tokens() == new
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert [form["refresh_token"] for form in world.org.presented] == [REFRESH]


async def test_the_request_is_the_apps_own(replica: Replica, world: World) -> None:
    """It goes to the connection's login host with the app's consumer credentials."""
    await replica.refresh(CONNECTION, refused=1)

    [form] = world.org.presented
    assert form["grant_type"] == "refresh_token"
    assert form["client_id"] == "3MVG9.acme"
    assert "client_secret" in form
    assert f"present {LOGIN_URL}" in world.journal


async def test_the_steps_come_in_their_order(replica: Replica, world: World) -> None:
    """Audit and intent before the call, the spool before the store, delivery last."""
    await replica.refresh(CONNECTION, refused=1)

    assert world.journal == [
        "token.presented",
        "store.begin_attempt",
        "spool.intend",
        f"present {LOGIN_URL}",
        "spool.put",
        "store.replace",
        "token.stored",
        "spool.delivered",
    ]
    assert not await replica.spool.intents()


async def test_the_intent_is_durable_before_the_call(replica: Replica, world: World) -> None:
    """While the org has the request, every replica can read what is being presented where."""
    seen = []

    async def look() -> None:
        async with world.base.replica("spool_watching") as other:
            seen.append(await other.tokens.open_attempt(CONNECTION))

    world.org.next.append(meanwhile(world, look))

    await replica.refresh(CONNECTION, refused=1)

    [intent] = seen
    assert intent is not None
    assert (intent.generation, intent.outcome, intent.spool_id) == (1, None, SPOOL)
    assert intent.token_hash == fake_hash("refresh_token", RefreshToken(REFRESH))
    assert await world.outcomes() == [AttemptOutcome.STORED]


async def test_the_answer_is_on_the_spool_as_it_came(replica: Replica, world: World) -> None:
    """Status and bytes, bound to attempt and generation; it stays there as a journal."""
    answer = json_answer(**world.org.token_response())
    world.org.next.append(answer)

    await replica.refresh(CONNECTION, refused=1)

    [kept] = replica.spool.kept.values()
    [intent] = await world.attempts()
    assert (kept.status, kept.body, kept.complete) == (200, answer.body, True)
    assert (kept.attempt_id, kept.generation) == (intent.id, 1)
    assert replica.spool.open == []


async def test_fifty_callers_make_one_attempt(replica: Replica, world: World) -> None:
    """All get the same token set; the org sees one request."""
    served = await asyncio.gather(*(replica.refresh(CONNECTION, refused=1) for _ in range(50)))

    assert len(world.org.presented) == 1
    assert {one.generation for _, one in served} == {2}


async def test_a_newer_refusal_is_not_answered_by_an_attempt_for_an_older_one(
    replica: Replica, world: World
) -> None:
    """Who shares an attempt and was refused at what it brings goes on to the next one."""
    first, second = await asyncio.gather(
        replica.refresh(CONNECTION, refused=1), replica.refresh(CONNECTION, refused=2)
    )

    assert [one.generation for _, one in (first, second)] == [2, 3]
    assert [form["refresh_token"] for form in world.org.presented] == [
        REFRESH,
        f"5Aep861.{CANARY}-refresh-2",
    ]


async def test_callers_on_two_replicas_make_one_attempt(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Who does not hold the lease waits, and uses what the holder brought."""
    other = await kitchen.replica("spool_two")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go_on.wait()

    world.org.next.append(meanwhile(world, hold))
    first = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()

    async def finish() -> None:
        go_on.set()
        await first

    other.waiting.meanwhile.append(finish)
    second = await other.refresh(CONNECTION, refused=1)

    assert second[1] == (await first)[1]
    assert len(world.org.presented) == 1


async def test_a_newer_token_set_is_used_without_any_call(replica: Replica, world: World) -> None:
    """Whoever was refused at an older generation asks for nothing."""
    served = await replica.refresh(CONNECTION, refused=0)

    assert served == (connection(), tokens())
    assert world.journal == []


async def test_what_another_replica_brought_is_seen_under_the_lease(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Having waited for the lease, nobody presents before looking again."""
    other = await kitchen.replica("spool_two")
    raced: list[object] = []
    acquire = other.stores.leases.acquire

    class Overtaken:
        """Leases that are had only after somebody else has rotated."""

        def __getattr__(self, name: str) -> object:
            return getattr(other.stores.leases, name)

        async def acquire(self, connection_id: ConnectionId, *, ttl: timedelta) -> object:
            raced.append(await replica.refresh(CONNECTION, refused=1))
            return await acquire(connection_id, ttl=ttl)

    other.refresh.leases = Overtaken()  # type: ignore[assignment]

    _, served = await other.refresh(CONNECTION, refused=1)

    assert served.generation == 2
    assert len(world.org.presented) == 1


async def test_a_caller_that_leaves_does_not_end_the_attempt(
    replica: Replica, world: World
) -> None:
    """The answer that was paid for is kept, and those who stay get it."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go_on.wait()

    world.org.next.append(meanwhile(world, hold))
    leaving = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()
    staying = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await asyncio.sleep(0)

    leaving.cancel()
    go_on.set()

    _, new = await staying
    assert new.generation == 2
    assert await world.tokens() == new
    assert len(world.org.presented) == 1
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_an_attempt_whose_last_caller_left_is_finished(
    replica: Replica, world: World
) -> None:
    """Nobody waits, and the token set is in force all the same."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go_on.wait()

    world.org.next.append(meanwhile(world, hold))
    leaving = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()
    [task] = replica.refresh._running.values()
    leaving.cancel()
    go_on.set()

    await task

    assert (await world.tokens()).generation == 2
    await asyncio.sleep(0)
    assert replica.refresh._running == {}


async def test_who_comes_as_an_attempt_ends_and_wants_more_begins_the_next_one(
    replica: Replica, world: World
) -> None:
    """The attempt is done and not forgotten yet: who waited for it would stop the event loop."""
    late: list[asyncio.Task[tuple[Connection, TokenSet]]] = []

    class Released:
        """Leases after whose first end somebody comes, in the attempt's last turn."""

        def __getattr__(self, name: str) -> object:
            return getattr(replica.stores.leases, name)

        async def release(self, lease: Lease) -> None:
            await replica.stores.leases.release(lease)
            if not late:
                late.append(asyncio.create_task(replica.refresh(CONNECTION, refused=2)))

    replica.refresh.leases = Released()  # type: ignore[assignment]

    _, first = await replica.refresh(CONNECTION, refused=1)
    _, second = await late[0]

    assert (first.generation, second.generation) == (2, 3)
    assert len(world.org.presented) == 2
    assert replica.refresh._running == {}


async def test_a_caller_does_not_wait_for_ever(
    replica: Replica, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told to come again; the attempt goes on."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        begun.set()
        await go_on.wait()

    world.org.next.append(meanwhile(world, hold))
    asking = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()
    [task] = replica.refresh._running.values()
    loop = asyncio.get_running_loop()
    now = loop.time
    # The event loop has no port; its clock is what 25 seconds pass on.
    # ast-grep-ignore: fakes-not-patches
    monkeypatch.setattr(loop, "time", lambda: now() + 26)

    assert await code_of(asking) == ("org_unavailable", None)

    go_on.set()
    await task
    assert (await world.tokens()).generation == 2


async def test_a_held_lease_is_not_waited_for_longer_than_it_can_last(
    replica: Replica, world: World
) -> None:
    """A holder that died costs its lease's time at most."""
    held = await world.base.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    assert held is not None
    replica.waiting.leap = 10

    assert await code_of(replica.refresh(CONNECTION, refused=1)) == ("org_unavailable", None)

    assert len(replica.waiting.slept) == 7
    assert world.org.presented == []


async def test_the_lease_is_given_back_whatever_happened(replica: Replica, world: World) -> None:
    """The next attempt need not wait for its end."""
    world.org.next.append(refused("invalid_client", "invalid client credentials"))

    await code_of(replica.refresh(CONNECTION, refused=1))

    assert await world.base.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL) is not None


async def test_a_lost_answer_is_never_presented_for_again_at_once(
    replica: Replica, world: World
) -> None:
    """The connection is uncertain; asking again and again presents nothing."""
    world.org.next.append(UNKNOWN)

    codes = [await code_of(replica.refresh(CONNECTION, refused=1)) for _ in range(5)]

    assert codes == [("connection_uncertain", None)] * 5
    assert len(world.org.presented) == 1
    assert await world.outcomes() == [AttemptOutcome.UNKNOWN]
    assert (await world.connection()).state is ConnectionState.UNCERTAIN


async def test_a_lost_answer_is_noted_on_the_spool(replica: Replica, world: World) -> None:
    """The spool says "nothing came", so that it need not be waited for."""
    world.org.next.append(UNKNOWN)

    await code_of(replica.refresh(CONNECTION, refused=1))

    [kept] = replica.spool.kept.values()
    assert (kept.status, kept.body, kept.complete) == (None, b"", False)
    [intent] = await world.attempts()
    assert intent.spool_answered


async def test_no_token_is_presented_unrecorded(replica: Replica, world: World) -> None:
    """Where the audit is silent, nothing leaves and nothing is begun."""
    world.audit.down = True

    with pytest.raises(AuditUnavailable):
        await replica.refresh(CONNECTION, refused=1)

    assert world.org.presented == []
    assert await world.attempts() == []


async def test_no_token_is_presented_without_an_intent(replica: Replica, world: World) -> None:
    """Where the intent cannot be committed, the org sees nothing."""
    replica.store.fails["begin_attempt"] = [StoreUnavailable("gone")]

    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=1)

    assert world.org.presented == []


async def test_what_was_stored_is_served_though_the_lease_could_not_be_given_back(
    replica: Replica, world: World
) -> None:
    """The lease ends by itself."""

    class Kept:
        """Leases that nobody can give back."""

        def __getattr__(self, name: str) -> object:
            return getattr(replica.stores.leases, name)

        async def release(self, lease: object) -> None:
            raise StoreUnavailable(str(lease))

    replica.refresh.leases = Kept()  # type: ignore[assignment]

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.generation == 2
    assert len(world.org.presented) == 1


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ConnectionState.REVOKED, "connection_revoked"),
        (ConnectionState.REAUTHORIZATION_REQUIRED, "reauthorization_required"),
        (ConnectionState.PENDING, "connection_pending"),
    ],
)
async def test_a_connection_that_is_not_in_force_is_not_refreshed(
    bare: Replica, world: World, state: ConnectionState, code: str
) -> None:
    """The caller is told why, and the org sees nothing."""
    await world.base.with_connection(state=state, problem="grant_revoked")

    told, reason = await code_of(bare.refresh(CONNECTION, refused=1))

    assert told == code
    assert reason in {None, "grant_revoked"}
    assert world.journal == []


async def test_a_connection_without_a_token_set_is_not_found(bare: Replica) -> None:
    """There is nothing to renew."""
    with pytest.raises(NotFound):
        await bare.refresh(CONNECTION, refused=0)


async def test_without_consumer_credentials_nothing_is_presented(
    replica: Replica, world: World
) -> None:
    """The vendor is told what is missing."""
    await world.base.execute("UPDATE apps SET consumer_key = NULL")

    told = await code_of(replica.refresh(CONNECTION, refused=1))

    assert told == ("reauthorization_required", "consumer_credentials_missing")
    assert world.journal == []


async def test_without_a_refresh_token_nothing_is_presented(replica: Replica, world: World) -> None:
    """The customer has to grant access again."""
    await world.base.execute("UPDATE token_sets SET refresh_token = NULL")

    told = await code_of(replica.refresh(CONNECTION, refused=1))

    assert told == ("reauthorization_required", "scopes_missing")
    assert world.journal == []


async def test_a_token_set_whose_access_token_was_lost_is_renewed_at_once(
    replica: Replica, world: World
) -> None:
    """A salvaged refresh token serves nobody by itself: one more refresh does."""
    salvaged = b'{"refresh_token": "salvaged-refresh", "access_token": "cut of'
    world.org.next.append(TokenAnswer(status=200, body=salvaged, complete=False))
    world.org.refresh_token = "salvaged-refresh"

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.generation == 3
    assert new.expires_at is not None
    assert [form["refresh_token"] for form in world.org.presented] == [REFRESH, "salvaged-refresh"]


async def test_the_same_refresh_token_is_presented_once_a_generation(
    replica: Replica, world: World
) -> None:
    """Over many refreshes each token goes out once; the grant lives."""
    for generation in range(1, 6):
        _, new = await replica.refresh(CONNECTION, refused=generation)
        assert new.generation == generation + 1

    presented = [form["refresh_token"] for form in world.org.presented]
    assert len(set(presented)) == len(presented) == 5


async def test_an_org_that_does_not_rotate_keeps_its_refresh_token(
    replica: Replica, world: World
) -> None:
    """An answer without one leaves the presented one in force."""
    world.org.next.append(json_answer(**world.org.token_response() | {"refresh_token": None}))

    _, new = await replica.refresh(CONNECTION, refused=1)

    assert new.refresh_token == RefreshToken(REFRESH)
    assert (await world.tokens()).refresh_token == RefreshToken(REFRESH)


async def test_two_connections_are_refreshed_side_by_side(replica: Replica, world: World) -> None:
    """One that waits does not keep the other one waiting."""
    two = ConnectionId("con_two")
    await world.base.with_connection(id=two)
    served: list[tuple[Connection, TokenSet]] = []

    async def refresh_other() -> None:
        world.org.refresh_token = REFRESH
        served.append(await replica.refresh(two, refused=1))

    world.org.next.append(meanwhile(world, refresh_other))
    world.org.next.append(json_answer(**world.org.token_response()))
    await replica.refresh(CONNECTION, refused=1)

    assert [made.id for made, _ in served] == [two]


async def test_who_ends_waits_for_what_is_under_way(replica: Replica, world: World) -> None:
    """Its answer is kept; nothing is presented any more."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(form: Mapping[str, str]) -> TokenAnswer:
        begun.set()
        await go_on.wait()
        return world.org.process(form)

    world.org.next.append(hold)
    asking = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()
    asking.cancel()
    ending = asyncio.create_task(replica.refresh.end())
    go_on.set()
    await ending

    assert (await world.tokens()).generation == 2
    await replica.refresh.end()
    with pytest.raises(StoreUnavailable):
        await replica.refresh(CONNECTION, refused=2)
    assert len(world.org.presented) == 1
