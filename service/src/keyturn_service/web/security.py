"""Who calls: API keys and proxy sessions in headers, and a limit for strangers."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.errors import NotFound, ServiceError, Unauthorized
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import Clock, KeyedHash, ProxySession
from keyturn_service.use_cases.authenticate import Authenticate
from keyturn_service.use_cases.find_proxy_session import FindProxySession
from keyturn_service.web.problems import InvalidRequest, WebRefusal

_API_KEY: Final = re.compile(r"kt_[A-Za-z0-9_.~-]{20,300}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,80}", re.ASCII)
_SCHEMES: Final = frozenset({"bearer", "oauth"})  # Salesforce takes both words
_BURST: Final = 60.0  # wrong keys that an address may show at once
_PER_SECOND: Final = 1.0
_REMEMBERED: Final = 10_000  # addresses, and hashes of secrets that opened something


def named_connection(text: str) -> ConnectionId:
    """Return the connection id that a path or header names.

    Raises:
        NotFound: it is out of shape, so that no connection can have it.
    """
    if not _ID.fullmatch(text):
        raise NotFound("connection")
    return ConnectionId(text)


def bearer(scope: Scope) -> str | None:
    """Return what `Authorization` carries; None where it is absent, doubled or of another kind."""
    sent: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if sent is not None:
                return None
            sent = value
    if sent is None:
        return None
    scheme, _, credential = sent.decode("latin-1").partition(" ")
    return credential.strip() if scheme.lower() in _SCHEMES else None


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of a header, each as it came."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


class Strangers:
    """How many wrong keys an address may show.

    It keeps a flood of guesses from the database. A secret that opened something before passes
    whatever its address did, so that nobody locks out a neighbour behind the same address; it
    is still looked up each time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def check(self, address: str, secret_hash: bytes) -> None:
        """See that a secret may be looked up.

        Raises:
            WebRefusal: `too_many_failures`: the address has shown too many wrong ones.
        """
        if not self.knows(secret_hash) and self._left and self._allowance(address) < 1:
            raise WebRefusal("too_many_failures")

    def knows(self, secret_hash: bytes) -> bool:
        """Tell whether a secret opened something before."""
        return secret_hash in self._known

    def welcome(self, secret_hash: bytes) -> None:
        """Remember a secret that opened something."""
        self._known[secret_hash] = None
        self._known.move_to_end(secret_hash)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def turn_away(self, address: str, secret_hash: bytes | None = None) -> None:
        """Count a wrong key."""
        if secret_hash is not None:
            self._known.pop(secret_hash, None)
        left = max(0.0, self._allowance(address) - 1)
        self._left[address] = (left, self._clock.monotonic())
        self._left.move_to_end(address)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)

    def _allowance(self, address: str) -> float:
        found = self._left.get(address)
        if found is None:
            return _BURST
        left, since = found
        return min(_BURST, left + (self._clock.monotonic() - since) * _PER_SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Lets in who shows a secret that opens something."""

    authenticate: Authenticate
    find_proxy_session: FindProxySession
    hashes: KeyedHash
    strangers: Strangers

    async def api_key(self, scope: Scope, right: Right) -> ApiKey:
        """Return the API key of a request.

        Raises:
            Unauthorized: there is none, or it opens nothing.
            Forbidden: it lacks the right.
            WebRefusal: `too_many_failures`.
        """
        secret, shown = self.shown(scope)
        try:
            key = await self.authenticate(secret, right)
        except Unauthorized:
            self.refused(scope, shown)
            raise
        self.strangers.welcome(shown)
        return key

    def shown(self, scope: Scope) -> tuple[str, bytes]:
        """Return the API key that a request shows, not looked up yet, and its hash.

        Raises:
            Unauthorized: it shows none.
            WebRefusal: `too_many_failures`.
        """
        secret = bearer(scope)
        if secret is None or not _API_KEY.fullmatch(secret):
            raise Unauthorized
        shown = self.hashes("api_key", secret)
        self.strangers.check(_address(scope), shown)
        return secret, shown

    def refused(self, scope: Scope, shown: bytes) -> None:
        """Count a key that opened nothing."""
        self.strangers.turn_away(_address(scope), shown)

    @contextmanager
    def stranger(self, scope: Scope, glimpsed: str | None) -> Iterator[None]:
        """Let a request be looked into by which its caller is found out, and count what is wrong.

        `glimpsed` is what looks like its session id: one that opened something before is neither
        held back nor counted.

        Raises:
            WebRefusal: `too_many_failures`.
        """
        shown = self.hashes("proxy_session", glimpsed or "")
        self.strangers.check(_address(scope), shown)
        try:
            yield
        except (InvalidRequest, ServiceError):
            if not self.strangers.knows(shown):
                self.refused(scope, shown)
            raise

    async def proxy_session(self, scope: Scope, session_id: str | None) -> ProxySession:
        """Return the proxy session of a session id.

        Raises:
            Unauthorized: there is none, or it opens nothing.
            WebRefusal: `too_many_failures`.
        """
        if session_id is None:
            raise Unauthorized
        shown = self.hashes("proxy_session", session_id)
        self.strangers.check(_address(scope), shown)
        try:
            session = await self.find_proxy_session(session_id)
        except Unauthorized:
            self.refused(scope, shown)
            raise
        self.strangers.welcome(shown)
        return session


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
