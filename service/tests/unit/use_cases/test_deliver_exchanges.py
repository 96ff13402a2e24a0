"""`use_cases.deliver_spool`, where codes were exchanged: one grant stays, the others end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import json_answer
from service.tests.support.replicas import Kitchen, Replica, World, parameters
from service.tests.support.values import API_KEY, CONNECTION, LOGIN_URL, WORKSPACE, spooled

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment
from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import AttemptId, ConnectSessionId
from keyturn_service.ports import PendingGrant, SealRefused, StoreUnavailable
from keyturn_service.use_cases.complete_authorization import AuthorizationFailed

FIRST = {"refresh_token": "5Aep861.first", "access_token": "00D5g000004bLxZ!AQ.first"}


class Pressed:
    """A session whose first exchange lost its database, and how it goes on."""

    def __init__(self, replica: Replica, session_id: ConnectSessionId, secret: str) -> None:
        self.replica, self.session_id, self._secret = replica, session_id, secret
        self._code = ""

    async def press(self) -> str:
        """Press Connect again; return the state."""
        return (await self.replica.connect.pressed(self._secret))["state"]

    async def again(self, on: Replica | None = None, /, **members: str) -> None:
        """Press Connect again, and come back to `on`."""
        state = await self.press()
        on = on or self.replica
        on.world.org.members.update(members)
        on.connect.browser = self.replica.connect.browser
        done = await on.connect.returned(state)
        self._code = parameters(done.redirect_url)["confirmation_code"]

    async def confirmed(self) -> None:
        """Confirm what the second trip brought."""
        await self.replica.connect.confirm(
            WORKSPACE, self.session_id, API_KEY, confirmation_code=self._code, org_id=None
        )

    async def status(self) -> SessionStatus:
        """Return where the session stands."""
        return (await self.replica.connect.find(WORKSPACE, self.session_id)).status


async def pressed(
    replica: Replica, environment: Environment = Environment.PRODUCTION, **asked: Any
) -> Pressed:
    """Press Connect; what comes is on the spool, and no further."""
    session, secret = await replica.connect.asked(**asked)
    sent = await replica.connect.pressed(secret, environment=environment)

    async def break_down(form: object) -> TokenAnswer:
        assert form
        replica.world.base.database.lose_before_commit = 1
        return json_answer(**(replica.world.org.token_response() | FIRST))

    replica.world.org.next.append(break_down)
    with pytest.raises(StoreUnavailable):
        await replica.connect.returned(sent["state"])
    return Pressed(replica, session.id, secret)


ENDED = [("unconfirmed", [FIRST["refresh_token"], FIRST["access_token"]])]


async def test_each_trip_is_kept_on_its_own(bare: Replica, world: World) -> None:
    """The second one's answer takes no other's place; the first grant is ended, not the second."""
    trip = await pressed(bare)
    await trip.again()
    assert len(bare.spool.kept) == 2

    assert await bare.deliver() == 1

    assert await world.jobs() == ENDED
    assert bare.spool.open == []
    assert await trip.status() is SessionStatus.AWAITING_CONFIRMATION
    await trip.confirmed()


async def test_an_earlier_trip_is_ended_while_the_next_is_under_way(
    bare: Replica, world: World
) -> None:
    """Nothing of it can be confirmed any more, whatever its request still does."""
    trip = await pressed(bare)
    await trip.press()
    assert await trip.status() is SessionStatus.AUTHORIZING

    assert await bare.deliver() == 1

    assert await world.jobs() == ENDED
    assert bare.spool.open == []


@pytest.mark.parametrize("confirmed", [False, True])
async def test_a_trip_that_another_replica_overtook_is_ended(
    kitchen: Kitchen, bare: Replica, world: World, *, confirmed: bool
) -> None:
    """What it brought is not what waits, or is in force, though the session is the same."""
    trip = await pressed(bare)
    await trip.again(await kitchen.replica("spool_two"))
    if confirmed:
        await trip.confirmed()

    assert await bare.deliver() == 1

    assert await world.jobs() == ENDED
    assert bare.spool.open == []
    [(state,)] = await world.base.rows("SELECT state FROM connections")
    assert state == (ConnectionState.ACTIVE if confirmed else ConnectionState.PENDING)


async def test_a_grant_is_ended_where_it_was_given(bare: Replica, world: World) -> None:
    """The user chose the other login host before pressing Connect again."""
    trip = await pressed(bare, Environment.SANDBOX)
    await trip.again()

    await bare.deliver()

    hosts = await world.base.rows("SELECT login_url FROM revocations")
    assert hosts == [(LOGIN_HOSTS[Environment.SANDBOX],)]


@pytest.mark.parametrize("confirmed", [False, True])
async def test_who_died_before_the_mark_ends_nothing(
    bare: Replica, world: World, *, confirmed: bool
) -> None:
    """The answer is the one that waits, or is in force."""
    trip = await pressed(bare)
    await trip.again()
    await bare.deliver()
    if confirmed:
        await trip.confirmed()
    bare.spool.open.append(list(bare.spool.kept)[-1])

    assert await bare.deliver() == 0

    assert await world.jobs() == ENDED
    assert bare.spool.open == []


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize(
    ("same", "ended"),
    [(FIRST, []), ({"access_token": FIRST["access_token"]}, [FIRST["refresh_token"]])],
    ids=["the grant", "its session"],
)
async def test_what_the_second_trip_brought_again_is_not_ended(
    bare: Replica, world: World, same: dict[str, str], ended: list[str], *, confirmed: bool
) -> None:
    """Salesforce may hand out what there is."""
    trip = await pressed(bare)
    await trip.again(**same)
    if confirmed:
        await trip.confirmed()

    await bare.deliver()

    assert await world.jobs() == ([("unconfirmed", ended)] if ended else [])
    assert bare.spool.open == []


async def test_what_does_not_open_keeps_no_grant(replica: Replica, world: World) -> None:
    """Nobody is served by it: that is why its customer connects again."""
    trip = await pressed(replica, connection_id=CONNECTION)
    await trip.again()
    replica.store.fails["load"] = [SealRefused("changed")]

    await replica.deliver()

    assert await world.jobs() == ENDED


async def test_an_earlier_release_named_its_answer_by_the_session(
    bare: Replica, world: World
) -> None:
    """Which trip it is of, nobody knows: it is ended with its session, or not at all."""
    trip = await pressed(bare)
    [first] = bare.spool.kept.values()
    await bare.spool.delivered(first.attempt_id)
    await bare.spool.put(
        spooled(attempt_id=AttemptId(trip.session_id), status=200, body=first.body, complete=True)
    )
    assert await bare.deliver() == 0
    assert len(bare.spool.open) == 1
    world.clock.advance(minutes=15)

    assert await bare.deliver() == 1

    assert await world.jobs() == ENDED
    hosts = await world.base.rows("SELECT login_url FROM revocations")
    assert hosts == [(LOGIN_URL,)]


async def test_what_is_ended_with_its_session_is_not_confirmed(bare: Replica, world: World) -> None:
    """Its 15 minutes end, and a round comes by, while the org's answers are still looked at."""
    session, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)
    world.clock.advance(minutes=14, seconds=58)
    verify = bare.connect.complete.verify

    async def slow(*given: Any) -> PendingGrant:
        world.clock.advance(seconds=4)
        assert await bare.deliver() == 1
        return await verify(*given)

    bare.connect.complete = replace(bare.connect.complete, verify=slow)  # type: ignore[arg-type]
    with pytest.raises(AuthorizationFailed, match="code_replayed"):
        await bare.connect.returned(sent["state"])

    found = await bare.connect.find(WORKSPACE, session.id)
    assert (found.status, found.problem) == (SessionStatus.EXPIRED, "session_expired")
    assert {reason for reason, _ in await world.jobs()} == {"unconfirmed"}
    assert await world.base.rows("SELECT id FROM connections") == []


async def test_what_was_kept_in_time_is_not_ended(bare: Replica, world: World) -> None:
    """The round had looked at the session right before."""
    session, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)
    looked_at = await bare.connect.find(WORKSPACE, session.id)
    await bare.connect.returned(sent["state"])
    bare.spool.open.extend(bare.spool.kept)
    world.clock.advance(minutes=15)

    class Before:
        """Sessions as they were then."""

        async def get(self, *asked: object) -> ConnectSession:
            assert asked
            return looked_at

        replace = bare.stores.connect_sessions.replace
        pending_grant = bare.stores.connect_sessions.pending_grant

    assert await replace(bare.deliver, sessions=Before())() == 0  # type: ignore[arg-type]

    found = await bare.stores.connect_sessions.get(WORKSPACE, session.id)
    assert found is not None
    assert found.status is SessionStatus.AWAITING_CONFIRMATION
    assert await bare.deliver() == 0
    assert await world.jobs() == []
