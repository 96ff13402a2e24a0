"""`ports.ConnectSessions` and `ports.TokenStore`: who connects an org first has it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    CUSTOMER,
    SESSION,
    WORKSPACE,
    app,
    awaiting,
    connection,
    grant,
    hash_of,
    pending,
    tokens,
)

from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId, ConnectSessionId, CustomerId
from keyturn_service.ports import OrgTaken, StaleWrite

INITECH = CustomerId("initech")
SECOND = ConnectSessionId("cs_two")
OTHER = ConnectionId("con_two")


async def waiting(
    base: Base, session_id: ConnectSessionId, connection_id: ConnectionId, customer: CustomerId
) -> ConnectSession:
    """Keep a session that waits for the confirmation of a new connection to the org."""
    made = awaiting(
        id=session_id,
        link_hash=hash_of(session_id),
        authorization=None,
        customer_id=customer,
        connection_id=connection_id,
    )
    await base.stores.connect_sessions.add(made)
    assert await base.stores.connect_sessions.await_confirmation(
        made,
        grant(session_id=session_id, connection_id=connection_id),
        new_connection=pending(id=connection_id, customer_id=customer),
    )
    return replace(made, version=made.version + 1)


def confirm(stores: Stores, session: ConnectSession, **changes: Any) -> Coroutine[Any, Any, None]:
    """Confirm the session's connection, at generation 1."""
    assert session.connection_id is not None
    made = connection(id=session.connection_id, customer_id=session.customer_id, **changes)
    return stores.connect_sessions.confirm(
        replace(session, status=SessionStatus.COMPLETED, confirmation_hash=None),
        made,
        tokens(generation=made.generation),
        superseded=None,
    )


@pytest.mark.parametrize(("customer", "error"), [(CUSTOMER, "StaleWrite"), (INITECH, "OrgTaken")])
async def test_of_two_confirmations_at_once_one_has_the_org(
    base: Base, customer: CustomerId, error: str
) -> None:
    """On all replicas together; of the other one nothing has changed."""
    first = await waiting(base, SESSION, CONNECTION, CUSTOMER)
    second = await waiting(base, SECOND, OTHER, customer)

    async with base.replica("spool_two") as other:
        ended = await asyncio.gather(
            confirm(base.stores, first), confirm(other, second), return_exceptions=True
        )

    assert sorted(type(one).__name__ for one in ended) == sorted(["NoneType", error])
    left = first if ended[0] is not None else second
    assert await base.stores.connect_sessions.get(WORKSPACE, left.id) == left
    assert await base.stores.connect_sessions.pending_grant(left.id) is not None
    states = await base.rows("SELECT state FROM connections ORDER BY state")
    assert states == [("active",), ("pending",)]


async def test_a_confirmation_and_an_assertion_do_not_both_have_the_org(base: Base) -> None:
    """Whichever was first."""
    session = await waiting(base, SESSION, CONNECTION, CUSTOMER)
    async with base.replica("spool_two") as other:
        ended = await asyncio.gather(
            confirm(base.stores, session),
            other.tokens.add(connection(id=OTHER, customer_id=INITECH), tokens()),
            return_exceptions=True,
        )

    assert len([one for one in ended if isinstance(one, OrgTaken)]) == 1
    [(left,)] = await base.rows("SELECT count(*) FROM connections WHERE state = 'active'")
    assert left == 1


async def test_an_app_may_let_an_org_have_two_customers(base: Base) -> None:
    """Each of them once."""
    await base.stores.apps.replace(app(allow_same_org=True))
    await confirm(base.stores, await waiting(base, SESSION, CONNECTION, CUSTOMER))
    await confirm(base.stores, await waiting(base, SECOND, OTHER, INITECH))

    again = await waiting(base, ConnectSessionId("cs_3"), ConnectionId("con_3"), INITECH)
    with pytest.raises(StaleWrite):
        await confirm(base.stores, again)


async def test_a_connection_in_force_is_renewed_whoever_else_has_the_org(base: Base) -> None:
    """The app does not allow it any more; one that was revoked does not come back."""
    await base.stores.apps.replace(app(allow_same_org=True))
    await base.with_connection(id=OTHER, customer_id=INITECH)
    await base.with_connection()
    session = replace(
        await waiting(base, SESSION, ConnectionId("con_3"), CUSTOMER), connection_id=CONNECTION
    )
    await base.stores.apps.replace(app())
    await base.execute("UPDATE connections SET state = 'revoked' WHERE id = 'con_one'")
    with pytest.raises(OrgTaken):
        await confirm(base.stores, session, generation=2)

    await base.execute("UPDATE connections SET state = 'active' WHERE id = 'con_one'")
    await confirm(base.stores, session, generation=2)


async def test_a_grant_in_force_on_another_connection_ends_the_one_that_waited(base: Base) -> None:
    """The customer has had another one meanwhile, which is renewed in its place."""
    await base.with_connection(id=OTHER)
    session = await waiting(base, SESSION, CONNECTION, CUSTOMER)
    renewed = connection(id=OTHER, generation=2)

    await base.stores.connect_sessions.confirm(
        replace(session, status=SessionStatus.COMPLETED, connection_id=OTHER),
        renewed,
        tokens(generation=2),
        superseded=None,
        instead_of=CONNECTION,
    )

    assert await base.stores.tokens.load(OTHER) == (renewed, tokens(generation=2))
    left = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert left == pending(state=ConnectionState.REVOKED)
