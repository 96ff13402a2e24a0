"""Connections, without their tokens."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    bindparam,
    func,
    or_,
    select,
    tuple_,
    type_coerce,
    update,
)

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.ids import OrgId
from keyturn_service.adapters.sql.claims import FREE, claim_end, is_free
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.rows import connection_of
from keyturn_service.adapters.sql.tables import connections
from keyturn_service.adapters.sql.types import Moment, as_of, from_micros, to_micros
from keyturn_service.domain.connection import Connection, ConnectionState
from keyturn_service.domain.ids import AppId, ConnectionId, WorkspaceId
from keyturn_service.ports import ConnectionFilter, CursorUnknown, Page

_CURSOR: Final = re.compile(r"(?P<micros>[0-9]{1,16}):(?P<id>[0-9A-Za-z_]{1,64})")  # year 2286


@dataclass(frozen=True, slots=True)
class SqlConnections:
    """`ports.Connections`."""

    database: Database

    async def get(
        self, workspace_id: WorkspaceId, connection_id: ConnectionId
    ) -> Connection | None:
        """Return the connection, if it is in that workspace."""
        asked = select(connections).where(
            connections.c.id == connection_id, connections.c.workspace_id == workspace_id
        )
        async with self.database.read() as reading:
            row = (await reading.execute(asked)).first()
        return None if row is None else connection_of(row)

    async def list(
        self,
        workspace_id: WorkspaceId,
        asked: ConnectionFilter,
        *,
        limit: int,
        cursor: str | None,
    ) -> Page[Connection]:
        """Return connections, oldest first.

        Raises:
            CursorUnknown: the cursor is not one of ours.
        """
        order = (connections.c.created_at, connections.c.id)
        statement = (
            select(connections)
            .where(*_conditions(workspace_id, asked))
            .order_by(*order)
            .limit(limit + 1)
        )
        if cursor is not None:
            statement = statement.where(tuple_(*order) > as_of(order, _read_cursor(cursor)))
        async with self.database.read() as reading:
            rows = (await reading.execute(statement)).all()
        items = [connection_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items=items, next_cursor=_cursor(items[-1]) if more else None)

    async def count(self, workspace_id: WorkspaceId, asked: ConnectionFilter) -> int:
        """Count what `list` would return over all pages."""
        statement = select(func.count()).select_from(connections)
        async with self.database.read() as reading:
            counted = await reading.execute(statement.where(*_conditions(workspace_id, asked)))
        return int(counted.scalar_one())

    async def of_org(self, app_id: AppId, org_id: OrgId) -> Sequence[Connection]:
        """Return the app's connections to an org that are not revoked, pending ones included."""
        asked = (
            select(connections)
            .where(
                connections.c.app_id == app_id,
                connections.c.org_id == org_id,
                connections.c.state != ConnectionState.REVOKED,
            )
            .order_by(connections.c.created_at, connections.c.id)
        )
        async with self.database.read() as reading:
            rows = (await reading.execute(asked)).all()
        return [connection_of(row) for row in rows]

    async def set_instance_url(self, connection_id: ConnectionId, instance_url: Origin) -> None:
        """Keep the org's new API origin, after that host was seen to be the org's."""
        await self._change(connection_id, instance_url=instance_url)

    async def set_keep_alive(
        self, connection_id: ConnectionId, *, keep_alive: bool, now: datetime
    ) -> None:
        """Say whether the idle guardian keeps the connection alive."""
        await self._change(connection_id, keep_alive=keep_alive, due_at=now, claimed_until=FREE)

    async def claim_due(
        self, now: datetime, *, ttl: timedelta, limit: int
    ) -> Sequence[tuple[Connection, datetime]]:
        """Return connections for which something is to be done, claimed for `ttl`.

        A claim makes the due time a microsecond later, so that no two are the same.
        """
        free = is_free(self.database, connections.c.claimed_until, ttl=ttl)
        asked = (
            select(connections.c.id)
            .where(connections.c.due_at <= now, free)
            .order_by(connections.c.due_at)
            .limit(limit)
        )
        async with self.database.read() as reading:
            if (await reading.execute(asked.limit(1))).first() is None:
                return []  # nothing is due: nothing is written
        claimed = (
            update(connections)
            .where(connections.c.id.in_(asked.with_for_update(skip_locked=True)))
            .values(
                due_at=type_coerce(connections.c.due_at, BigInteger) + 1,
                claimed_until=claim_end(self.database, ttl),
            )
            .returning(connections)
        )
        async with self.database.write() as writing:
            rows = (await writing.execute(claimed)).all()
        return [(connection_of(row), row.due_at) for row in rows]

    async def looked_after(
        self, connection: Connection, *, claim: datetime, due_at: datetime | None
    ) -> None:
        """Keep when something is to be done next, where `claim` is the latest still.

        Not where another generation is in force either: that one has a time of its own.
        """
        async with self.database.write() as writing:
            await writing.execute(
                update(connections)
                .where(
                    connections.c.id == connection.id,
                    connections.c.generation == connection.generation,
                    connections.c.due_at == claim,
                )
                .values(due_at=due_at, claimed_until=FREE)
            )

    async def set_warned(self, connection_id: ConnectionId, at: datetime) -> None:
        """Note when its owner was warned, where that is later than noted."""
        async with self.database.write() as writing:
            await writing.execute(
                update(connections)
                .where(
                    connections.c.id == connection_id,
                    or_(connections.c.warned_at.is_(None), connections.c.warned_at < at),
                )
                .values(warned_at=at)
            )

    async def touch_used(self, used: Mapping[ConnectionId, datetime]) -> None:
        """Note when connections were last used, where that is later than noted."""
        if not used:
            return
        uses = [{"used_id": one, "used_at": at} for one, at in sorted(used.items())]
        async with self.database.write() as writing:
            await writing.execute(_TOUCHED, uses)

    async def _change(self, connection_id: ConnectionId, **values: Any) -> None:
        async with self.database.write() as writing:
            await writing.execute(
                update(connections).where(connections.c.id == connection_id).values(**values)
            )


_USED_AT: Final = bindparam("used_at", type_=Moment)
_TOUCHED: Final = (
    update(connections)
    .where(
        connections.c.id == bindparam("used_id"),
        or_(connections.c.last_used_at.is_(None), connections.c.last_used_at < _USED_AT),
    )
    .values(last_used_at=_USED_AT)
)


def _conditions(workspace_id: WorkspaceId, asked: ConnectionFilter) -> list[ColumnElement[bool]]:
    columns = connections.c
    conditions = [columns.workspace_id == workspace_id]
    exact = {
        columns.customer_id: asked.customer_id,
        columns.state: asked.state,
        columns.environment: asked.environment,
        columns.org_id: asked.org_id,
        columns.app_id: asked.app_id,
    }
    conditions += [column == value for column, value in exact.items() if value is not None]
    if asked.search:
        searched = (columns.customer_id, columns.org_name, columns.username, columns.email)
        conditions.append(
            or_(*(column.icontains(asked.search, autoescape=True) for column in searched))
        )
    return conditions


def _cursor(last: Connection) -> str:
    text = f"{to_micros(last.created_at)}:{last.id}"
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    """Return where the next page starts.

    Raises:
        CursorUnknown: the cursor is not one of ours.
    """
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        match = _CURSOR.fullmatch(base64.urlsafe_b64decode(padded).decode())
    except ValueError:
        match = None
    if match is None:
        raise CursorUnknown("not a cursor of ours")
    return from_micros(int(match["micros"])), match["id"]
