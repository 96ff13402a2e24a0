"""From `syntax.Query` to one SQL statement and what its columns mean.

Spec: SOQL and SOSL Reference, "SOQL SELECT Syntax".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from orgsim.data.fields import FieldType, Scalar
from orgsim.data.rows import quoted
from orgsim.data.schema import ChildRelationship, ObjectType, Schema
from orgsim.soql import errors
from orgsim.soql.conditions import Conditions
from orgsim.soql.operands import is_aggregate, operand_of
from orgsim.soql.paths import Expression, Parent, Scope, table_numbers
from orgsim.soql.syntax import FieldGroup, Function, Path, Query, Selected

_MOST_OFFSET = 2_000
_MOST_WITH_ALL_FIELDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One value of each row: where it stands in the record, and of what type it is."""

    path: tuple[str, ...]
    name: str
    type: FieldType
    item: Path | Function
    expression: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """A subquery in the SELECT list, and the lookup it goes by."""

    relation: ChildRelationship
    name: str
    query: Query


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A statement. Its columns: the ID (not for groups), each parent's ID, then the outputs."""

    sql: str
    parameters: tuple[Scalar, ...]
    kind: ObjectType
    outputs: tuple[Output, ...] = ()
    parents: tuple[Parent, ...] = ()
    children: tuple[Children, ...] = ()
    grouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What a child subquery is tied to: the lookup's field and the parent's ID."""

    field: str
    parent_id: str


class Compiler:
    """Compiles queries against one org's schema at one moment."""

    def __init__(self, schema: Schema, *, now: datetime, include_deleted: bool) -> None:
        self._schema = schema
        self._now = now
        self._include_deleted = include_deleted

    def compile(self, query: Query) -> Compiled:
        """Compile a whole statement.

        Raises:
            QueryFault: it names what is not there, or asks for what cannot be.
        """
        kind = self._schema.find(query.source)
        if kind is None or kind.kind == "union":
            raise errors.no_such_object(query.source, at=query.at)
        return self.compile_from(kind, query)

    def compile_from(
        self, kind: ObjectType, query: Query, family: Family | None = None
    ) -> Compiled:
        """Compile a query whose object is known; a subquery is tied to its family."""
        if not kind.queryable:
            message = f"entity type {kind.name} does not support query"
            raise errors.QueryFault("INVALID_TYPE_FOR_OPERATION", message, at=query.at)
        statement = _Statement(self, kind, query, table_numbers())
        return statement.compiled(family)

    def child_of(self, parent: ObjectType, query: Query) -> Children:
        """Find the relationship that a subquery starts from."""
        name = query.source.rsplit(".", 1)[-1]
        relation = self._schema.child(parent, name)
        if relation is None or relation.name is None:
            raise errors.no_such_child(query.source, at=query.at)
        found = Children(relation=relation, name=relation.name, query=query)
        self.compile_from(relation.child, query)
        return found

    def semi_join(
        self, query: Query, operand: Expression, at: int, numbers: Iterator[int]
    ) -> tuple[str, list[Scalar]]:
        """Compile the query behind IN: one column, of IDs of the same object."""
        kind = self._schema.find(query.source)
        if kind is None or not kind.queryable:
            raise errors.no_such_object(query.source, at=query.at)
        statement = _Statement(self, kind, query, numbers)
        return statement.as_ids(operand, at)

    def scope(self, kind: ObjectType, query: Query, numbers: Iterator[int]) -> Scope:
        """Return the names that a query knows."""
        return Scope(kind, schema=self._schema, alias=query.alias, numbers=numbers)

    def conditions(self, scope: Scope, numbers: Iterator[int], *, aggregated: bool) -> Conditions:
        """Return what compiles a query's conditions."""

        def subquery(query: Query, operand: Expression, at: int) -> tuple[str, list[Scalar]]:
            return self.semi_join(query, operand, at, numbers)

        return Conditions(scope, now=self._now, subquery=subquery, aggregated=aggregated)

    def alive(self, scope: Scope, query: Query) -> str | None:
        """Return the condition that leaves out deleted records, where there are any."""
        if self._include_deleted or query.all_rows or scope.kind.field("IsDeleted") is None:
            return None
        return f"{scope.table}.{quoted('IsDeleted')} = 0"


class _Statement:
    """One query on its way to SQL."""

    def __init__(
        self, compiler: Compiler, kind: ObjectType, query: Query, numbers: Iterator[int]
    ) -> None:
        self._compiler = compiler
        self._query = query
        self._numbers = numbers
        self._scope = compiler.scope(kind, query, numbers)
        self._grouped = bool(query.group_by) or any(
            isinstance(selected.item, Function) and is_aggregate(selected.item)
            for selected in query.select
        )

    def compiled(self, family: Family | None) -> Compiled:
        query, scope = self._query, self._scope
        self._check()
        if query.counts_rows:
            body, parameters = self._body(family)
            sql = f"SELECT COUNT(*) FROM (SELECT 1 {body})"  # noqa: S608 - names of the schema, quoted
            return Compiled(sql=sql, parameters=parameters, kind=scope.kind)
        outputs, children = self._selected()
        body, parameters = self._body(family)
        parents = () if self._grouped else scope.parents
        ids = [] if self._grouped else [f"{scope.table}.{quoted('Id')}"]
        ids += [parent.id_sql for parent in parents]
        columns = ", ".join((*ids, *(output.expression.sql for output in outputs)))
        return Compiled(
            sql=f"SELECT {columns} {body}",
            parameters=parameters,
            kind=scope.kind,
            outputs=outputs,
            parents=parents,
            children=children,
            grouped=self._grouped,
        )

    def as_ids(self, operand: Expression, at: int) -> tuple[str, list[Scalar]]:
        match self._query.select:
            case (Selected(item=Path() as path),):
                column = operand_of(path, self._scope, use="filtered")
            case _:
                raise errors.malformed(
                    "semi join sub-selects must select exactly one field", at=self._query.at
                )
        if _points_to(operand) != _points_to(column):
            entity = operand.owner.name if operand.owner else ""
            raise errors.malformed(
                f"The selected field '{column.name}' in the subquery and the left operand field in "
                f"the where expression in the outer query '{entity}' should point to the same "
                "object type",
                at=at,
            )
        body, parameters = self._body(None, more=f"{column.sql} IS NOT NULL")
        return f"SELECT {column.sql} {body}", list(parameters)

    # -- parts ------------------------------------------------------------------------------

    def _check(self) -> None:
        query = self._query
        if query.offset > _MOST_OFFSET:
            raise errors.QueryFault(
                "NUMBER_OUTSIDE_VALID_RANGE",
                f"Maximum SOQL offset allowed is {_MOST_OFFSET}",
                at=query.offset_at,
            )

    def _selected(self) -> tuple[tuple[Output, ...], tuple[Children, ...]]:
        outputs: list[Output] = []
        children: list[Children] = []
        unnamed = 0
        for selected in self._query.select:
            match selected.item:
                case Query() as query:
                    children.append(self._children(query))
                case FieldGroup() as group:
                    outputs += self._group(group)
                case item:
                    output = self._output(item, selected, unnamed)
                    unnamed += output.name == f"expr{unnamed}"
                    outputs.append(output)
        if not self._grouped:
            _check_once(outputs)
        return tuple(outputs), tuple(children)

    def _children(self, query: Query) -> Children:
        """Compile a subquery once, so that what is wrong in it shows even where no row asks."""
        aggregated = query.group_by or any(
            isinstance(inner.item, Function) and is_aggregate(inner.item) for inner in query.select
        )
        if self._grouped or aggregated:
            raise errors.malformed("Only root queries support aggregate expressions", at=query.at)
        return self._compiler.child_of(self._scope.kind, query)

    def _group(self, group: FieldGroup) -> list[Output]:
        limit = self._query.limit
        if group.group != "STANDARD" and (limit is None or limit > _MOST_WITH_ALL_FIELDS):
            raise errors.malformed(
                "The SOQL FIELDS function must have a LIMIT of at most 200", at=group.at
            )
        chosen = []
        for field in self._scope.kind.fields:
            if group.group == "ALL" or field.custom == (group.group == "CUSTOM"):
                path = Path(parts=(field.name,), at=group.at)
                chosen.append(_named(path, self._scope.own(field)))
        return chosen

    def _output(self, item: Path | Function, selected: Selected, unnamed: int) -> Output:
        found = operand_of(item, self._scope, use="selected")
        if not self._grouped:
            if selected.alias is not None:
                raise errors.malformed(
                    "only aggregate expressions use field aliasing", at=selected.at
                )
            return _named(item, found)
        if not is_aggregate(item):
            self._check_grouped(item, found)
        plain = isinstance(item, Path) and found.field is not None
        name = selected.alias or (found.name if plain else f"expr{unnamed}")
        return Output(path=(), name=name, type=found.type, item=item, expression=found)

    def _check_grouped(self, item: Path | Function, found: Expression) -> None:
        groups = [operand_of(g, self._scope, use="grouped").sql for g in self._query.group_by]
        if found.sql not in groups:
            written = item.written if isinstance(item, Path) else item.name
            raise errors.malformed(f"Field must be grouped or aggregated: {written}", at=item.at)

    def _body(
        self, family: Family | None, *, more: str | None = None
    ) -> tuple[str, tuple[Scalar, ...]]:
        """Return everything from FROM on."""
        query, scope = self._query, self._scope
        where = self._compiler.conditions(scope, self._numbers, aggregated=False)
        tests = [test for test in (self._compiler.alive(scope, query), more) if test]
        if family is not None:
            tests.append(f"{scope.table}.{quoted(family.field)} = ?")
            where.parameters.append(family.parent_id)
        if query.where is not None:
            tests.append(where.sql(query.where))
        groups = [operand_of(g, scope, use="grouped").comparable for g in query.group_by]
        having = self._compiler.conditions(scope, self._numbers, aggregated=True)
        kept = "" if query.having is None else f" HAVING {having.sql(query.having)}"
        parts = [
            f" WHERE {' AND '.join(tests)}" if tests else "",
            f" GROUP BY {', '.join(groups)}" if groups else "",
            kept,
            self._order(),
            self._limit(),
        ]
        # The order of evaluation above has reached every parent, so that all joins are known here.
        sql = f"FROM {scope.source}" + "".join(parts)
        return sql, (*where.parameters, *having.parameters)

    def _order(self) -> str:
        terms = []
        for order in self._query.order_by:
            by = operand_of(order.by, self._scope, use="sorted")
            if self._grouped and not is_aggregate(order.by):
                self._check_grouped(order.by, by)
            direction = " DESC" if order.descending else " ASC"
            nulls = "" if order.nulls_first is None else " NULLS LAST"
            terms.append(
                by.comparable + direction + (" NULLS FIRST" if order.nulls_first else nulls)
            )
        if not self._grouped and not self._query.counts_rows:
            terms.append(f"{self._scope.table}.rowid")
        return f" ORDER BY {', '.join(terms)}" if terms else ""

    def _limit(self) -> str:
        query = self._query
        if query.limit is None and not query.offset:
            return ""
        return f" LIMIT {-1 if query.limit is None else query.limit} OFFSET {query.offset}"


def _named(item: Path | Function, found: Expression) -> Output:
    return Output(path=found.path, name=found.name, type=found.type, item=item, expression=found)


def _check_once(outputs: list[Output]) -> None:
    seen = set[tuple[tuple[str, ...], str]]()
    for output in outputs:
        key = (output.path, output.name)
        if key in seen:
            raise errors.QueryFault(
                "INVALID_FIELD", f"duplicate field selected: {output.name}", at=output.item.at
            )
        seen.add(key)


def _points_to(column: Expression) -> tuple[str, ...]:
    """Return which objects the IDs in a column belong to."""
    if column.field is None or column.owner is None:
        return ()
    if column.type == "id":
        return (column.owner.name,)
    return tuple(sorted(column.field.reference_to)) or (column.field.type,)
