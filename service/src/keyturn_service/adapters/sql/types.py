"""Column types: the same on both databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    literal,
    tuple_,
)
from sqlalchemy.engine import Dialect

_log = structlog.get_logger()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the moment, in UTC."""
    return _EPOCH + micros * _MICROSECOND


_encoder: Final = msgspec.json.Encoder()


def written_document(value: Any) -> str:
    """Return JSON as it is kept."""
    return _encoder.encode(value).decode()


class Moment(TypeDecorator[datetime]):
    """A moment as microseconds since 1970: ordered and exact on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return what is kept."""
        del dialect
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return what was kept."""
        del dialect
        return None if value is None else from_micros(value)


class AnyMoment(Moment):
    """A moment that keeps nobody from reading its row: what is none is the beginning of 1970.

    Somebody who writes the database may write a number that is no moment, or on SQLite a text.
    """

    cache_ok = True

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return what was kept."""
        try:
            return super().process_result_value(value, dialect)
        except (ArithmeticError, TypeError, ValueError) as error:
            _log.error("moment_not_read", error=type(error).__name__)
            return _EPOCH


class Duration(TypeDecorator[timedelta]):
    """A length of time in microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:
        """Return what is kept."""
        del dialect
        return None if value is None else value // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:
        """Return what was kept."""
        del dialect
        return None if value is None else value * _MICROSECOND


class Document(TypeDecorator[Any]):
    """JSON as text; nothing in it is searched by."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Return what is kept."""
        del dialect
        return None if value is None else written_document(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Return what was kept."""
        del dialect
        return None if value is None else json.loads(value)


def as_of(columns: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[Any]:
    """Return values as a row that compares with these columns, each kept as its column is."""
    kept = (literal(value, column.type) for column, value in zip(columns, values, strict=True))
    return tuple_(*kept)


Id = String(64)
Sealed = LargeBinary
Hash = LargeBinary(32)
