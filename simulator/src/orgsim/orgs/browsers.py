"""What browsers hold: login sessions, one-time passes between hosts, pending authorizations.

All of it lives in memory: a restart of the simulator logs people out, as a restart of their
browser would.
"""

import hmac
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

_MOST = 5_000
PASS_LIFETIME = timedelta(minutes=1)
LOGIN_LIFETIME = timedelta(hours=2)
PENDING_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserLogin:
    """A person who is logged in at one site; `form_token` guards the forms shown to them."""

    site: str
    org_id: str
    user_id: str
    form_token: str
    at: datetime

    def is_shown(self, token: str) -> bool:
        """Tell, in constant time, whether a form was shown to this login."""
        return hmac.compare_digest(self.form_token.encode(), token.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Carries a login from the login host to the org's own host, once."""

    org_id: str
    user_id: str
    site: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An authorization request that waits for its user."""

    consumer_key: str
    redirect_uri: str
    scopes: frozenset[str]
    state: str | None
    response_type: str
    code_challenge: str | None
    nonce: str | None
    login_hint: str
    asks_login: bool
    asks_consent: bool
    at: datetime


Value = TypeVar("Value", BrowserLogin, Pass, Pending)


@dataclass(slots=True)
class Shelf(Generic[Value]):
    """Values by random handle, oldest dropped first, dead ones not found."""

    lifetime: timedelta
    _values: OrderedDict[str, Value] = field(default_factory=OrderedDict)

    def put(self, handle: str, value: Value) -> None:
        """Keep a value."""
        self._values[handle] = value
        while len(self._values) > _MOST:
            self._values.popitem(last=False)

    def get(self, handle: str | None, *, now: datetime) -> Value | None:
        """Find a value that is still alive."""
        value = self._values.get(handle or "")
        return None if value is None or value.at + self.lifetime <= now else value

    def take(self, handle: str | None, *, now: datetime) -> Value | None:
        """Find a value and forget it."""
        value = self.get(handle, now=now)
        self._values.pop(handle or "", None)
        return value


@dataclass(slots=True)
class Browsers:
    """Everything that browsers hold."""

    logins: Shelf[BrowserLogin] = field(default_factory=lambda: Shelf(LOGIN_LIFETIME))
    passes: Shelf[Pass] = field(default_factory=lambda: Shelf(PASS_LIFETIME))
    pending: Shelf[Pending] = field(default_factory=lambda: Shelf(PENDING_LIFETIME))
