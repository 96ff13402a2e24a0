"""The journal: one entry for each HTTP request, in order of arrival, without secrets."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

_MOST = 200_000


@dataclass(slots=True, kw_only=True)
class Entry:
    """What is known of one request; `status` stays None where no answer left."""

    n: int
    at: datetime
    host: str
    method: str
    path: str
    org_id: str | None = None
    grant_type: str | None = None
    token_ref: str | None = None
    status: int | None = None
    error: str | None = None
    detail: str | None = None
    fault: str | None = None
    user_agent: str | None = None


class Journal:
    """All requests of a world; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_MOST)
        self._next = 1

    @property
    def next(self) -> int:
        """The number that the next request will have."""
        return self._next

    def open(
        self, *, at: datetime, host: str, method: str, path: str, user_agent: str | None
    ) -> Entry:
        """Begin an entry as its request arrives."""
        entry = Entry(
            n=self._next, at=at, host=host, method=method, path=path, user_agent=user_agent
        )
        self._next += 1
        self._entries.append(entry)
        return entry

    def select(
        self,
        *,
        path: str | None = None,
        method: str | None = None,
        org_id: str | None = None,
        grant_type: str | None = None,
        since: int = 1,
        limit: int | None = None,
    ) -> list[Entry]:
        """Return the entries that match all that is given, oldest first."""
        wanted = {"path": path, "method": method, "org_id": org_id, "grant_type": grant_type}
        asked = {name: value for name, value in wanted.items() if value is not None}
        found = [
            entry
            for entry in self._entries
            if entry.n >= since
            and all(getattr(entry, name) == value for name, value in asked.items())
        ]
        return found if limit is None else found[:limit]
