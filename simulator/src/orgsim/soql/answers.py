"""Rows of a statement as the records of an answer.

Spec: REST API Developer Guide, "Execute a SOQL Query".
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from orgsim.data.fields import Scalar
from orgsim.data.schema import Schema
from orgsim.data.wire import typed_on_wire
from orgsim.soql.compiler import Compiled, Compiler, Family
from orgsim.soql.errors import QueryFault, QueryRefused
from orgsim.soql.parser import parse

Record = dict[str, Any]


class Queried(Protocol):
    """What a query runs over: an org's records, or rows that were made for it."""

    schema: Schema

    def now(self) -> datetime:
        """Return the world's time."""
        ...

    def select(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[tuple[Any, ...]]:
        """Run what the compiler wrote."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """All records of a query, and how many there are (`COUNT()` has a number only)."""

    total: int
    records: tuple[Record, ...]
    compiled: Compiled


def attributes(kind: str, record_id: str, *, base: str) -> Record:
    """Return what stands first in each record; `base` is such as `/services/data/v68.0`."""
    return {"type": kind, "url": f"{base}/sobjects/{kind}/{record_id}"}


def run_query(data: Queried, text: str, *, base: str, include_deleted: bool = False) -> Answered:
    """Answer a query.

    Raises:
        QueryRefused: it is no SOQL, or this org cannot answer it.
    """
    runner = _Runner(data, base=base, include_deleted=include_deleted)
    try:
        return runner.run(text)
    except QueryFault as fault:
        raise fault.printed(text) from fault
    except (sqlite3.OperationalError, OverflowError) as error:
        raise QueryRefused("QUERY_TOO_COMPLICATED", "Query is too complicated") from error


class _Runner:
    """Runs one query and its subqueries."""

    def __init__(self, data: Queried, *, base: str, include_deleted: bool) -> None:
        self._data = data
        self._base = base
        self._compiler = Compiler(data.schema, now=data.now(), include_deleted=include_deleted)

    def run(self, text: str) -> Answered:
        query = parse(text)
        compiled = self._compiler.compile(query)
        rows = self._data.select(compiled.sql, compiled.parameters)
        if query.counts_rows:
            return Answered(total=int(rows[0][0]), records=(), compiled=compiled)
        records = tuple(self._record(compiled, row) for row in rows)
        return Answered(total=len(records), records=records, compiled=compiled)

    def _record(self, compiled: Compiled, row: tuple[Any, ...]) -> Record:
        if compiled.grouped:
            record: Record = {"attributes": {"type": "AggregateResult"}}
            values = row
        else:
            record = {"attributes": attributes(compiled.kind.name, row[0], base=self._base)}
            values = row[1 + len(compiled.parents) :]
        ids = dict(zip((parent.path for parent in compiled.parents), row[1:], strict=False))
        for output, value in zip(compiled.outputs, values, strict=True):
            target = self._inside(record, compiled, output.path, ids)
            if target is not None:
                target[output.name] = typed_on_wire(output.type, value)
        for children in compiled.children:
            family = Family(field=children.relation.field.name, parent_id=row[0])
            found = self._compiler.compile_from(children.relation.child, children.query, family)
            record[children.name] = self._children(found)
        return record

    def _children(self, compiled: Compiled) -> Record | None:
        rows = self._data.select(compiled.sql, compiled.parameters)
        if not rows:
            return None
        records = [self._record(compiled, row) for row in rows]
        return {"totalSize": len(records), "done": True, "records": records}

    def _inside(
        self,
        record: Record,
        compiled: Compiled,
        path: tuple[str, ...],
        ids: dict[tuple[str, ...], str | None],
    ) -> Record | None:
        """Return the nested object of a parent; None where the lookup is empty."""
        kinds = {parent.path: parent.kind for parent in compiled.parents}
        for depth in range(1, len(path) + 1):
            name, reached = path[depth - 1], path[:depth]
            record_id = ids.get(reached)
            if record_id is None:
                record[name] = None
                return None
            if record.get(name) is None:
                record[name] = {"attributes": self._parent(kinds[reached].name, record_id)}
            record = record[name]
        return record

    def _parent(self, kind: str, record_id: str) -> Record:
        """Return a parent's attributes; what only shows a `Name` is at its own kind's address."""
        own = self._data.schema.by_prefix(record_id)
        actual = kind if own is None else own.name
        return {"type": kind, "url": f"{self._base}/sobjects/{actual}/{record_id}"}
