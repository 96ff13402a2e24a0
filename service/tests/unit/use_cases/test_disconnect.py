"""`use_cases.disconnect`, `end_grant` and `revoke_grant`: serving ends at once, the grant soon."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import json_answer, refused
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    ACCESS,
    API_KEY,
    APP,
    CONNECTION,
    LOGIN_URL,
    OTHER_WORKSPACE,
    REFRESH,
    START,
    WORKSPACE,
    api_key,
    hash_of,
)

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import Conflict, ConnectionCannotServe, NotFound
from keyturn_service.domain.ids import ConnectionId, RevocationId
from keyturn_service.ports import (
    AuditUnavailable,
    OrgUnreachable,
    RevocationReason,
    SealUnavailable,
)
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL
from keyturn_service.use_cases.revoke_grant import CLAIM


async def test_disconnecting_stops_serving_at_once(replica: Replica, world: World) -> None:
    """Before Salesforce has ended anything; the trail says who asked."""
    await replica.stores.api_keys.add(api_key())

    told = await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert told.id == CONNECTION
    with pytest.raises(ConnectionCannotServe) as refusal:
        await replica.get_access_token(CONNECTION, key_hash=hash_of("key"))
    assert refusal.value.code == "connection_revoked"
    [event] = world.audit.of("connection.disconnect_asked")
    assert (event.actor, event.connection_id) == (API_KEY, CONNECTION)
    assert world.org.posted == []


async def test_the_grant_is_ended_by_both_of_its_tokens(replica: Replica, world: World) -> None:
    """An uncertain refresh token alone might not end it."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    [job] = world.background.asked

    assert await replica.revoke_grant(job)

    assert [(host, path) for host, path, _ in world.org.posted] == [
        (LOGIN_URL, "/services/oauth2/revoke")
    ] * 2
    assert [form["token"] for _, _, form in world.org.posted] == [REFRESH, ACCESS]
    assert (await world.connection()).state is ConnectionState.REVOKED
    assert await replica.stores.tokens.load(CONNECTION) is None
    assert world.audit.types[-1] == "grant.revoked"


async def test_disconnecting_waits_for_a_refresh_that_is_under_way(
    replica: Replica, world: World
) -> None:
    """What the refresh brings is what is revoked; nothing comes after the look."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(form: Mapping[str, str]) -> TokenAnswer:
        begun.set()
        await go_on.wait()
        return world.org.process(form)

    world.org.next.append(hold)
    refreshing = asyncio.create_task(replica.refresh(CONNECTION, refused=1))
    await begun.wait()

    async def finish() -> None:
        go_on.set()
        await refreshing

    replica.waiting.meanwhile.append(finish)
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    said = world.org.token_response()
    assert await world.jobs() == [("disconnected", [said["refresh_token"], said["access_token"]])]


async def test_a_refresh_that_does_not_end_is_not_waited_for_long(
    replica: Replica, world: World
) -> None:
    """The caller is told to come again; the connection still serves."""
    await replica.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL)
    replica.waiting.leap = 4

    with pytest.raises(Conflict) as refusal:
        await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert (refusal.value.code, refusal.value.retry_after) == ("refresh_under_way", 5)
    assert await world.jobs() == []


async def test_the_lease_is_given_back(replica: Replica) -> None:
    """Also for who wants to reauthorize at once."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert await replica.stores.leases.acquire(CONNECTION, ttl=LEASE_TTL) is not None


async def test_no_refresh_begins_once_the_end_was_asked(replica: Replica, world: World) -> None:
    """Who had looked a moment earlier is stopped before it presents anything."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    with pytest.raises(ConnectionCannotServe):
        await replica.refresh(CONNECTION, refused=1)

    assert world.org.presented == []


async def test_a_token_set_without_refresh_token_is_ended_too(
    replica: Replica, world: World
) -> None:
    """By its access token."""
    await world.base.execute("UPDATE token_sets SET refresh_token = NULL")

    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert await world.jobs() == [("disconnected", [ACCESS])]


async def test_a_connection_without_a_token_set_is_ended_too(
    replica: Replica, world: World
) -> None:
    """Nothing is left to revoke; the job marks it as revoked."""
    await world.base.execute("DELETE FROM token_sets")

    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert await world.jobs() == [("disconnected", [])]
    [job] = world.background.asked
    assert await replica.revoke_grant(job)
    assert (await world.connection()).state is ConnectionState.REVOKED


@pytest.mark.parametrize("column", ["access_token", "refresh_token"])
async def test_a_connection_whose_tokens_do_not_open_is_ended_and_left_to_an_admin(
    replica: Replica, world: World, column: str
) -> None:
    """Nobody can present them; it is `revoked` at once."""
    await world.base.execute(f"UPDATE token_sets SET {column} = x'00'")  # noqa: S608 - ours

    told = await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert (told.state, told.problem) == (ConnectionState.REVOKED, None)
    assert await world.base.rows("SELECT connection_id FROM token_sets") == []
    assert world.background.asked == []
    assert await replica.stores.revocations.given_up(CONNECTION)
    assert world.audit.types == ["connection.disconnect_asked", "grant.left_to_admin"]
    assert world.audit.events[-1].detail["because"] == "does_not_open"


async def test_tokens_that_cannot_be_opened_now_are_kept_until_they_can(
    replica: Replica, world: World
) -> None:
    """The key source is away: who comes again has the grant ended."""
    replica.store.fails["load"] = [SealUnavailable("away")]

    with pytest.raises(SealUnavailable):
        await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert await world.jobs() == []
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    assert await world.jobs() == [("disconnected", [REFRESH, ACCESS])]


async def test_a_revoked_connection_stays_so(replica: Replica, world: World) -> None:
    """Disconnecting again asks for nothing."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    await replica.revoke_grant(world.background.asked[0])
    world.journal.clear()

    again = await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    assert again.state is ConnectionState.REVOKED
    assert world.journal == []


async def test_what_is_not_there_cannot_be_disconnected(bare: Replica, world: World) -> None:
    """Nor another workspace's; nor what waits for its confirmation."""
    with pytest.raises(NotFound):
        await bare.disconnect(WORKSPACE, CONNECTION, API_KEY)

    await world.base.with_connection(state=ConnectionState.PENDING)
    with pytest.raises(NotFound):
        await bare.disconnect(OTHER_WORKSPACE, CONNECTION, API_KEY)
    with pytest.raises(Conflict) as refusal:
        await bare.disconnect(WORKSPACE, CONNECTION, API_KEY)
    assert refusal.value.code == "connection_pending"


async def test_nothing_is_disconnected_unrecorded(replica: Replica, world: World) -> None:
    """Where the audit is silent, all stays as it was."""
    world.audit.down = True

    with pytest.raises(AuditUnavailable):
        await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    world.audit.down = False
    assert await world.jobs() == []
    assert (await world.tokens()).generation == 1


async def test_a_job_is_kept_before_it_is_started(replica: Replica, world: World) -> None:
    """A process that dies in between is followed by one that finds it due."""
    await replica.end_grant.of_host(
        LOGIN_URL,
        [RefreshToken(REFRESH)],
        workspace_id=WORKSPACE,
        connection_id=ConnectionId(""),
        app_id=APP,
        reason=RevocationReason.REFUSED,
        ends_connection=False,
    )

    [job] = world.background.asked
    due = await replica.stores.revocations.claim_due(START, ttl=CLAIM, limit=9)
    assert list(due) == [job]
    [event] = world.audit.of("grant.revocation_asked")
    assert event.detail == {"revocation_id": job, "reason": "refused", "app_id": APP}


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(),
        TokenAnswer(status=200, body=b"", complete=True),
        refused("invalid_token"),
        TokenAnswer(status=400, body=b"error=invalid_token", complete=True),
        TokenAnswer(status=400, body=b"error=unsupported_token_type", complete=True),
    ],
)
async def test_a_token_that_salesforce_does_not_know_counts_as_revoked(
    replica: Replica, world: World, answer: TokenAnswer
) -> None:
    """Also where an earlier try got through and its answer was lost."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    world.org.next_posts += [answer, answer]

    assert await replica.revoke_grant(world.background.asked[0])

    assert (await world.connection()).state is ConnectionState.REVOKED


@pytest.mark.parametrize(
    "answer", [OrgUnreachable(), TimeoutError(), TokenAnswer(status=503, body=b"", complete=True)]
)
async def test_an_org_that_is_away_is_asked_again(
    replica: Replica, world: World, answer: TokenAnswer | Exception
) -> None:
    """Each time later, an hour at most; the tokens are kept until it worked."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    [job] = world.background.asked
    pauses = []
    for _ in range(14):
        world.org.next_posts.append(answer)
        assert not await replica.revoke_grant(job)
        opened = await replica.stores.revocations.open(job)
        assert opened is not None
        pauses.append((opened[0].due_at - world.clock.now()).total_seconds())

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]
    assert world.audit.types[-1] == "grant.revocation_postponed"
    assert world.audit.events[-1].detail["attempts"] == 14
    assert await replica.revoke_grant(job)
    assert (await world.connection()).state is ConnectionState.REVOKED


async def test_an_org_that_does_not_answer_holds_no_job_longer_than_its_claim(
    replica: Replica, world: World
) -> None:
    """Nobody else takes it over while a call is under way; it is tried again later."""

    class Hanging:
        connect_seconds = answer_seconds = 1.0

        async def post(self, *given: Any) -> TokenAnswer:
            assert given
            return await asyncio.get_running_loop().create_future()

    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    [job] = world.background.asked
    revoke = replace(replica.revoke_grant, endpoint=Hanging(), calls_seconds=0.01)

    assert timedelta(seconds=replica.revoke_grant.calls_seconds) < CLAIM <= timedelta(seconds=30)
    assert not await revoke(job)

    assert world.audit.types[-1] == "grant.revocation_postponed"
    assert await replica.revoke_grant(job)


async def test_a_job_that_is_done_is_not_done_again(replica: Replica, world: World) -> None:
    """Two replicas may have been told of it."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    [job] = world.background.asked
    await replica.revoke_grant(job)
    calls = len(world.org.posted)

    assert await replica.revoke_grant(job)
    assert await replica.revoke_grant(RevocationId("rev_none"))

    assert len(world.org.posted) == calls
