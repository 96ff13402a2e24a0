"""`use_cases.clean_up`: what time has ended is ended, and what is over forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    CONNECTION,
    ODD_DOCUMENTS,
    START,
    WORKSPACE,
    api_key,
    hash_of,
    proxy_session,
    spooled,
)

from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import AttemptId, ConnectSessionId
from keyturn_service.vault.errors import KeySourceRefused


async def status_of(replica: Replica, session_id: ConnectSessionId) -> tuple[str, str | None]:
    """Return a session's kept status and problem."""
    kept = await replica.stores.connect_sessions.get(WORKSPACE, session_id)
    assert kept is not None
    return kept.status, kept.problem


async def test_a_link_that_nobody_used_is_ended(bare: Replica, world: World) -> None:
    """Once; nothing was granted, so nothing is revoked."""
    session, _ = await bare.connect.asked()
    world.clock.advance(minutes=30)

    assert await bare.connect.clean_up() == 1
    assert await bare.connect.clean_up() == 0

    assert await status_of(bare, session.id) == (SessionStatus.EXPIRED, "session_expired")
    assert await world.jobs() == []


async def test_a_browser_that_never_came_back_ends_its_session(bare: Replica, world: World) -> None:
    """Salesforce's own error pages lead to no callback."""
    session, secret = await bare.connect.asked()
    await bare.connect.pressed(secret)
    world.clock.advance(minutes=15)

    assert await bare.connect.clean_up() == 1

    assert await status_of(bare, session.id) == (SessionStatus.EXPIRED, "session_expired")


async def test_what_was_not_confirmed_is_revoked(bare: Replica, world: World) -> None:
    """At Salesforce, with both tokens; its connection never was."""
    session, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)
    done = await bare.connect.returned(sent["state"])
    world.clock.advance(minutes=10)

    assert await bare.connect.clean_up() == 1
    assert await bare.connect.clean_up() == 0

    assert await status_of(bare, session.id) == (SessionStatus.EXPIRED, "session_expired")
    said = world.org.token_response()
    assert await world.jobs() == [("unconfirmed", [said["refresh_token"], said["access_token"]])]
    assert done.session.connection_id is not None
    ended = await world.connection(done.session.connection_id)
    assert ended.state is ConnectionState.REVOKED
    assert "connect_session.unconfirmed" in world.audit.types


@pytest.mark.parametrize("record", ["connect_session.unconfirmed", "grant.revocation_asked"])
async def test_what_was_not_confirmed_is_revoked_though_a_record_failed(
    bare: Replica, world: World, record: str
) -> None:
    """The grant is nowhere else by then: its revocation is kept with the end of the session."""
    _, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)
    await bare.connect.returned(sent["state"])
    world.clock.advance(minutes=10)
    world.audit.refuses = {record}

    assert await bare.connect.clean_up() == 1

    assert await bare.connect.clean_up() == 0
    said = world.org.token_response()
    assert await world.carried_out(bare) == [said["refresh_token"], said["access_token"]]


async def test_a_grant_that_does_not_open_holds_up_nothing(bare: Replica, world: World) -> None:
    """Its session is over; what else is overdue is ended as well."""
    first, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)
    await bare.connect.returned(sent["state"])
    await world.base.execute("UPDATE connect_sessions SET pending_grant = :new", new=b"changed")
    second, _ = await bare.connect.asked()
    world.clock.advance(minutes=30)

    assert await bare.connect.clean_up() == 2

    for session in (first, second):
        assert (await status_of(bare, session.id))[0] == SessionStatus.EXPIRED
    assert await world.jobs() == []


@pytest.mark.parametrize("odd", ODD_DOCUMENTS)
@pytest.mark.parametrize("granted", [True, False])
async def test_a_session_that_cannot_be_read_is_ended_and_holds_up_nothing(
    bare: Replica, world: World, *, odd: str, granted: bool
) -> None:
    """What it was granted is revoked all the same, and its connection never was."""
    session, secret = await bare.connect.asked()
    if granted:
        sent = await bare.connect.pressed(secret)
        await bare.connect.returned(sent["state"])
    await world.base.execute("UPDATE connect_sessions SET document = :odd", odd=odd)
    other, _ = await bare.connect.asked()
    world.clock.advance(minutes=30)

    assert await bare.connect.clean_up() == 2
    assert await bare.connect.clean_up() == 0

    assert (await status_of(bare, other.id))[0] == SessionStatus.EXPIRED
    kept = "SELECT status, ends_at, document FROM connect_sessions WHERE id = :id"
    assert await world.base.rows(kept, id=session.id) == [("expired", None, odd)]
    assert [reason for reason, _ in await world.jobs()] == ["unconfirmed"] * granted
    states = await world.base.rows("SELECT state FROM connections")
    assert states == [("revoked",)] * granted


async def test_a_session_that_cannot_be_ended_now_holds_up_nothing(
    bare: Replica, world: World
) -> None:
    """It is tried again each time, until its data key opens."""
    first, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)
    await bare.connect.returned(sent["state"])
    second, _ = await bare.connect.asked()
    world.clock.advance(minutes=30)
    sessions = bare.stores.connect_sessions

    class Refused:
        """Connect sessions whose data key is refused, looked for one by one."""

        replace = sessions.replace

        async def overdue(self, now: datetime, *, after: Any, limit: int) -> Any:
            return await sessions.overdue(now, after=after, limit=min(limit, 1))

        async def pending_grant(self, _session_id: ConnectSessionId) -> None:
            raise KeySourceRefused("disabled")

        forget = sessions.forget

    refused: Any = Refused()
    clean_up = bare.connect.clean_up
    drop = replace(clean_up.drop_unconfirmed, sessions=refused)
    assert await replace(clean_up, sessions=refused, drop_unconfirmed=drop)() == 1

    assert (await status_of(bare, second.id))[0] == SessionStatus.EXPIRED
    assert (await status_of(bare, first.id))[0] == SessionStatus.AWAITING_CONFIRMATION
    assert await bare.connect.clean_up() == 1
    assert [reason for reason, _ in await world.jobs()] == ["unconfirmed"]


async def test_an_unconfirmed_reauthorization_leaves_its_connection(
    replica: Replica, world: World
) -> None:
    """The earlier grant goes on serving."""
    _, secret = await replica.connect.asked(connection_id=CONNECTION)
    sent = await replica.connect.pressed(secret)
    await replica.connect.returned(sent["state"])
    world.clock.advance(minutes=10)

    await replica.connect.clean_up()

    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert (await world.tokens()).generation == 1
    assert len(await world.jobs()) == 1


async def test_two_replicas_that_clean_up_revoke_once(bare: Replica, world: World) -> None:
    """Whoever comes second finds nothing to end."""
    _, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)
    await bare.connect.returned(sent["state"])
    world.clock.advance(minutes=10)
    overdue = await bare.stores.connect_sessions.overdue(world.clock.now(), after=None, limit=9)
    await bare.connect.clean_up()

    for session in overdue:
        await bare.connect.clean_up._end(session)

    assert len(await world.jobs()) == 1


async def test_a_session_within_its_time_is_left_alone(bare: Replica, world: World) -> None:
    """At every step."""
    session, secret = await bare.connect.asked()
    world.clock.advance(minutes=29)
    assert await bare.connect.clean_up() == 0

    await bare.connect.pressed(secret)
    world.clock.advance(minutes=14)
    assert await bare.connect.clean_up() == 0
    assert (await status_of(bare, session.id))[0] == SessionStatus.AUTHORIZING


async def test_what_is_over_is_forgotten(replica: Replica, world: World) -> None:
    """Kept answers after a day, proxy sessions at their end, the journal after 35 days."""
    stores = replica.stores
    await stores.api_keys.add(api_key())
    await stores.proxy_sessions.add(proxy_session())
    await stores.idempotency_keys.begin(
        WORKSPACE, "retry", request_hash=hash_of("request"), now=START
    )
    await replica.spool.put(spooled())
    await replica.spool.delivered(AttemptId("att_one"))

    async def left() -> tuple[bool, int, int]:
        await replica.connect.clean_up()
        [(answers,)] = await world.base.rows("SELECT count(*) FROM idempotency_keys")
        session = await stores.proxy_sessions.by_hash(hash_of("proxy"))
        return session is not None, answers, len(replica.spool.kept)

    assert await left() == (True, 1, 1)
    world.clock.advance(hours=2)
    assert await left() == (False, 1, 1)
    world.clock.advance(hours=22, seconds=1)
    assert await left() == (False, 0, 1)
    world.clock.advance(days=34)
    assert await left() == (False, 0, 0)


async def test_a_session_is_forgotten_after_seventy_days(bare: Replica, world: World) -> None:
    """Of its beginning, which is less than an hour before its end."""
    await bare.connect.asked()
    count = "SELECT count(*) FROM connect_sessions"

    world.clock.advance(days=70)
    assert await bare.connect.clean_up() == 1
    assert await world.base.rows(count) == [(1,)]
    world.clock.advance(seconds=1)
    assert await bare.connect.clean_up() == 0
    assert await world.base.rows(count) == [(0,)]


async def test_however_many_sessions_are_forgotten(bare: Replica) -> None:
    """A full thousand may have left some."""
    asked: list[int] = []

    class Many:
        """Two and a half thousand connect sessions that ended long ago."""

        over = 2500

        async def overdue(self, *_: Any, **__: Any) -> list[ConnectSession]:
            return []

        async def forget(self, *, created_before: datetime, limit: int) -> int:
            del created_before
            asked.append(limit)
            some = min(self.over, limit)
            self.over -= some
            return some

    many: Any = Many()
    await replace(bare.connect.clean_up, sessions=many)()

    assert many.over == 0
    assert asked == [1000] * 3


async def test_an_answer_that_was_not_delivered_is_never_forgotten(
    replica: Replica, world: World
) -> None:
    """However old: the database may not know it."""
    await replica.spool.put(spooled())
    world.clock.advance(days=400)

    await replica.connect.clean_up()

    assert len(replica.spool.kept) == 1
