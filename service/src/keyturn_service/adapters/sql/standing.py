"""The state of a connection, and what an incident that stopped it makes of what is said of it."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.tables import connections, incident_grants
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.domain.incident import PROBLEM


async def hold_connection(writing: AsyncConnection, connection_id: ConnectionId) -> str | None:
    """Keep a connection as it is while this block runs; return its problem.

    A statement of its own: one that waits for the row goes on by what the other tables were
    before it waited, and would not see an incident that was opened meanwhile.
    """
    asked = select(connections.c.problem).where(connections.c.id == connection_id)
    problem: str | None = (await writing.execute(asked.with_for_update())).scalar()
    return problem


async def say(
    writing: AsyncConnection,
    connection_id: ConnectionId,
    generation: int,
    state: ConnectionState,
    problem: str | None,
) -> bool:
    """Keep state and problem where the generation is in force and was not revoked.

    Of a grant that an incident has yet to end they go into its list: they say what to ask for.
    """
    here = and_(connections.c.id == connection_id, connections.c.generation == generation)
    changed = await writing.execute(
        update(connections)
        .where(here, connections.c.state != ConnectionState.REVOKED, ~stopped())
        .values(state=state, problem=problem)
    )
    if changed.rowcount:
        return True
    listed = await writing.execute(
        update(incident_grants)
        .where(
            incident_grants.c.due_at.is_not(None),
            select(connections.c.id).where(here, stopped(), _listed()).exists(),
        )
        .values(was=state, problem=problem)
    )
    return bool(listed.rowcount)


def stopped() -> ColumnElement[bool]:
    """Match a connection whose grant an incident has yet to end: it serves no more until then."""
    listed = select(incident_grants.c.due_at).where(
        _listed(), incident_grants.c.due_at.is_not(None)
    )
    return and_(func.coalesce(connections.c.problem, "") == PROBLEM, listed.exists())


def _listed() -> ColumnElement[bool]:
    """Match an incident's row with the connection, where that has the same grant still."""
    return and_(
        incident_grants.c.connection_id == connections.c.id,
        incident_grants.c.authorized_at == connections.c.authorized_at,
    )
