"""Tables in SQLite: one for each kind of record, one column for each field."""

# ruff: noqa: S608 - names come from the schema and are quoted; values are always parameters

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from orgsim.data.fields import TEXT_TYPES, Field, Scalar
from orgsim.data.schema import ObjectType, Schema

Row = dict[str, Scalar]
COLLATION = "SALESFORCE"
_TYPES = {
    "boolean": "INTEGER",
    "int": "INTEGER",
    "double": "REAL",
    "currency": "REAL",
    "percent": "REAL",
}
_SETTINGS = "settings"


@lru_cache(maxsize=2048)
def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def compare_text(left: str, right: str) -> int:
    """Compare texts as Salesforce does: without case, whatever the script."""
    first, second = left.casefold(), right.casefold()
    return (first > second) - (first < second)


@lru_cache(maxsize=256)
def _like_pattern(pattern: str) -> re.Pattern[str]:
    r"""Turn a LIKE pattern into an expression: `%` any text, `_` one sign, `\` takes both as is."""
    signs, escaped = [], False
    for sign in pattern:
        if escaped or sign not in "%_\\":
            signs.append(re.escape(sign.casefold()))
            escaped = False
        elif sign == "\\":
            escaped = True
        else:
            signs.append(".*" if sign == "%" else ".")
    return re.compile("".join(signs), re.DOTALL)


def text_is_like(text: str | None, pattern: str) -> bool | None:
    """Tell whether a text matches a LIKE pattern, without case."""
    if text is None:
        return None
    return _like_pattern(pattern).fullmatch(text.casefold()) is not None


class Rows:
    """The tables of one org. Nothing is removed: a deleted record stays, marked."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")  # a killed program loses nothing by it
        self._db.create_collation(COLLATION, compare_text)
        self._db.create_function("text_is_like", 2, text_is_like, deterministic=True)
        self._db.execute(
            f"CREATE TABLE IF NOT EXISTS {_SETTINGS} (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
        )
        self._depth = 0

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # -- tables -----------------------------------------------------------------------------

    def lay_out(self, schema: Schema) -> None:
        """Make the tables that are missing, and the view behind lookups to several kinds."""
        for kind in schema:
            if kind.queryable:
                columns = ", ".join(
                    f"{quoted(field.name)} {_TYPES.get(field.type, 'TEXT')}"
                    for field in kind.fields
                )
                self._db.execute(f"CREATE TABLE IF NOT EXISTS {quoted(kind.name)} ({columns})")
                self._add_columns(kind)
                self._db.execute(
                    f"CREATE UNIQUE INDEX IF NOT EXISTS {quoted('id of ' + kind.name)}"
                    f" ON {quoted(kind.name)} ({quoted('Id')})"
                )
        self._lay_out_unions(schema)

    def _add_columns(self, kind: ObjectType) -> None:
        """Add the columns of fields that a package brought to a table that was there before."""
        there = {row[1].lower() for row in self.select(f"PRAGMA table_info({quoted(kind.name)})")}
        for field in kind.fields:
            if field.name.lower() not in there:
                column = f"{quoted(field.name)} {_TYPES.get(field.type, 'TEXT')}"
                self._db.execute(f"ALTER TABLE {quoted(kind.name)} ADD COLUMN {column}")

    def _lay_out_unions(self, schema: Schema) -> None:
        for union in (kind for kind in schema if kind.kind == "union"):
            parts = [
                "SELECT "
                + ", ".join(_union_column(member, field) for field in union.fields)
                + f" FROM {quoted(member.name)}"
                for member in schema
                if member.queryable and member.name_field is not None
            ]
            self._db.execute(f"DROP VIEW IF EXISTS {quoted(union.name)}")
            self._db.execute(f"CREATE VIEW {quoted(union.name)} AS " + " UNION ALL ".join(parts))

    # -- settings ---------------------------------------------------------------------------

    def setting(self, name: str) -> str | None:
        """Return a kept setting."""
        row = self._db.execute(f"SELECT value FROM {_SETTINGS} WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Keep a setting."""
        self._db.execute(f"INSERT OR REPLACE INTO {_SETTINGS} VALUES (?, ?)", (name, value))

    # -- records ----------------------------------------------------------------------------

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Take back all that was done inside if it ends with an error."""
        self._depth += 1
        name = f"step{self._depth}"
        self._db.execute(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            self._db.execute(f"ROLLBACK TO {name}")
            raise
        finally:
            self._db.execute(f"RELEASE {name}")
            self._depth -= 1

    def count(self, kind: ObjectType) -> int:
        """Count the records of a kind, deleted ones too."""
        return int(self.select(f"SELECT COUNT(*) FROM {quoted(kind.name)}")[0][0])

    def read(self, kind: ObjectType, record_id: str) -> Row | None:
        """Return a record by its ID, also when it is deleted."""
        found = self._rows(kind, f"{quoted('Id')} = ?", record_id)
        return found[0] if found else None

    def live_with(self, kind: ObjectType, field: Field, value: Scalar) -> list[Row]:
        """Return the records that have a value in a field and are not deleted."""
        compared = f" COLLATE {COLLATION}" if field.type in TEXT_TYPES else ""
        alive = f" AND {quoted('IsDeleted')} = 0" if kind.field("IsDeleted") else ""
        return self._rows(kind, f"{quoted(field.name)}{compared} = ?{alive}", value)

    def insert(self, kind: ObjectType, row: Mapping[str, Scalar]) -> None:
        """Add a record."""
        names = ", ".join(map(quoted, row))
        marks = ", ".join("?" * len(row))
        self._db.execute(
            f"INSERT INTO {quoted(kind.name)} ({names}) VALUES ({marks})",
            list(row.values()),
        )

    def change(self, kind: ObjectType, record_id: str, row: Mapping[str, Scalar]) -> None:
        """Write values over those of a record."""
        if row:
            changes = ", ".join(f"{quoted(name)} = ?" for name in row)
            self._db.execute(
                f"UPDATE {quoted(kind.name)} SET {changes} WHERE {quoted('Id')} = ?",
                [*row.values(), record_id],
            )

    def _rows(self, kind: ObjectType, condition: str, value: Scalar) -> list[Row]:
        columns = ", ".join(quoted(field.name) for field in kind.fields)
        found = self.select(
            f"SELECT {columns} FROM {quoted(kind.name)} WHERE {condition} ORDER BY rowid",
            (value,),
        )
        names = [field.name for field in kind.fields]
        return [dict(zip(names, values, strict=True)) for values in found]

    def select(self, sql: str, parameters: Sequence[Scalar] = ()) -> list[tuple[Any, ...]]:
        """Run a query; values go in as parameters, never inside the text."""
        return self._db.execute(sql, parameters).fetchall()


def _union_column(member: ObjectType, field: Field) -> str:
    """Return the column of a union that one kind of record gives."""
    if field.name == "Type":
        return f"'{member.name}' AS {quoted(field.name)}"
    source = member.name_field if field.name_field else member.field(field.name)
    return f"{'NULL' if source is None else quoted(source.name)} AS {quoted(field.name)}"
