"""WHERE and HAVING as SQL.

Every literal is a parameter. Every condition is true or false, never null: Salesforce knows two
truth values, and an empty field is unequal to everything but null.

Spec: SOQL and SOSL Reference, "Comparison Operators", "Logical Operators".
"""

from collections.abc import Callable
from datetime import datetime

from orgsim.data.fields import TEXT_TYPES, Scalar
from orgsim.soql import errors
from orgsim.soql.dates import Days
from orgsim.soql.operands import Use, is_aggregate, operand_of
from orgsim.soql.paths import Expression, Scope
from orgsim.soql.syntax import Comparison, Condition, Joined, Not, Query, Value
from orgsim.soql.values import bound, edges

Subquery = Callable[[Query, Expression, int], tuple[str, list[Scalar]]]
"""Compiles the query behind IN, given what it is compared with and where it stands."""

_ORDERING = frozenset({"<", "<=", ">", ">="})


class Conditions:
    """Compiles the conditions of one query."""

    def __init__(
        self, scope: Scope, *, now: datetime, subquery: Subquery, aggregated: bool = False
    ) -> None:
        self._scope = scope
        self._now = now
        self._subquery = subquery
        self._aggregated = aggregated
        self.parameters: list[Scalar] = []

    def sql(self, condition: Condition) -> str:
        """Return a condition as SQL; its values are appended to `parameters`.

        Raises:
            QueryFault: it names what is not there, or compares what cannot be compared.
        """
        match condition:
            case Not(inner=inner):
                return f"NOT {self.sql(inner)}"
            case Joined(word=word, parts=parts):
                return "(" + f" {word} ".join(self.sql(part) for part in parts) + ")"
            case Comparison():
                return f"IFNULL({self._comparison(condition)}, 0)"

    def _comparison(self, said: Comparison) -> str:
        if is_aggregate(said.left) and not self._aggregated:
            raise errors.unexpected_token("(", at=said.left.at)
        use: Use = "selected" if self._aggregated else "filtered"
        operand = operand_of(said.left, self._scope, use=use)
        _check_operator(operand, said)
        match said.right:
            case Query() as query:
                return self._semi_join(operand, said, query)
            case tuple() as values:
                return self._list(operand, values, negative=said.operator == "NOT IN")
            case value:
                return self._single(operand, said, value)

    def _semi_join(self, operand: Expression, said: Comparison, query: Query) -> str:
        sql, parameters = self._subquery(query, operand, said.at)
        self.parameters += parameters
        if said.operator == "NOT IN":
            return f"({operand.sql} NOT IN ({sql}) OR {operand.sql} IS NULL)"
        return f"{operand.sql} IN ({sql})"

    def _list(self, operand: Expression, values: tuple[Value, ...], *, negative: bool) -> str:
        plain: list[Scalar] = []
        ranges, empty = [], False
        for value in values:
            read = bound(operand, value, now=self._now)
            if isinstance(read, Days):
                ranges.append(read)
            elif read is None:
                empty = True
            else:
                plain.append(read)
        self.parameters += plain
        parts = [f"IFNULL({operand.comparable} IN ({', '.join('?' * len(plain))}), 0)"]
        parts += [f"IFNULL({self._within(operand, days)}, 0)" for days in ranges]
        if empty:
            parts.append(f"{operand.sql} IS NULL")
        matched = "(" + " OR ".join(parts) + ")"
        return f"NOT {matched}" if negative else matched

    def _single(self, operand: Expression, said: Comparison, value: Value) -> str:
        read = bound(operand, value, now=self._now, pattern=said.operator == "LIKE")
        if isinstance(read, Days):
            return self._days(operand, said.operator, read)
        if read is None:
            return self._null(operand, said, value)
        self.parameters.append(read)
        match said.operator:
            case "LIKE":
                return f"text_is_like({operand.sql}, ?)"
            case "!=":
                return f"({operand.comparable} != ? OR {operand.sql} IS NULL)"
            case _:
                return f"{operand.comparable} {said.operator} ?"

    def _null(self, operand: Expression, said: Comparison, value: Value) -> str:
        if said.operator in {"=", "!="}:
            return f"{operand.sql} IS {'NOT ' if said.operator == '!=' else ''}NULL"
        if said.operator in _ORDERING:
            return "0"  # nothing is less or more than nothing
        raise errors.wrong_type(operand.name, "string", at=value.at)

    def _within(self, operand: Expression, days: Days) -> str:
        self.parameters += edges(operand, days)
        return f"({operand.sql} >= ? AND {operand.sql} < ?)"

    def _days(self, operand: Expression, operator: str, days: Days) -> str:
        """Compare with days: from the first moment of the first to before the end."""
        first, end = edges(operand, days)
        match operator:
            case "=":
                return self._within(operand, days)
            case "!=":
                return f"(NOT {self._within(operand, days)} OR {operand.sql} IS NULL)"
            case "<" | ">=":
                self.parameters.append(first)
                return f"{operand.sql} {operator} ?"
            case "<=":
                self.parameters.append(end)
                return f"{operand.sql} < ?"
            case _:
                self.parameters.append(end)
                return f"{operand.sql} >= ?"


def _check_operator(operand: Expression, said: Comparison) -> None:
    """Refuse operators that the operand's type does not know."""
    if said.operator in {"INCLUDES", "EXCLUDES"}:
        raise errors.wrong_operator(
            "includes or excludes operator only valid on multipicklist field", at=said.at
        )
    shown = "id" if operand.type in {"id", "reference"} else operand.type
    if said.operator == "LIKE" and operand.type not in TEXT_TYPES:
        raise errors.wrong_operator(f"invalid operator on {shown} field", at=said.at)
    if said.operator in _ORDERING and operand.type == "boolean":
        raise errors.wrong_operator(f"invalid operator on {shown} field", at=said.at)
