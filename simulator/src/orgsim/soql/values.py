"""Literals of a query, made to fit the field they are compared with.

Spec: SOQL and SOSL Reference, "Comparison Operators" and "Date Formats and Date Literals".
"""

from datetime import UTC, date, datetime, time

from orgsim.data.fields import NUMBER_TYPES, TEXT_TYPES, Scalar
from orgsim.data.ids import read_id
from orgsim.data.incoming import read_date, read_moment
from orgsim.data.wire import stored_moment
from orgsim.soql import errors
from orgsim.soql.dates import Days, days_of
from orgsim.soql.paths import Expression
from orgsim.soql.syntax import Value

_EXACT_DIGITS = 15


def wanted_type(operand: Expression) -> str:
    """Name an operand's type as error messages do."""
    if operand.type in TEXT_TYPES:
        return "string"
    if operand.type in {"id", "reference"}:
        return "ID"
    if operand.type in {"currency", "percent"}:
        return "double"
    return "dateTime" if operand.type == "datetime" else operand.type


def _wrong(operand: Expression, value: Value) -> errors.QueryFault:
    return errors.wrong_type(operand.name, wanted_type(operand), at=value.at)


def _id(operand: Expression, value: Value) -> Scalar:
    if value.kind != "string":
        raise _wrong(operand, value)
    if not value.text:
        return None
    record_id = read_id(value.text)
    if record_id is None:
        raise errors.wrong_operator(f"invalid ID field: {value.text}", at=value.at)
    return record_id


def _number(operand: Expression, value: Value) -> Scalar:
    if value.kind != "number":
        raise _wrong(operand, value)
    if "." in value.text or len(value.text) > _EXACT_DIGITS:
        return float(value.text)
    return int(value.text)


def _text(operand: Expression, value: Value, *, pattern: bool) -> Scalar:
    if value.kind != "string":
        raise _wrong(operand, value)
    if pattern:
        return value.text
    return value.text.replace("\\%", "%").replace("\\_", "_") or None


def _midnight(day: date) -> str:
    return stored_moment(datetime.combine(day, time(), tzinfo=UTC))


def _days(operand: Expression, value: Value, *, now: datetime) -> Scalar | Days:
    """Read a day or moment; a date literal becomes the days it means."""
    read = None
    if value.kind == "date_literal":
        try:
            return days_of(value.text, value.count, today=now.astimezone(UTC).date())
        except OverflowError:
            raise errors.malformed(f"Invalid date literal: {value.text}", at=value.at) from None
    if value.kind == "date" and operand.type == "date":
        read = read_date(value.text)
    elif value.kind == "datetime" and operand.type == "datetime":
        read = read_moment(value.text)
    if read is None:
        raise _wrong(operand, value)
    return read


def edges(operand: Expression, days: Days) -> tuple[str, str]:
    """Return first and end of days as an operand's type is stored."""
    if operand.type == "datetime":
        return _midnight(days.first), _midnight(days.end)
    return days.first.isoformat(), days.end.isoformat()


def bound(
    operand: Expression, value: Value, *, now: datetime, pattern: bool = False
) -> Scalar | Days:
    """Return what a literal is bound as; an empty text is null.

    Raises:
        QueryFault: it is not of the operand's type.
    """
    if value.kind == "null":
        return None
    if operand.type in TEXT_TYPES:
        return _text(operand, value, pattern=pattern)
    if operand.type in {"id", "reference"}:
        return _id(operand, value)
    if operand.type in NUMBER_TYPES:
        return _number(operand, value)
    if operand.type == "boolean":
        if value.kind != "boolean":
            raise _wrong(operand, value)
        return value.text == "TRUE"
    return _days(operand, value, now=now)
