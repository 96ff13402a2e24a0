"""Access tokens: each is a session of an org, kept by its hash."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orgsim.keyring import TokenHashes
from orgsim.orgs.book import Book
from orgsim.orgs.store import Store

_NOTED_EVERY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One access token.

    `fixed_end` is set for JWT-format tokens, whose life use does not extend.
    """

    token_hash: str
    grant_id: str | None
    org_id: str
    user_id: str
    consumer_key: str
    scopes: frozenset[str]
    created_at: datetime
    last_used_at: datetime
    idle_minutes: int
    fixed_end: datetime | None = None

    @property
    def ends_at(self) -> datetime:
        """The moment from which the token is refused."""
        return self.fixed_end or self.last_used_at + timedelta(minutes=self.idle_minutes)


class SessionBook:
    """All access tokens that were issued and not ended."""

    def __init__(self, *, store: Store, hashes: TokenHashes) -> None:
        self._book = Book("session", Session, key=lambda session: session.token_hash, store=store)
        self._hashes = hashes
        self._kept: dict[str, datetime] = {}
        self._of_grant: dict[str, set[str]] = {}
        for session in self._book:
            self._index(session)

    def __len__(self) -> int:
        return len(self._book)

    def _index(self, session: Session) -> None:
        if session.grant_id is not None:
            self._of_grant.setdefault(session.grant_id, set()).add(session.token_hash)

    def add(self, session: Session, *, access_token: str) -> Session:
        """Keep a new access token."""
        kept = self._book.put(replace(session, token_hash=self._hashes.lookup(access_token)))
        self._index(kept)
        return kept

    def find(self, access_token: str, *, now: datetime) -> Session | None:
        """Find a token that is still alive; a dead one is forgotten."""
        session = self._book.get(self._hashes.lookup(access_token))
        if session is not None and session.ends_at <= now:
            self.end(session)
            return None
        return session

    def extend(self, session: Session, *, now: datetime) -> Session:
        """Note a use, which moves the end of an opaque token.

        The store hears of it once a minute: a restart may make a session end that much sooner.
        """
        changed = replace(session, last_used_at=now)
        last = self._kept.get(session.token_hash, session.created_at)
        if now - last < _NOTED_EVERY:
            return self._book.note(changed)
        self._kept[session.token_hash] = now
        return self._book.put(changed)

    def end(self, session: Session) -> None:
        """End one session."""
        self._book.remove(session.token_hash)
        self._kept.pop(session.token_hash, None)
        if session.grant_id is not None:
            self._of_grant.get(session.grant_id, set()).discard(session.token_hash)

    def end_of_grant(self, grant_id: str) -> None:
        """End every session that came through one grant."""
        for token_hash in list(self._of_grant.pop(grant_id, ())):
            self._book.remove(token_hash)
            self._kept.pop(token_hash, None)

    def end_of_org(self, org_id: str, *, user_id: str | None = None) -> int:
        """End the sessions of an org, or of one user there, and say how many."""
        ended = [
            s
            for s in self._book
            if s.org_id == org_id and (user_id is None or s.user_id == user_id)
        ]
        for session in ended:
            self.end(session)
        return len(ended)
