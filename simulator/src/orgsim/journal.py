"""The journal: one entry for each HTTP request, in order of arrival, without secrets."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from urllib.parse import unquote

from orgsim.orgs.org import same_org

_MOST = 200_000
_WORD = re.compile(r"[A-Za-z0-9._!=+~%-]+")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.")


def without_secrets(text: str, *, canary: str, reference: Callable[[str], str]) -> str:
    """Put `secret-` and the reference of a word where the word holds the canary or is a JWT."""

    def shown(word: re.Match[str]) -> str:
        plain = unquote(word[0])
        secret = canary.lower() in plain.lower() or _JWT.search(plain) is not None
        return f"secret-{reference(word[0])}" if secret else word[0]

    return _WORD.sub(shown, text)


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
    """All requests of a world; the oldest go when there are too many.

    `begin` lets a fresh world number on, so that who reads by `since` misses nothing.
    """

    def __init__(self, *, begin: int = 1) -> None:
        self._entries: deque[Entry] = deque(maxlen=_MOST)
        self._next = begin

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
        """Return the entries that match all that is given, oldest first; `path` is a glob."""
        found = [
            entry
            for entry in self._entries
            if entry.n >= since
            and (path is None or fnmatchcase(entry.path, path))
            and (method is None or entry.method.upper() == method.upper())
            and (org_id is None or same_org(entry.org_id, org_id))
            and grant_type in (None, entry.grant_type)
        ]
        return found if limit is None else found[:limit]
