"""`use_cases.confirm_connection`: only who began to connect puts a grant in force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.replicas import Replica, World, parameters
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    CUSTOMER,
    ORG,
    OTHER_ORG,
    OTHER_WORKSPACE,
    REFRESH,
    START,
    WORKSPACE,
    app,
    user,
)

from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.connect_session import CONFIRMATION_LIFE, Delivery, SessionStatus
from keyturn_service.domain.connection import Connection, ConnectionState
from keyturn_service.domain.errors import Conflict, ConnectRefused, NotFound
from keyturn_service.domain.ids import ConnectionId, ConnectSessionId, CustomerId, WorkspaceId
from keyturn_service.ports import AuditUnavailable, StoreUnavailable

INITECH = CustomerId("initech")


async def returned(replica: Replica, **asked: Any) -> tuple[ConnectSessionId, str | None]:
    """Go as far as the confirmation; return the session and its code."""
    session, secret = await replica.connect.asked(**asked)
    sent = await replica.connect.pressed(secret)
    done = await replica.connect.returned(sent["state"])
    return session.id, parameters(done.redirect_url).get("confirmation_code")


async def confirm(
    replica: Replica, session_id: ConnectSessionId, code: str | None, org_id: str | None = None
) -> Connection:
    """Confirm as the vendor's backend does."""
    return await replica.connect.confirm(
        WORKSPACE, session_id, API_KEY, confirmation_code=code, org_id=org_id
    )


async def code_of(asked: Awaitable[object]) -> str:
    """Return the code that something is refused with."""
    with pytest.raises(ConnectRefused) as refusal:
        await asked
    return refusal.value.code


async def test_a_confirmed_connection_serves(bare: Replica, world: World) -> None:
    """It is active at generation 1, with the tokens that the code brought."""
    session_id, code = await returned(bare)

    made = await confirm(bare, session_id, code)

    assert (made.state, made.generation, made.customer_id) == (ConnectionState.ACTIVE, 1, CUSTOMER)
    assert (made.org_id, made.user, made.authorized_at) == (ORG, user(), START)
    assert await world.connection(made.id) == made
    loaded = await bare.stores.tokens.load(made.id)
    assert loaded is not None
    assert loaded[1].access_token.reveal() == world.org.token_response()["access_token"]
    assert loaded[1].expires_at == START + timedelta(hours=2)
    kept = await bare.connect.find(WORKSPACE, session_id)
    assert (kept.status, kept.confirmation_hash) == (SessionStatus.COMPLETED, None)
    assert await world.jobs() == []


async def test_a_confirmation_is_recorded_before_it_is_kept(bare: Replica, world: World) -> None:
    """By whom, for which org; where that cannot be written nothing is in force."""
    session_id, code = await returned(bare)
    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await confirm(bare, session_id, code)

    world.audit.down = False
    made = await confirm(bare, session_id, code)

    [event] = world.audit.of("connection.confirmed")
    assert (event.actor, event.connection_id, event.detail["about"]) == (API_KEY, made.id, ORG)


@pytest.mark.parametrize("code", [None, "", "another code"])
async def test_a_wrong_code_confirms_nothing(bare: Replica, world: World, code: str | None) -> None:
    """It is recorded; the right one still works afterwards."""
    session_id, right = await returned(bare)

    assert await code_of(confirm(bare, session_id, code, org_id=ORG)) == "confirmation_invalid"

    assert world.audit.types[-1] == "connect_session.refused"
    assert (await confirm(bare, session_id, right)).state is ConnectionState.ACTIVE


async def test_a_code_of_another_session_confirms_nothing(bare: Replica) -> None:
    """A code belongs to the browser that brought it."""
    first, _ = await returned(bare)
    bare.connect.browser = None
    _, second_code = await returned(bare)

    assert await code_of(confirm(bare, first, second_code)) == "confirmation_invalid"


async def test_a_confirmation_works_once(bare: Replica) -> None:
    """A code that was used is worth nothing."""
    session_id, code = await returned(bare)
    await confirm(bare, session_id, code)

    assert await code_of(confirm(bare, session_id, code)) == "confirmation_invalid"


async def test_a_confirmation_whose_answer_was_lost_is_answered_again(
    replica: Replica, world: World
) -> None:
    """The request that was behind it gets the connection as it is by then, and no other."""
    session_id, code = await returned(replica, connection_id=CONNECTION)

    async def asked(request: bytes | None) -> Connection:
        return await replica.connect.confirm(
            WORKSPACE, session_id, API_KEY, confirmation_code=code, org_id=None, request=request
        )

    made = await asked(b"one")

    assert await asked(b"one") == made
    for another in (b"two", b"", None):
        assert await code_of(asked(another)) == "confirmation_invalid"
    assert (await world.tokens()).generation == made.generation
    assert len(world.audit.of("connection.confirmed")) == 1


async def test_of_two_confirmations_at_once_one_is_kept(bare: Replica) -> None:
    """The other one is told that it came too late."""
    session_id, code = await returned(bare)

    ended = await asyncio.gather(
        *(confirm(bare, session_id, code) for _ in range(2)), return_exceptions=True
    )

    assert len([one for one in ended if isinstance(one, Connection)]) == 1
    [refusal] = [one for one in ended if isinstance(one, ConnectRefused)]
    assert refusal.code == "confirmation_invalid"


async def test_who_is_overtaken_while_reading_is_told_the_same(bare: Replica) -> None:
    """The other one was through between the session's read and the grant's."""
    session_id, code = await returned(bare)
    quicker = bare.connect.confirm

    class Overtaken:
        def __getattr__(self, name: str) -> Any:
            return getattr(quicker.sessions, name)

        async def pending_grant(self, session_id: ConnectSessionId) -> Any:
            await confirm(bare, session_id, code)
            return await quicker.sessions.pending_grant(session_id)

    slower = replace(quicker, sessions=Overtaken())

    assert (
        await code_of(slower(WORKSPACE, session_id, API_KEY, confirmation_code=code, org_id=None))
        == "confirmation_invalid"
    )


@pytest.mark.parametrize("late", [True, False])
async def test_a_confirmation_has_ten_minutes(
    bare: Replica,
    world: World,
    late: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """To the second."""
    session_id, code = await returned(bare)
    world.clock.advance(seconds=CONFIRMATION_LIFE.total_seconds() - (not late))

    if late:
        assert await code_of(confirm(bare, session_id, code)) == "session_expired"
    else:
        assert (await confirm(bare, session_id, code)).state is ConnectionState.ACTIVE


async def test_what_has_not_come_back_cannot_be_confirmed(bare: Replica) -> None:
    """Neither a link that nobody used, nor a browser that is at Salesforce."""
    session, secret = await bare.connect.asked()
    assert await code_of(confirm(bare, session.id, "code")) == "confirmation_invalid"

    await bare.connect.pressed(secret)
    assert await code_of(confirm(bare, session.id, "code")) == "confirmation_invalid"


async def test_a_session_of_another_workspace_is_not_there(bare: Replica) -> None:
    """Whoever has the code of another product's session has nothing."""
    session_id, code = await returned(bare)

    with pytest.raises(NotFound):
        await bare.connect.confirm(
            OTHER_WORKSPACE, session_id, API_KEY, confirmation_code=code, org_id=None
        )


async def test_a_shared_link_is_confirmed_by_the_org_that_was_shown(bare: Replica) -> None:
    """The user who asked has no code, and says yes to the org."""
    session_id, code = await returned(bare, delivery=Delivery.SHARED)

    assert code is None
    assert (await confirm(bare, session_id, None, org_id=ORG)).org_id == ORG


@pytest.mark.parametrize("org_id", [None, OTHER_ORG, ORG[:15]])
async def test_a_shared_link_is_not_confirmed_for_another_org(
    bare: Replica, org_id: str | None
) -> None:
    """Nor unseen."""
    session_id, _ = await returned(bare, delivery=Delivery.SHARED)

    assert await code_of(confirm(bare, session_id, "x", org_id=org_id)) == "confirmation_invalid"


async def test_a_grant_that_was_ended_cannot_be_confirmed(bare: Replica, world: World) -> None:
    """Cleaned up, or its connection gone: the session is over."""
    session_id, code = await returned(bare)
    await world.base.execute("UPDATE connect_sessions SET pending_grant = NULL")

    assert await code_of(confirm(bare, session_id, code)) == "session_expired"


async def test_a_session_without_a_connection_cannot_be_confirmed(bare: Replica) -> None:
    """There is nothing to put in force."""
    session_id, code = await returned(bare)
    kept = await bare.connect.find(WORKSPACE, session_id)
    await bare.stores.connect_sessions.replace(replace(kept, connection_id=None))

    assert await code_of(confirm(bare, session_id, code)) == "session_expired"


async def test_a_reauthorization_ends_what_it_supersedes(replica: Replica, world: World) -> None:
    """Only once the new one is stored; the connection keeps its id, its problem is gone."""
    await replica.stores.tokens.set_state(
        CONNECTION,
        generation=1,
        state=ConnectionState.REAUTHORIZATION_REQUIRED,
        problem="grant_revoked",
    )
    world.org.refresh_token = "of the new grant"
    session_id, code = await returned(replica, connection_id=CONNECTION)
    world.clock.advance(minutes=1)
    world.journal.clear()

    made = await confirm(replica, session_id, code)

    assert (made.id, made.generation) == (CONNECTION, 2)
    assert (made.state, made.problem) == (ConnectionState.ACTIVE, None)
    assert (await world.tokens()).generation == 2
    assert await world.jobs() == [("superseded", [REFRESH])]
    assert world.journal == ["connection.confirmed", "grant.revocation_asked"]
    assert len(world.background.asked) == 1


async def test_what_was_superseded_is_revoked_though_its_record_failed(
    replica: Replica, world: World
) -> None:
    """And the confirmation, which is kept by then with that revocation, is answered as such."""
    session_id, code = await returned(replica, connection_id=CONNECTION)
    world.audit.refuses = {"grant.revocation_asked"}

    made = await confirm(replica, session_id, code)

    assert made.generation == 2
    assert len(world.background.asked) == 1
    assert (await world.tokens()).generation == 2
    assert await world.carried_out(replica) == [REFRESH]
    assert world.audit.types[-1] == "grant.revoked"


@pytest.mark.parametrize("committed", [True, False])
async def test_what_was_superseded_is_revoked_where_the_database_was_cut_off(
    replica: Replica, world: World, *, committed: bool
) -> None:
    """As long as the confirmation is kept, which nobody was told; else nothing is revoked."""
    session_id, code = await returned(replica, connection_id=CONNECTION)

    class CutOff:
        """Sessions whose confirmation is not answered."""

        def __getattr__(self, name: str) -> object:
            return getattr(replica.stores.connect_sessions, name)

        async def confirm(self, *given: Any, **named: Any) -> None:
            if committed:
                await replica.stores.connect_sessions.confirm(*given, **named)
            raise StoreUnavailable

    cut_off = replace(replica.connect.confirm, sessions=CutOff())  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        await cut_off(WORKSPACE, session_id, API_KEY, confirmation_code=code, org_id=None)

    assert (await world.tokens()).generation == 1 + committed
    assert await world.carried_out(replica) == [REFRESH][: int(committed)]


async def test_a_grant_that_does_not_open_is_replaced_and_left_to_an_admin(
    replica: Replica, world: World
) -> None:
    """Nobody can present it; the customer is connected all the same."""
    await world.base.execute("UPDATE token_sets SET access_token = :new", new=b"changed")
    session_id, code = await returned(replica, connection_id=CONNECTION)

    made = await confirm(replica, session_id, code)

    assert (await world.tokens()).generation == made.generation == 2
    assert await world.carried_out(replica) == []
    [event] = world.audit.of("grant.left_to_admin")
    assert (event.connection_id, event.detail["because"]) == (CONNECTION, "does_not_open")


async def test_a_superseded_token_set_without_refresh_token_ends_by_its_access_token(
    replica: Replica, world: World
) -> None:
    """Something always stands for the grant."""
    access = (await world.tokens()).access_token.reveal()
    await world.base.execute("UPDATE token_sets SET refresh_token = NULL")
    session_id, code = await returned(replica, connection_id=CONNECTION)

    await confirm(replica, session_id, code)

    assert await world.jobs() == [("superseded", [access])]


class Overtaken:
    """Connections as they were before a refresh that is faster, so many times."""

    def __init__(self, replica: Replica, *, times: int) -> None:
        self._replica, self._times = replica, times

    def __getattr__(self, name: str) -> Any:
        """Return what is not overtaken."""
        return getattr(self._replica.stores.connections, name)

    async def get(self, workspace_id: WorkspaceId, named: ConnectionId) -> Connection | None:
        """Return the connection, which is another generation right after that."""
        found = await self._replica.stores.connections.get(workspace_id, named)
        if self._times and found is not None:
            self._times -= 1
            await self._replica.refresh(CONNECTION, refused=found.generation)
        return found


async def test_a_refresh_that_came_between_is_superseded_too(
    replica: Replica, world: World
) -> None:
    """A generation is never overwritten; the grant is put in force after the one that came."""
    world.org.refresh_token = "of the new grant"
    session_id, code = await returned(replica, connection_id=CONNECTION)
    world.org.refresh_token = REFRESH
    late = replace(replica.connect.confirm, connections=Overtaken(replica, times=1))

    made = await late(WORKSPACE, session_id, API_KEY, confirmation_code=code, org_id=None)

    assert made.generation == (await world.tokens()).generation == 3
    assert await world.jobs() == [("superseded", [world.org.refresh_token])]
    assert (await world.tokens()).refresh_token == RefreshToken("of the new grant")


async def test_who_is_overtaken_again_and_again_may_confirm_later(
    replica: Replica, world: World
) -> None:
    """The session still waits, and its code is still good."""
    session_id, code = await returned(replica, connection_id=CONNECTION)
    late = replace(replica.connect.confirm, connections=Overtaken(replica, times=9))

    with pytest.raises(Conflict) as refusal:
        await late(WORKSPACE, session_id, API_KEY, confirmation_code=code, org_id=None)

    assert (refusal.value.code, refusal.value.retry_after) == ("refresh_under_way", 1)
    assert (await world.connection()).generation == 4
    assert await world.jobs() == []
    assert (await confirm(replica, session_id, code)).generation == 5


async def test_a_connection_that_was_being_ended_serves_again(
    replica: Replica, world: World
) -> None:
    """The customer disconnected and came back before Salesforce had ended the old grant."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    session_id, code = await returned(replica, connection_id=CONNECTION)
    await confirm(replica, session_id, code)

    for job in list(world.background.asked):
        assert await replica.revoke_grant(job)

    serving = await replica.stores.serving.read(CONNECTION, key_hash=b"")
    assert serving.connection is not None
    assert (serving.connection.state, serving.ending) == (ConnectionState.ACTIVE, False)
    assert serving.tokens is not None
    assert serving.tokens.generation == 2


async def overlapping(
    replica: Replica, *customers: CustomerId
) -> list[tuple[ConnectSessionId, str | None]]:
    """Go as far as the confirmation with one org, for each of the customers."""
    found = []
    for number, customer in enumerate(customers):
        replica.connect.browser = None
        replica.connect.world.org.refresh_token = f"of session {number}"
        found.append(await returned(replica, customer_id=customer))
    return found


async def test_an_org_is_not_confirmed_for_a_second_customer(bare: Replica, world: World) -> None:
    """Both sessions waited when the first was confirmed; what the second brought is ended."""
    first, (session_id, code) = await overlapping(bare, CUSTOMER, INITECH)
    made = await confirm(bare, *first)

    assert await code_of(confirm(bare, session_id, code)) == "org_already_connected"

    kept = await bare.connect.find(WORKSPACE, session_id)
    assert (kept.status, kept.problem) == (SessionStatus.FAILED, "org_already_connected")
    assert kept.connection_id is not None
    assert (await world.connection(kept.connection_id)).state is ConnectionState.REVOKED
    assert await world.connection(made.id) == made
    [(reason, tokens)] = await world.jobs()
    assert (reason, tokens[0]) == ("unconfirmed", "of session 1")
    assert world.audit.types[-3:] == [
        "connect_session.unconfirmed",
        "grant.revocation_asked",
        "connect_session.refused",
    ]
    assert await code_of(confirm(bare, session_id, code)) == "confirmation_invalid"


async def test_an_app_may_let_an_org_have_several_customers(bare: Replica) -> None:
    """As the vendor has said."""
    await bare.stores.apps.replace(app(allow_same_org=True))

    made = [await confirm(bare, *one) for one in await overlapping(bare, CUSTOMER, INITECH)]

    assert [one.customer_id for one in made] == [CUSTOMER, INITECH]
    assert {(one.state, one.generation) for one in made} == {(ConnectionState.ACTIVE, 1)}


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_customer_who_connects_an_org_twice_has_one_connection(
    bare: Replica, world: World, *, at_once: bool
) -> None:
    """The later grant renews it, as if the second session had begun after the first."""
    waiting = await overlapping(bare, CUSTOMER, CUSTOMER)
    if at_once:
        made = await asyncio.gather(*(confirm(bare, *one) for one in waiting))
    else:
        made = [await confirm(bare, *one) for one in waiting]

    assert len({one.id for one in made}) == 1
    assert {one.generation for one in made} == {1, 2}
    found = [await bare.connect.find(WORKSPACE, session_id) for session_id, _ in waiting]
    assert {one.connection_id for one in found} == {made[0].id}
    assert {one.status for one in found} == {SessionStatus.COMPLETED}
    states = await world.base.rows("SELECT state FROM connections ORDER BY state")
    assert states == [("active",), ("revoked",)]
    first = next(number for number, one in enumerate(made) if one.generation == 1)
    assert await world.jobs() == [("superseded", [f"of session {first}"])]
