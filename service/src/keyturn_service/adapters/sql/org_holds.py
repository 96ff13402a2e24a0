"""An org is connected once: whoever connects it for a customer holds the others off meanwhile."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_service.adapters.sql.tables import apps, connections
from keyturn_service.domain.connection import Connection, ConnectionState
from keyturn_service.ports import OrgTaken


async def hold_org(writing: AsyncConnection, connection: Connection) -> bool:
    """Let nobody else connect an org with the app while this block runs.

    Return False where the customer has another connection to the org in force, and this one is
    new. Before any row of sessions or connections is held, so that nobody waits in a circle.

    Raises:
        OrgTaken: another customer has one, the app allows one only, and this one does not serve.
    """
    # One at a time for each app: its row is what they wait for. Rows that only name it do not.
    asked = select(apps.c.allow_same_org).where(apps.c.id == connection.app_id)
    allowed = (await writing.execute(asked.with_for_update(key_share=True))).scalar()
    in_force = select(connections.c.id, connections.c.customer_id).where(
        connections.c.app_id == connection.app_id,
        connections.c.org_id == connection.org_id,
        connections.c.generation > 0,
        connections.c.state != ConnectionState.REVOKED,
    )
    found = {row.id: row.customer_id for row in await writing.execute(in_force)}
    if connection.id in found:
        return True
    if connection.generation == 1 and connection.customer_id in found.values():
        return False
    if not allowed and any(customer != connection.customer_id for customer in found.values()):
        raise OrgTaken(connection.org_id)
    return True
