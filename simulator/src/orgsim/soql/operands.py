"""Fields and functions of fields, as SQL.

Spec: SOQL and SOSL Reference, "Aggregate Functions", "Date Functions", "toLabel()".
"""

from typing import Literal

from orgsim.data.fields import NUMBER_TYPES, FieldType
from orgsim.soql import errors
from orgsim.soql.parser import AGGREGATES, DATE_FUNCTIONS
from orgsim.soql.paths import Expression, Scope
from orgsim.soql.syntax import Function, Path

Use = Literal["selected", "filtered", "sorted", "grouped"]

_DATE_SQL = {
    "CALENDAR_YEAR": "CAST(strftime('%Y', {0}) AS INTEGER)",
    "CALENDAR_QUARTER": "((CAST(strftime('%m', {0}) AS INTEGER) + 2) / 3)",
    "CALENDAR_MONTH": "CAST(strftime('%m', {0}) AS INTEGER)",
    "DAY_IN_MONTH": "CAST(strftime('%d', {0}) AS INTEGER)",
    "DAY_IN_WEEK": "(CAST(strftime('%w', {0}) AS INTEGER) + 1)",
    "DAY_IN_YEAR": "CAST(strftime('%j', {0}) AS INTEGER)",
    "DAY_ONLY": "date({0})",
    "HOUR_IN_DAY": "CAST(strftime('%H', {0}) AS INTEGER)",
    "WEEK_IN_MONTH": "((CAST(strftime('%d', {0}) AS INTEGER) + 6) / 7)",
    "WEEK_IN_YEAR": "((CAST(strftime('%j', {0}) AS INTEGER) + 6) / 7)",
}
_ONLY_MOMENTS = frozenset({"DAY_ONLY", "HOUR_IN_DAY"})
_SUMS = frozenset({"SUM", "AVG"})


def is_aggregate(item: Path | Function) -> bool:
    """Tell whether something has one value for a group of rows."""
    return isinstance(item, Function) and item.name in AGGREGATES


def operand_of(item: Path | Function, scope: Scope, *, use: Use) -> Expression:
    """Return the SQL of a field or function.

    Raises:
        QueryFault: there is no such field, or it may not be used in this way.
    """
    if isinstance(item, Path):
        found = scope.column(item)
        _check_use(found, use, at=item.at)
        return found
    if item.name in DATE_FUNCTIONS:
        return _date_function(item, scope)
    if item.name in AGGREGATES:
        return _aggregate(item, scope)
    return _inner(item, scope, use=use)


def _check_use(found: Expression, use: Use, *, at: int) -> None:
    field = found.field
    if field is None or use == "selected":
        return
    if not (field.groupable if use == "grouped" else field.filterable):
        code = "MALFORMED_QUERY" if use == "grouped" else "INVALID_FIELD"
        message = f"field '{field.name}' can not be {use} in a query call"
        raise errors.QueryFault(code, message, at=at)


def _inner(item: Function, scope: Scope, *, use: Use) -> Expression:
    if item.argument is None:
        raise errors.unexpected_token(")", at=item.at)
    return operand_of(item.argument, scope, use=use)


def _date_function(item: Function, scope: Scope) -> Expression:
    inner = _inner(item, scope, use="filtered")
    allowed = {"datetime"} if item.name in _ONLY_MOMENTS else {"date", "datetime"}
    if inner.type not in allowed:
        raise errors.malformed(
            f"Invalid function {item.name} on field {inner.name}: it is no date", at=item.at
        )
    pattern = _DATE_SQL[item.name.replace("FISCAL", "CALENDAR")]
    made: FieldType = "date" if item.name == "DAY_ONLY" else "int"
    return Expression(sql=pattern.format(inner.sql), type=made, name=item.name)


def _aggregate(item: Function, scope: Scope) -> Expression:
    if item.argument is None:
        return Expression(sql="COUNT(*)", type="int", name="COUNT")
    if isinstance(item.argument, Function) and item.argument.name in AGGREGATES:
        raise errors.unexpected_token(item.argument.name, at=item.argument.at)
    inner = _inner(item, scope, use="filtered")
    refused = inner.type not in NUMBER_TYPES if item.name in _SUMS else inner.type == "boolean"
    if refused:
        raise errors.malformed(
            f"field {inner.name} does not support aggregate operator {item.name}", at=item.at
        )
    match item.name:
        case "COUNT" | "COUNT_DISTINCT":
            distinct = "DISTINCT " if item.name == "COUNT_DISTINCT" else ""
            return Expression(sql=f"COUNT({distinct}{inner.comparable})", type="int", name="COUNT")
        case "AVG":
            return Expression(sql=f"AVG({inner.sql})", type="double", name="AVG")
        case "SUM":
            places = inner.field.scale if inner.field is not None else 0
            return Expression(sql=f"ROUND(SUM({inner.sql}), {places})", type=inner.type, name="SUM")
        case _:
            sql = f"{item.name}({inner.comparable})"
            return Expression(sql=sql, type=inner.type, name=item.name)
