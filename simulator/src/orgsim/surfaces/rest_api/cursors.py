"""Results that did not fit into one answer.

Spec: REST API Developer Guide, "Execute a SOQL Query": a locator lives two days.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orgsim.data.ids import make_id

_LIFE = timedelta(days=2)
_MOST_OPEN = 200  # of an org; a real one closes the oldest of a user beyond ten
_POD = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The whole result of a query, as it was when it was asked."""

    locator: str
    user_id: str
    records: tuple[dict[str, Any], ...]
    total: int
    batch: int
    expires_at: datetime


class Cursors:
    """The open cursors of one org."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Cursor] = OrderedDict()
        self._made = 0

    def open(
        self, records: tuple[dict[str, Any], ...], *, batch: int, user_id: str, now: datetime
    ) -> Cursor:
        """Keep a result; the oldest one goes where there are too many."""
        self._made += 1
        cursor = Cursor(
            locator=make_id(prefix="01g", pod=_POD, serial=self._made),
            user_id=user_id,
            records=records,
            total=len(records),
            batch=batch,
            expires_at=now + _LIFE,
        )
        self._open[cursor.locator] = cursor
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return cursor

    def find(self, locator: str, *, user_id: str, now: datetime) -> Cursor | None:
        """Find a cursor of this user that is still open."""
        cursor = self._open.get(locator)
        if cursor is None or cursor.user_id != user_id or cursor.expires_at <= now:
            return None
        return cursor
