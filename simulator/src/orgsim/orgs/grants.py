"""Grants: what a user let an app do, with its refresh token and the tokens that are used up.

The rules of rotation, lifetime and the five approvals are in `surfaces.oauth.rules`; this book
keeps what they decide about.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from orgsim.keyring import TokenHashes
from orgsim.orgs.book import Book
from orgsim.orgs.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One approval of one user for one app.

    `refresh_hash` is None where `refresh_token` was not granted. `rotated` holds the hashes of
    tokens that were used up, oldest first.
    """

    grant_id: str
    org_id: str
    user_id: str
    consumer_key: str
    scopes: frozenset[str]
    created_at: datetime
    last_used_at: datetime
    refresh_hash: str | None
    rotated: tuple[str, ...] = ()
    rotated_at: datetime | None = None


class GrantBook:
    """All grants in force, found by id or by any refresh token that ever belonged to them."""

    def __init__(self, *, store: Store, hashes: TokenHashes) -> None:
        self._book = Book("grant", Grant, key=lambda grant: grant.grant_id, store=store)
        self._hashes = hashes
        self._by_hash: dict[str, str] = {}
        for grant in self._book:
            self._index(grant)

    def __len__(self) -> int:
        return len(self._book)

    def _index(self, grant: Grant) -> None:
        for value in (*grant.rotated, grant.refresh_hash):
            if value is not None:
                self._by_hash[value] = grant.grant_id

    def get(self, grant_id: str) -> Grant | None:
        """Find a grant by its ID."""
        return self._book.get(grant_id)

    def all(self) -> list[Grant]:
        """Return all grants, oldest first."""
        return sorted(self._book, key=lambda grant: grant.created_at)

    def of(self, *, org_id: str, user_id: str, consumer_key: str) -> list[Grant]:
        """Return the approvals of one user for one app, oldest first."""
        wanted = (org_id, user_id, consumer_key)
        held = [g for g in self._book if (g.org_id, g.user_id, g.consumer_key) == wanted]
        return sorted(held, key=lambda grant: grant.created_at)

    def presented(self, refresh_token: str) -> tuple[Grant, bool] | None:
        """Find the grant of a refresh token, and whether it is the one in force."""
        value = self._hashes.lookup(refresh_token)
        grant = self._book.get(self._by_hash.get(value, ""))
        return None if grant is None else (grant, grant.refresh_hash == value)

    def add(self, grant: Grant, *, refresh_token: str | None) -> Grant:
        """Keep a new grant."""
        value = None if refresh_token is None else self._hashes.lookup(refresh_token)
        kept = self._book.put(replace(grant, refresh_hash=value))
        self._index(kept)
        return kept

    def rotate(self, grant: Grant, *, refresh_token: str, now: datetime) -> Grant:
        """Put a new refresh token in force; the earlier one is used up."""
        used = () if grant.refresh_hash is None else (grant.refresh_hash,)
        kept = self._book.put(
            replace(
                grant,
                refresh_hash=self._hashes.lookup(refresh_token),
                rotated=grant.rotated + used,
                rotated_at=now,
                last_used_at=now,
            )
        )
        self._index(kept)
        return kept

    def touch(self, grant: Grant, *, now: datetime) -> Grant:
        """Note that the grant was used."""
        return self._book.put(replace(grant, last_used_at=now))

    def remove(self, grant_id: str) -> None:
        """Forget a grant with all its tokens."""
        grant = self._book.get(grant_id)
        if grant is None:
            return
        for value in (*grant.rotated, grant.refresh_hash):
            if value is not None:
                self._by_hash.pop(value, None)
        self._book.remove(grant_id)
