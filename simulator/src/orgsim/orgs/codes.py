"""Authorization codes: short-lived, for one use, bound to everything they were issued for."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orgsim.keyring import TokenHashes
from orgsim.orgs.book import Book
from orgsim.orgs.store import Store

LIFETIME = timedelta(minutes=15)  # Salesforce Help, "OAuth 2.0 Web Server Flow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One authorization code; `grant_id` is what came of it."""

    code_hash: str
    org_id: str
    user_id: str
    consumer_key: str
    redirect_uri: str
    scopes: frozenset[str]
    code_challenge: str | None
    nonce: str | None
    issued_at: datetime
    used: bool = False
    grant_id: str | None = None


class CodeBook:
    """Codes that were issued; used ones stay until they would have expired."""

    def __init__(self, *, store: Store, hashes: TokenHashes) -> None:
        self._book = Book("code", Code, key=lambda code: code.code_hash, store=store)
        self._hashes = hashes

    def add(self, code: Code, *, text: str) -> Code:
        """Keep a new code and forget those that are long dead."""
        for old in self._book:
            if old.issued_at + 2 * LIFETIME < code.issued_at:
                self._book.remove(old.code_hash)
        return self._book.put(replace(code, code_hash=self._hashes.lookup(text)))

    def find(self, text: str) -> Code | None:
        """Find a code, used or not."""
        return self._book.get(self._hashes.lookup(text))

    def use(self, code: Code, *, grant_id: str | None) -> None:
        """Mark a code as used."""
        self._book.put(replace(code, used=True, grant_id=grant_id))
