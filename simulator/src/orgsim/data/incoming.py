"""One value of a save, from JSON to what is stored.

Spec: SOAP API Developer Guide, "Field Types"; REST API Developer Guide, "Valid Date and DateTime
Formats".
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from orgsim.data import refusals
from orgsim.data.fields import Field, FieldType, Scalar
from orgsim.data.ids import read_id
from orgsim.data.wire import stored_moment

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(
    r"(?P<stem>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)(\.[0-9]{1,9})?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_EMAIL = re.compile(r"[^@\s,;<>\"()]+@[^@\s,;<>\"().]+(\.[^@\s,;<>\"().]+)+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)


def read_date(text: str) -> str | None:
    """Return a day as it is stored; a time behind it is dropped. None: it is no date."""
    if not _DATE.fullmatch(text[:10]) or (len(text) > 10 and not _MOMENT.fullmatch(text)):  # noqa: PLR2004 - length of a date
        return None
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return None


def read_moment(text: str) -> str | None:
    """Return a moment as it is stored; without a zone it is UTC, a day alone its first moment."""
    if _DATE.fullmatch(text):
        text += "T00:00:00Z"
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    zone = (found["zone"] or "Z").replace("Z", "+00:00")
    try:
        return stored_moment(datetime.fromisoformat(found["stem"] + zone).astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _token(value: Any) -> tuple[str, str]:
    """Name a JSON value as Salesforce's parser does."""
    match value:
        case bool():
            return f"VALUE_{str(value).upper()}", str(value).lower()
        case int():
            return "VALUE_NUMBER_INT", str(value)
        case float():
            return "VALUE_NUMBER_FLOAT", str(value)
        case str():
            return "VALUE_STRING", value
        case list():
            return "START_ARRAY", "["
        case _:
            return "START_OBJECT", "{"


def _unreadable(field: Field, value: Any) -> refusals.SaveRefused:
    return refusals.unreadable(field, *_token(value))


def _text(field: Field, value: Any) -> Scalar:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    text = value.rstrip() if field.type == "textarea" else value.strip()
    if not text:
        return None
    if len(text) > field.length > 0:
        raise refusals.too_long(field, text)
    if field.type == "email" and not _EMAIL.fullmatch(text):
        raise refusals.bad_email(field, text)
    if field.restricted:
        return _choice(field, text)
    return text


def _choice(field: Field, text: str) -> str:
    for known in field.picklist:
        if known.casefold() == text.casefold():
            return known
    raise refusals.bad_choice(field, text)


def _boolean(field: Field, value: Any) -> Scalar:
    match value:
        case bool():
            return value
        case str() if value.lower() in {"true", "false"}:
            return value.lower() == "true"
        case _:
            raise _unreadable(field, value)


def _number(field: Field, value: Any) -> Scalar:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = json.loads(json.dumps(float(value)))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unreadable(field, value)
    if abs(value) >= 10 ** (field.precision - field.scale):
        raise refusals.out_of_range(field, value)
    if field.type != "int":
        return round(float(value), field.scale)
    if value != int(value):
        raise _unreadable(field, value)
    return int(value)


def _day(field: Field, value: Any) -> Scalar:
    day = read_date(value) if isinstance(value, str) else None
    if day is None:
        raise _unreadable(field, value)
    return day


def _moment(field: Field, value: Any) -> Scalar:
    moment = read_moment(value) if isinstance(value, str) else None
    if moment is None:
        raise _unreadable(field, value)
    return moment


def _reference(field: Field, value: Any) -> Scalar:
    if not isinstance(value, str):
        raise _unreadable(field, value)
    if not value.strip():
        return None
    record_id = read_id(value.strip())
    if record_id is None:
        raise refusals.wrong_id(field, value)
    return record_id


_READERS: dict[FieldType, Callable[[Field, Any], Scalar]] = {
    "boolean": _boolean,
    "int": _number,
    "double": _number,
    "currency": _number,
    "percent": _number,
    "date": _day,
    "datetime": _moment,
    "reference": _reference,
    "id": _reference,
}


def read_value(field: Field, value: Any) -> Scalar:
    """Return a field's value as it is stored.

    Raises:
        SaveRefused: the value is of another type, too long, or none the field may have.
    """
    if value is None or value == "":
        return field.default if field.type == "boolean" else None
    return _READERS.get(field.type, _text)(field, value)
