"""The audit trail: appended in groups, durable before anybody goes on, read in pages."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import func, insert, select, tuple_

from keyturn_service.adapters.spool.last_mark import Mark
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.hot_reads import CONNECTION_SAID, KEY_SAID
from keyturn_service.adapters.sql.lines import PostgresLine
from keyturn_service.adapters.sql.tables import audit_events
from keyturn_service.adapters.sql.types import as_of, from_micros, to_micros, written_document
from keyturn_service.domain.audit import (
    CHAIN_CLOSED,
    CHAIN_START,
    AuditEvent,
    AuditRecord,
    chained,
)
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import (
    AuditUnavailable,
    Basis,
    Clock,
    CursorUnknown,
    Page,
    StoreUnavailable,
)

_AT_ONCE: Final = 500
_ALWAYS: Final = 8  # events that a group takes before it leaves some for the next one
_LONG: Final = 1.0  # seconds that a write takes which is held up
_PATIENCE: Final = 0.01  # seconds that an event waits which nobody waits for
_FAR: Final = 2**56  # beyond every moment and length; still a date
_COLUMNS: Final = (
    ("workspace_id", "text"),
    ("connection_id", "text"),
    ("type", "text"),
    ("actor", "text"),
    ("at", "bigint"),
    ("detail", "text"),
    ("previous", "bytea"),
    ("hash", "bytea"),
)
_CONSTANTS: Final = (("writer", "text"), ("before", "bigint"))
_BASIS: Final = (("key_said", "text"), ("said", "text"))
_NAMES: Final = ", ".join(name for name, _ in _COLUMNS)
_INSERT: Final = (
    "WITH asked AS (SELECT * FROM {asked}),"  # noqa: S608 - of names that stand above
    f" written AS (INSERT INTO audit_events (writer, sequence, {_NAMES})"
    f" SELECT {{writer}}, {{before}} + n, {_NAMES} FROM asked)"
    " SELECT {before} + n FROM asked"
    " LEFT JOIN api_keys k ON k.id = asked.actor"
    " LEFT JOIN connections c ON c.id = asked.connection_id"
    " LEFT JOIN token_sets t ON t.connection_id = asked.connection_id"
    f" WHERE asked.said IS NOT NULL AND ({KEY_SAID} IS DISTINCT FROM asked.key_said"
    f" OR {CONNECTION_SAID} IS DISTINCT FROM asked.said)"
)
"""Write records, and return the sequences of those whose basis does not stand any more."""
_log = structlog.get_logger()


_Asked = tuple[AuditEvent, Basis | None, "asyncio.Future[bool]"]


class SqlAuditLog:
    """`ports.AuditLog`: one chain for this run, written by one group after the other."""

    def __init__(self, database: Database, writer: str, clock: Clock) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._sequence = 0
        self._head = CHAIN_START
        self._written: Mark | None = None  # what was last known to be durable
        self._sure = True  # whether sequence and head are what the database knows
        self._exchanged = 0  # `database.exchanged` when that was looked up
        self._loop: asyncio.AbstractEventLoop | None = None  # asking for it is a system call
        self._waiting: list[_Asked] = []
        self._pressing = False  # whether somebody waits for what waits
        self._patience: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._line = (
            None
            if database.is_sqlite
            else PostgresLine(database, _INSERT, (*_COLUMNS, *_BASIS), _CONSTANTS)
        )

    async def open(self) -> None:
        """Open the chain.

        Raises:
            AuditUnavailable: the record could not be written.
        """
        await self.record(self._own("chain.opened", {}))

    async def close(self) -> None:
        """Close the chain; what is said to it afterwards would not fit."""
        await self.record(self._own(CHAIN_CLOSED, {"length": self._sequence + 1}))

    @property
    def mark(self) -> Mark | None:
        """The latest record that is known to be durable."""
        return self._written

    async def rejoin(self) -> int:
        """Go on where the chain ends in the database, which was exchanged; return what is lost."""
        before = 0 if self._written is None else self._written.sequence
        async with self._database.read() as reading:
            asked = select(func.max(audit_events.c.sequence)).where(
                audit_events.c.writer == self._writer
            )
            there = (await reading.execute(asked)).scalar() or 0
        self._written = None
        return max(0, before - there)

    async def record(self, event: AuditEvent, *, urgent: bool = True) -> None:
        """Return once the event is durable.

        Raises:
            AuditUnavailable: it could not be written.
        """
        await self._durable(event, None, urgent=urgent)

    async def record_on(self, event: AuditEvent, basis: Basis) -> bool:
        """Return once the event is durable: whether its basis stood as it was recorded.

        Raises:
            AuditUnavailable: it could not be written.
        """
        return await self._durable(event, basis, urgent=True)

    def _durable(
        self, event: AuditEvent, basis: Basis | None, *, urgent: bool
    ) -> asyncio.Future[bool]:
        """Return what is set once the event is written; that goes on whoever waits for it."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = self._loop.create_future()
        self._waiting.append((event, basis, future))
        if urgent:
            self._press()
        elif self._patience is None:
            self._patience = self._loop.call_later(_PATIENCE, self._press)
        return future

    def _press(self) -> None:
        """Have all that waits written now."""
        self._pressing = True
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._pressing and self._waiting:
                # Not all that wait: the next group is to fill while this one is on its way.
                most = min(_AT_ONCE, _ALWAYS + len(self._waiting) // 4)
                group, self._waiting = self._waiting[:most], self._waiting[most:]
                self._pressing = bool(self._waiting)
                await self._write(group)
        finally:
            self._task = None

    async def _write(self, group: Sequence[_Asked]) -> None:
        began = self._clock.monotonic()
        try:
            if self._exchanged != self._database.exchanged:
                self._exchanged, self._sure = self._database.exchanged, False
            if not self._sure:
                await self._look_again()
            records, sequence, head = [], self._sequence, self._head
            for event, _, _ in group:
                sequence += 1
                record = chained(event, writer=self._writer, sequence=sequence, previous=head)
                records.append(record)
                head = record.hash
            self._sure = False
            outdated = await self._append(records, [basis for _, basis, _ in group])
            self._see_that_it_fits()
        except Exception as error:  # noqa: BLE001 - whatever it was: nobody goes on, and nobody waits
            if self._clock.monotonic() - began > _LONG:  # who waited all the time is told as well
                group, self._waiting = [*group, *self._waiting], []
            _log.error("audit_not_written", error=type(error).__name__, count=len(group))
            for future in (one for _, _, one in group if not one.done()):
                future.set_exception(AuditUnavailable())
            return
        self._sequence, self._head, self._sure = sequence, head, True
        self._written = Mark(self._writer, sequence, head)
        for record, (_, basis, future) in zip(records, group, strict=True):
            if not future.done():
                future.set_result(basis is not None and record.sequence not in outdated)

    async def _append(
        self, records: Sequence[AuditRecord], bases: Sequence[Basis | None]
    ) -> Container[int]:
        """Write records in one transaction; return the sequences whose basis does not stand."""
        self._see_that_it_fits()
        if self._line is None:
            async with self._database.write() as writing:
                self._see_that_it_fits()
                await writing.execute(insert(audit_events), [_values(one) for one in records])
            return frozenset(one.sequence for one in records)  # nothing is remembered there
        both = zip(records, bases, strict=True)
        outdated = await self._line.rows(
            [(*_row(one), *_told(basis)) for one, basis in both],
            self._writer,
            records[0].sequence - 1,
        )
        return [row[0] for row in outdated]

    def _see_that_it_fits(self) -> None:
        """See that the database is the one whose end of the chain is known.

        Raises:
            StoreUnavailable: it was exchanged; what was written meanwhile is where it was.
        """
        if self._exchanged != self._database.exchanged:
            raise StoreUnavailable("another database")

    async def _look_again(self) -> None:
        """Find the end of the chain, after a write whose outcome is not known."""
        asked = (
            select(audit_events.c.sequence, audit_events.c.hash)
            .where(audit_events.c.writer == self._writer)
            .order_by(audit_events.c.sequence.desc())
            .limit(1)
        )
        async with self._database.read() as reading:
            row = (await reading.execute(asked)).first()
        self._sequence, self._head = (0, CHAIN_START) if row is None else (row.sequence, row.hash)
        self._sure = True

    def _own(self, type_: str, detail: Mapping[str, int]) -> AuditEvent:
        return AuditEvent(
            type=type_, at=self._clock.now(), workspace_id=None, actor="system", detail=detail
        )


@dataclass(frozen=True, slots=True)
class SqlAuditTrail:
    """`ports.AuditTrail`."""

    database: Database

    async def list(
        self,
        workspace_id: WorkspaceId,
        *,
        connection_id: ConnectionId | None,
        type: str | None,
        since: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> Page[AuditRecord]:
        """Return events of a workspace in order of time.

        Raises:
            CursorUnknown: the cursor is not one of ours.
        """
        columns = audit_events.c
        order = (columns.at, columns.writer, columns.sequence)
        asked = select(audit_events).where(columns.workspace_id == workspace_id)
        if connection_id is not None:
            asked = asked.where(columns.connection_id == connection_id)
        if type is not None:
            asked = asked.where(columns.type == type)
        if since is not None:
            asked = asked.where(columns.at >= since)
        if cursor is not None:
            asked = asked.where(tuple_(*order) > as_of(order, _read_cursor(cursor)))
        async with self.database.read() as reading:
            rows = (await reading.execute(asked.order_by(*order).limit(limit + 1))).all()
        records = [_record_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(items=records, next_cursor=_cursor(records[-1]) if more else None)

    async def chain(self, writer: str) -> Sequence[AuditRecord]:
        """Return all that one writer recorded, in order."""
        asked = (
            select(audit_events)
            .where(audit_events.c.writer == writer)
            .order_by(audit_events.c.sequence)
        )
        async with self.database.read(patient=True) as reading:
            return [_record_of(row) for row in (await reading.execute(asked)).all()]


def _values(record: AuditRecord) -> dict[str, Any]:
    return {
        "writer": record.writer,
        "sequence": record.sequence,
        "workspace_id": record.event.workspace_id,
        "connection_id": record.event.connection_id,
        "type": record.event.type,
        "actor": record.event.actor,
        "at": record.event.at,
        "detail": dict(record.event.detail),
        "previous": record.previous,
        "hash": record.hash,
    }


def _told(basis: Basis | None) -> tuple[str | None, ...]:
    """Return a basis as the statement takes it."""
    if basis is None:
        return None, None
    return basis.api_key, basis.connection


def _row(record: AuditRecord) -> tuple[Any, ...]:
    """Return what `_COLUMNS` keep: `_values` as PostgreSQL takes it."""
    event = record.event
    return (
        event.workspace_id,
        event.connection_id,
        event.type,
        event.actor,
        to_micros(event.at),
        written_document(dict(event.detail)),
        record.previous,
        record.hash,
    )


def _record_of(row: Any) -> AuditRecord:
    return AuditRecord(
        writer=row.writer,
        sequence=row.sequence,
        event=AuditEvent(
            type=row.type,
            at=row.at,
            workspace_id=row.workspace_id,
            actor=row.actor,
            connection_id=row.connection_id,
            detail=row.detail,
        ),
        previous=row.previous,
        hash=row.hash,
    )


def _cursor(last: AuditRecord) -> str:
    text = json.dumps([to_micros(last.event.at), last.writer, last.sequence])
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> tuple[datetime, str, int]:
    """Return where the next page starts.

    Raises:
        CursorUnknown: the cursor is not one of ours.
    """
    try:
        said = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        said = None
    match said:
        case [int(micros), str(writer), int(sequence)] if (
            0 <= micros < _FAR and 0 <= sequence < _FAR and writer.isascii() and "\0" not in writer
        ):
            return from_micros(micros), writer, sequence
        case _:
            raise CursorUnknown("not a cursor of ours")
