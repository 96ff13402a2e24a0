"""From names in a query to columns: which object they belong to, through which lookups.

Spec: SOQL and SOSL Reference, "Understanding Relationship Names, Custom Objects, and Custom
Fields".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from orgsim.data.fields import TEXT_TYPES, Field, FieldType
from orgsim.data.rows import COLLATION, quoted
from orgsim.data.schema import ObjectType, Schema
from orgsim.soql import errors
from orgsim.soql.syntax import Path

_MOST_LEVELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """Something with a value for each row (or group): SQL, its type, and its name in messages."""

    sql: str
    type: FieldType
    name: str
    field: Field | None = None
    owner: ObjectType | None = None
    path: tuple[str, ...] = ()

    @property
    def comparable(self) -> str:
        """The SQL with which it is compared, grouped and sorted."""
        return f"{self.sql} COLLATE {COLLATION}" if self.type in TEXT_TYPES else self.sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """One object that a path went through; `id_sql` is null where the lookup is empty."""

    path: tuple[str, ...]
    kind: ObjectType
    table: str

    @property
    def id_sql(self) -> str:
        """The SQL of its ID."""
        return f"{self.table}.{quoted('Id')}"


class Scope:
    """The object a query starts from, and the parents its paths have reached."""

    def __init__(
        self, kind: ObjectType, *, schema: Schema, alias: str | None, numbers: Iterator[int]
    ) -> None:
        self._schema = schema
        self._alias = None if alias is None else alias.lower()
        self._numbers = numbers
        self._parents: dict[tuple[str, ...], Parent] = {}
        self._joins: list[str] = []
        self.kind = kind
        self.table = f"t{next(numbers)}"

    @property
    def source(self) -> str:
        """The FROM part: the object's table, and each parent's joined to it."""
        return " ".join((f"{quoted(self.kind.name)} AS {self.table}", *self._joins))

    @property
    def parents(self) -> tuple[Parent, ...]:
        """The parents that were reached, the nearer ones first."""
        return tuple(sorted(self._parents.values(), key=lambda parent: len(parent.path)))

    def column(self, path: Path) -> Expression:
        """Find a field.

        Raises:
            QueryFault: no such field or relationship.
        """
        *through, last = self._without_alias(path.parts)
        if len(through) > _MOST_LEVELS:
            raise errors.malformed("SOQL relationships can be at most 5 levels deep", at=path.at)
        kind, table = self.kind, self.table
        walked: tuple[str, ...] = ()
        for name in through:
            parent = self._parent(kind, table, walked, name, at=path.at)
            kind, table, walked = parent.kind, parent.table, parent.path
        field = kind.field(last)
        if field is None:
            raise errors.no_such_column(last, kind.name, at=path.at)
        return self._expression(field, kind=kind, table=table, path=walked)

    def own(self, field: Field) -> Expression:
        """Return a field of the object the query starts from."""
        return self._expression(field, kind=self.kind, table=self.table, path=())

    def _expression(
        self, field: Field, *, kind: ObjectType, table: str, path: tuple[str, ...]
    ) -> Expression:
        return Expression(
            sql=f"{table}.{quoted(field.name)}",
            type=field.type,
            name=field.name,
            field=field,
            owner=kind,
            path=path,
        )

    def _without_alias(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        first = parts[0].lower()
        named = first == self.kind.name.lower() and self.kind.parent(first) is None
        return parts[1:] if len(parts) > 1 and (named or first == self._alias) else parts

    def _parent(
        self, kind: ObjectType, table: str, walked: tuple[str, ...], name: str, *, at: int
    ) -> Parent:
        lookup = kind.parent(name)
        if lookup is None or lookup.relationship is None:
            raise errors.no_such_parent(name, at=at)
        path = (*walked, lookup.relationship)
        known = self._parents.get(path)
        if known is not None:
            return known
        target = "Name" if lookup.polymorphic else lookup.reference_to[0]
        parent = Parent(path=path, kind=self._schema[target], table=f"t{next(self._numbers)}")
        self._joins.append(
            f"LEFT JOIN {quoted(target)} AS {parent.table}"
            f" ON {parent.id_sql} = {table}.{quoted(lookup.name)}"
        )
        self._parents[path] = parent
        return parent


def table_numbers() -> Iterator[int]:
    """Number the tables of one statement and its subqueries."""
    return count()
