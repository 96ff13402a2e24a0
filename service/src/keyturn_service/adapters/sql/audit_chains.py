"""The chains of the audit as they stand in the database, whatever somebody made of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, tuple_, type_coerce
from sqlalchemy.types import NullType

from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.tables import audit_events
from keyturn_service.adapters.sql.types import from_micros
from keyturn_service.domain.audit import CHAIN_START, AuditEvent, AuditRecord
from keyturn_service.domain.checkpoint import ChainEnd
from keyturn_service.ports import ChainUnreadable

PAGE: Final = 1000  # records that are held at once
_AT_ONCE: Final = 200
_HASH_BYTES: Final = len(CHAIN_START)
# Not by the columns' types, which fail on what no record has: SQLite keeps anything anywhere.
_RAW: Final = {
    column.name: type_coerce(column, NullType()).label(column.name) for column in audit_events.c
}


@dataclass(frozen=True, slots=True)
class SqlAuditChains:
    """`ports.AuditChains`."""

    database: Database

    async def writers(self) -> Sequence[str]:
        """Return the names of all writers."""
        async with self.database.read() as reading:
            return (await reading.scalars(select(audit_events.c.writer).distinct())).all()

    async def records(
        self, writer: str, *, since: datetime | None = None
    ) -> AsyncIterator[AuditRecord | None]:
        """Give what stands in one chain; None stands for a row that is no record."""
        columns = audit_events.c
        asked = (
            select(*_RAW.values())
            .where(columns.writer == writer)
            .order_by(columns.sequence)
            .limit(PAGE)
        )
        page = asked
        if since is not None:
            first = select(func.min(columns.sequence)).where(
                columns.writer == writer, columns.at >= since
            )
            page = asked.where(columns.sequence >= first.scalar_subquery())
        while True:
            async with self.database.read() as reading:
                rows = (await reading.execute(page)).all()
            for row in rows:
                yield _record_of(row)
            if len(rows) < PAGE or not isinstance(rows[-1].sequence, int):
                return
            page = asked.where(columns.sequence > rows[-1].sequence)

    async def page(self, writer: str, *, after: int, limit: int) -> Sequence[AuditRecord | None]:
        """Return the first records behind a sequence."""
        columns = audit_events.c
        asked = (
            select(*_RAW.values())
            .where(columns.writer == writer, columns.sequence > after)
            .order_by(columns.sequence)
            .limit(limit)
        )
        async with self.database.read() as reading:
            return [_record_of(row) for row in (await reading.execute(asked)).all()]

    async def standing(self, ends: Sequence[ChainEnd]) -> Collection[str]:
        """Return the writers of those whose record is there, with its hash."""
        columns, found = audit_events.c, set[str]()
        for start in range(0, len(ends), _AT_ONCE):
            some = {(end.writer, end.length): end.head for end in ends[start : start + _AT_ONCE]}
            asked = select(columns.writer, columns.sequence, _RAW["hash"]).where(
                tuple_(columns.writer, columns.sequence).in_(some)
            )
            async with self.database.read() as reading:
                rows = (await reading.execute(asked)).all()
            found |= {row.writer for row in rows if some[row.writer, row.sequence] == row.hash}
        return found

    async def ends(self) -> Sequence[ChainEnd]:
        """Return the last record of each chain.

        Raises:
            ChainUnreadable: the last row of a chain is no record.
        """
        columns = audit_events.c
        last = (
            select(columns.writer, func.max(columns.sequence).label("sequence"))
            .group_by(columns.writer)
            .subquery()
        )
        asked = select(*_RAW.values()).join(
            last, (last.c.writer == columns.writer) & (last.c.sequence == columns.sequence)
        )
        async with self.database.read() as reading:
            rows = (await reading.execute(asked)).all()
        return [_end_of(row) for row in rows]


def _end_of(row: Any) -> ChainEnd:
    record = _record_of(row)
    if record is None or record.sequence < 1 or len(record.hash) != _HASH_BYTES:
        raise ChainUnreadable(row.writer)
    return ChainEnd(writer=record.writer, length=record.sequence, head=record.hash)


def _record_of(row: Any) -> AuditRecord | None:
    """Return a row as a record; None where somebody put into it what no record has."""
    texts = (row.writer, row.type, row.actor, row.detail)
    optional = (row.workspace_id, row.connection_id)
    if (
        not all(isinstance(one, str) for one in texts)
        or not all(one is None or isinstance(one, str) for one in optional)
        or not all(isinstance(one, int) for one in (row.sequence, row.at))
        or not all(isinstance(one, bytes) for one in (row.previous, row.hash))
    ):
        return None
    try:
        at, detail = from_micros(row.at), json.loads(row.detail)
    except (ValueError, OverflowError, RecursionError):
        return None
    if not isinstance(detail, dict):
        return None
    return AuditRecord(
        writer=row.writer,
        sequence=row.sequence,
        event=AuditEvent(
            type=row.type,
            at=at,
            workspace_id=row.workspace_id,
            actor=row.actor,
            connection_id=row.connection_id,
            detail=detail,
        ),
        previous=row.previous,
        hash=row.hash,
    )
