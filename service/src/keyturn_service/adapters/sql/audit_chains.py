"""The chains of the audit as they stand in the database, whatever somebody made of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import CTE, ScalarSelect, func, or_, select, type_coerce
from sqlalchemy.types import NullType

from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.tables import audit_events
from keyturn_service.adapters.sql.types import from_micros, to_micros
from keyturn_service.domain.audit import CHAIN_CLOSED, CHAIN_START, AuditEvent, AuditRecord
from keyturn_service.domain.audit_check import BadRecord, Wrong
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
        found = _writers()
        asked = select(found.c.writer).where(found.c.writer.is_not(None))
        async with self.database.read(patient=True) as reading:
            return [name for name in await reading.scalars(asked) if isinstance(name, str)]

    async def strays(self) -> Sequence[BadRecord]:
        """Return of each name that is no text the first row."""
        found = _writers()
        asked = select(found.c.writer, _place(func.min, found)).where(found.c.writer.is_not(None))
        async with self.database.read(patient=True) as reading:
            rows = (await reading.execute(asked)).all()
        return [
            BadRecord(
                writer=_name_of(writer),
                sequence=sequence if isinstance(sequence, int) else 0,
                wrong=Wrong.EDITED,
            )
            for writer, sequence in rows
            if not isinstance(writer, str)
        ]

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
            # One by one: SQLite would read the whole table for a list of pairs.
            places = (
                (columns.writer == writer) & (columns.sequence == sequence)
                for writer, sequence in some
            )
            asked = select(columns.writer, columns.sequence, _RAW["hash"]).where(or_(*places))
            async with self.database.read(patient=True) as reading:
                rows = (await reading.execute(asked)).all()
            found |= {row.writer for row in rows if some[row.writer, row.sequence] == row.hash}
        return found

    async def begun_before(self, moment: datetime) -> Collection[str]:
        """Return the writers of chains whose first record is older, and which have more than it."""
        columns, found = audit_events.c, _writers()
        asked = select(
            columns.writer, _RAW["at"], columns.type, columns.sequence, _place(func.max, found)
        ).join(
            found,
            (columns.writer == found.c.writer) & (columns.sequence == _place(func.min, found)),
        )
        async with self.database.read(patient=True) as reading:
            rows = (await reading.execute(asked)).all()
        begun = to_micros(moment)
        return {
            writer
            for writer, at, kind, first, last in rows
            if isinstance(writer, str)
            and (not isinstance(at, int) or at < begun)
            and (first != last or kind == CHAIN_CLOSED)
        }

    async def ends(self) -> Sequence[ChainEnd]:
        """Return the last record of each chain.

        Raises:
            ChainUnreadable: the last row of a chain is no record.
        """
        columns, found = audit_events.c, _writers()
        asked = select(*_RAW.values()).join(
            found,
            (columns.writer == found.c.writer) & (columns.sequence == _place(func.max, found)),
        )
        async with self.database.read(patient=True) as reading:
            rows = (await reading.execute(asked)).all()
        return [_end_of(row) for row in rows]


def _writers() -> CTE:
    """Return the names of all writers, and a null behind them.

    One look into the primary key finds each: how many records there are does not count.
    """
    writer = audit_events.c.writer
    found = select(func.min(writer).label("writer")).cte("writers", recursive=True)
    following = select(func.min(writer)).where(writer > found.c.writer).correlate(found)
    return found.union_all(select(following.scalar_subquery()).where(found.c.writer.is_not(None)))


def _place(which: Callable[[Any], Any], found: CTE) -> ScalarSelect[Any]:
    """Return the first or last sequence of each writer's chain."""
    there = audit_events.alias()
    return (
        select(which(there.c.sequence))
        .where(there.c.writer == found.c.writer)
        .correlate(found)
        .scalar_subquery()
    )


def _end_of(row: Any) -> ChainEnd:
    record = _record_of(row)
    if record is None or record.sequence < 1 or len(record.hash) != _HASH_BYTES:
        raise ChainUnreadable(_name_of(row.writer))
    return ChainEnd(writer=record.writer, length=record.sequence, head=record.hash)


def _name_of(writer: str | bytes) -> str:
    """Return a name; of one that SQLite keeps as bytes, or in no encoding, what can be read."""
    return writer if isinstance(writer, str) else writer.decode(errors="replace")


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
