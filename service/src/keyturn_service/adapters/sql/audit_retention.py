"""Marks of what retention removed from the audit, and whose turn it is to look after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.leases import clock_of
from keyturn_service.adapters.sql.tables import audit_events, audit_trims, audit_turns
from keyturn_service.adapters.sql.types import from_micros
from keyturn_service.domain.audit import CHAIN_START
from keyturn_service.domain.retention import SignedMark, TrimMark
from keyturn_service.ports import Turn

# Not by the columns' types, as SQLite keeps anything anywhere.
_RAW: Final = {
    column.name: type_coerce(column, NullType()).label(column.name) for column in audit_trims.c
}


class _SeenOtherwise(Exception):
    """The chain does not stand as the caller has seen it: the transaction is undone."""


@dataclass(frozen=True, slots=True)
class SqlTrimMarks:
    """`ports.TrimMarks`."""

    database: Database

    async def all(self) -> Sequence[SignedMark]:
        """Return all marks."""
        async with self.database.read() as reading:
            return [_mark_of(row) for row in (await reading.execute(select(*_RAW.values()))).all()]

    async def get(self, writer: str) -> SignedMark | None:
        """Return the mark of one chain."""
        asked = select(*_RAW.values()).where(audit_trims.c.writer == writer)
        async with self.database.read() as reading:
            row = (await reading.execute(asked)).first()
        return None if row is None else _mark_of(row)

    async def trim(self, signed: SignedMark, *, since: int) -> bool:
        """Remove records and keep the mark, in one transaction."""
        mark, events = signed.mark, audit_events.c
        removing = delete(audit_events).where(
            events.writer == mark.writer, events.sequence > since, events.sequence <= mark.sequence
        )
        try:
            async with self.database.write(patient=True) as writing:
                # The mark first: of two who trim at the same time, the second waits here.
                kept = await self._keep(writing, signed, since=since)
                removed = await writing.execute(removing)
                _see_done(kept and removed.rowcount == mark.sequence - since)
        except _SeenOtherwise:
            return False
        return True

    async def forget(self, writers: Sequence[str], signed: SignedMark) -> None:
        """Remove the marks of chains that are gone, and keep the mark that says so."""
        async with self.database.write(patient=True) as writing:
            await self._keep(writing, signed, since=signed.mark.sequence)
            await writing.execute(delete(audit_trims).where(audit_trims.c.writer.in_(writers)))

    async def _keep(self, writing: AsyncConnection, signed: SignedMark, *, since: int) -> bool:
        """Keep a mark in place of the one of that sequence, or of none."""
        mark = signed.mark
        dialect = sqlite if self.database.is_sqlite else postgresql
        said = {
            "sequence": mark.sequence,
            "head": mark.head,
            "whole": mark.whole,
            "at": mark.at,
            "signature": signed.signature,
        }
        keeping = dialect.insert(audit_trims).values(writer=mark.writer, **said)
        kept = await writing.execute(
            keeping.on_conflict_do_update(
                index_elements=[audit_trims.c.writer],
                set_=said,
                where=audit_trims.c.sequence == since,
            ).returning(audit_trims.c.writer)
        )
        return kept.scalar() is not None


@dataclass(frozen=True, slots=True)
class SqlAuditTurns:
    """`ports.AuditTurns`."""

    database: Database

    async def claim(self, name: str, *, ttl: timedelta, most: timedelta) -> bool:
        """Take the turn if it is due."""
        now, due_at = clock_of(self.database), audit_turns.c.due_at
        is_due = (due_at <= now) | (due_at > now + _micros(most))
        asked = select(is_due).where(audit_turns.c.name == name)
        async with self.database.read() as reading:
            if (await reading.execute(asked)).scalar() is False:
                return False  # nothing is due: nothing is written
        dialect = sqlite if self.database.is_sqlite else postgresql
        until = now + _micros(ttl)
        taking = dialect.insert(audit_turns).values(name=name, due_at=until)
        async with self.database.write() as writing:
            taken = await writing.execute(
                taking.on_conflict_do_update(
                    index_elements=[audit_turns.c.name],
                    set_={"due_at": until},
                    where=is_due,
                ).returning(audit_turns.c.name)
            )
            return taken.scalar() is not None

    async def succeeded(self, name: str, *, at: datetime, pause: timedelta) -> None:
        """Say that it was done."""
        await self._say(name, pause, succeeded_at=at, problem=None)

    async def failed(self, name: str, problem: str, *, pause: timedelta) -> datetime | None:
        """Say what it failed on."""
        return await self._say(name, pause, problem=problem)

    async def all(self) -> Sequence[Turn]:
        """Return how each went."""
        async with self.database.read() as reading:
            rows = (await reading.execute(select(audit_turns).order_by(audit_turns.c.name))).all()
        return [
            Turn(name=row.name, succeeded_at=row.succeeded_at, problem=row.problem) for row in rows
        ]

    async def _say(self, name: str, pause: timedelta, **said: Any) -> datetime | None:
        due_at = clock_of(self.database) + _micros(pause)
        saying = update(audit_turns).where(audit_turns.c.name == name)
        async with self.database.write() as writing:
            told = await writing.execute(
                saying.values(due_at=due_at, **said).returning(audit_turns.c.succeeded_at)
            )
            succeeded_at: datetime | None = told.scalar()
        return succeeded_at


def _see_done(done: bool) -> None:  # noqa: FBT001 - the only thing it is told
    if not done:
        raise _SeenOtherwise


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _mark_of(row: Any) -> SignedMark:
    """Return a row as a mark; where it is none, as one that nobody signed."""
    kinds = (str, int, bytes, int, int, bytes)
    try:
        at = from_micros(row.at)
    except (TypeError, OverflowError):
        at = None
    if at is None or not all(map(isinstance, row, kinds)):
        nothing = TrimMark(
            writer=str(row.writer), sequence=0, head=CHAIN_START, whole=False, at=from_micros(0)
        )
        return SignedMark(mark=nothing, signature=b"")
    mark = TrimMark(
        writer=row.writer, sequence=row.sequence, head=row.head, whole=bool(row.whole), at=at
    )
    return SignedMark(mark=mark, signature=row.signature)
