"""Claims of rows that are due: they end by the database's own clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement

from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.leases import clock_of

FREE: Final = 0
"""`claimed_until` of a row that nobody is at work on."""


def is_free(
    database: Database, claimed_until: Column[Any], *, ttl: timedelta
) -> ColumnElement[bool]:
    """Tell whether nobody is at work on a row, or whoever was has died.

    No claim is longer than `ttl`: one that is was made before the database's clock was put back,
    or by another database, and holds nobody off.
    """
    now = clock_of(database)
    return (claimed_until <= now) | (claimed_until > now + _micros(ttl))


def claim_end(database: Database, ttl: timedelta) -> ColumnElement[int]:
    """Return the end of a claim that is made now."""
    return clock_of(database) + _micros(ttl)


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
