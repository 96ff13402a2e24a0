"""Ports kept in memory, as far as the web's tests need them."""

# ruff: noqa: D101, D102, ARG002 - the ports say what these do, and what they are given

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from keyturn_core.secrets import PrivateKey
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.signing_key import SigningKeyState
from keyturn_service.ports import (
    AuditUnavailable,
    CursorUnknown,
    KeptAnswer,
    Lease,
    MadeKey,
    Page,
    Serving,
    StaleWrite,
    StoreUnavailable,
)
from keyturn_service.use_cases.verify_connection import BY_ASSERTION, Verification

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def place_of(cursor):
    """Return where a page begins."""
    try:
        return 0 if cursor is None else int(cursor)
    except ValueError:
        raise CursorUnknown(cursor) from None


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.passed = timedelta()

    def now(self):
        return START + self.passed

    def monotonic(self):
        return self.passed.total_seconds()

    def advance(self, **by):
        self.passed += timedelta(**by)


class CountedRandomness:
    """Bytes that never come twice."""

    def __init__(self):
        self._numbers = count(1)

    def token_bytes(self, number):
        return hashlib.shake_256(str(next(self._numbers)).encode()).digest(number)


def fake_hash(label, value):
    """Hash as the port promises: the same text under the same label, the same 32 bytes."""
    text = value if isinstance(value, str) else value.reveal()
    return hashlib.sha256(f"{label}:{text}".encode()).digest()


@dataclass
class Memory:
    """What the fakes keep. `down` makes the database silent."""

    apps: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    signing_keys: dict = field(default_factory=dict)
    sessions: dict = field(default_factory=dict)
    grants: dict = field(default_factory=dict)
    connections: dict = field(default_factory=dict)
    tokens: dict = field(default_factory=dict)
    proxy_sessions: dict = field(default_factory=dict)
    answers: dict = field(default_factory=dict)
    ending: set = field(default_factory=set)
    events: list = field(default_factory=list)
    revoked: list = field(default_factory=list)
    turns: list = field(default_factory=list)
    lookups: int = 0
    looked: asyncio.Event = field(default_factory=asyncio.Event)  # somebody did
    down: bool = False
    audit_down: bool = False
    answers_down: bool = False
    confirmations_lost: bool = False  # the next one is done, and not told

    def look(self):
        self.lookups += 1
        self.looked.set()
        if self.down:
            raise StoreUnavailable("postgresql://keyturn:hunter2@db")


class FakeTurns:
    def __init__(self, memory):
        self.memory = memory

    async def all(self):
        self.memory.look()
        return self.memory.turns


class FakeWorkspaces:
    def __init__(self, memory):
        self.memory = memory

    async def all(self):
        self.memory.look()
        return []


class FakeApps:
    def __init__(self, memory):
        self.memory = memory

    async def add(self, app):
        self.memory.apps[app.id] = app

    async def get(self, workspace_id, app_id):
        app = self.memory.apps.get(app_id)
        return app if app is not None and app.workspace_id == workspace_id else None

    async def list(self, workspace_id):
        return [app for app in self.memory.apps.values() if app.workspace_id == workspace_id]

    async def replace(self, app):
        self.memory.apps[app.id] = app

    async def put_consumer_credentials(self, app, *, consumer_key, consumer_secret):
        assert consumer_secret.reveal()
        self.memory.apps[app.id] = replace(app, consumer_key=consumer_key)


class FakeSigningKeys:
    def __init__(self, memory):
        self.memory = memory

    async def add(self, key, private_key):
        assert private_key.reveal()
        self.memory.signing_keys[key.id] = key
        return True

    async def get(self, workspace_id, app_id, key_id):
        key = self.memory.signing_keys.get(key_id)
        found = key is not None and (key.workspace_id, key.app_id) == (workspace_id, app_id)
        return key if found else None

    async def list(self, workspace_id, app_id):
        own = (workspace_id, app_id)
        kept = self.memory.signing_keys.values()
        return [key for key in kept if (key.workspace_id, key.app_id) == own]

    async def is_certified(self, key):
        return key.certificate_pem == FakeSigner.pem

    async def activate(self, key, *, at):
        for other in await self.list(key.workspace_id, key.app_id):
            if other.state is SigningKeyState.ACTIVE:
                gone = replace(other, state=SigningKeyState.RETIRED, retired_at=at)
                self.memory.signing_keys[other.id] = gone
        active = replace(key, state=SigningKeyState.ACTIVE, retired_at=None)
        self.memory.signing_keys[key.id] = active
        return True

    async def retire(self, key, *, at):
        gone = replace(key, state=SigningKeyState.RETIRED, retired_at=at, usable=False)
        self.memory.signing_keys[key.id] = gone


class FakeSigner:
    source = "vault"
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

    async def make(self, *, name, not_before, not_after):
        return MadeKey(certificate_pem=self.pem, private_key=PrivateKey("not-to-be-seen"))


class FakeApiKeys:
    def __init__(self, memory):
        self.memory = memory

    async def add(self, key):
        self.memory.keys[key.id] = key

    async def by_hash(self, key_hash):
        self.memory.look()
        return next((key for key in self.memory.keys.values() if key.hash == key_hash), None)

    async def list(self, workspace_id):
        return [key for key in self.memory.keys.values() if key.workspace_id == workspace_id]

    async def delete(self, workspace_id, key_id, *, at):
        key = self.memory.keys.get(key_id)
        if key is None or key.workspace_id != workspace_id:
            return False
        del self.memory.keys[key_id]
        return True


class FakeSessions:
    def __init__(self, memory):
        self.memory = memory

    async def add(self, session):
        self.memory.sessions[session.id] = session

    async def get(self, workspace_id, session_id):
        found = self.memory.sessions.get(session_id)
        return found if found is not None and found.workspace_id == workspace_id else None

    async def pending_grant(self, session_id):
        return self.memory.grants.get(session_id)

    async def confirm(self, session, connection, tokens, *, superseded, instead_of):
        del superseded, instead_of
        if self.memory.grants.pop(session.id, None) is None:
            raise StaleWrite
        self.memory.sessions[session.id] = session
        self.memory.connections[connection.id] = connection
        self.memory.tokens[connection.id] = tokens
        if self.memory.confirmations_lost:
            self.memory.confirmations_lost = False
            raise StoreUnavailable


class FakeConnections:
    def __init__(self, memory):
        self.memory = memory

    async def of_org(self, app_id, org_id):
        found = self.memory.connections.values()
        return [one for one in found if (one.app_id, one.org_id) == (app_id, org_id)]

    async def get(self, workspace_id, connection_id):
        found = self.memory.connections.get(connection_id)
        return found if found is not None and found.workspace_id == workspace_id else None

    async def list(self, workspace_id, asked, *, limit, cursor):
        found = self._matching(workspace_id, asked)
        start = place_of(cursor)
        end = start + limit
        further = str(end) if end < len(found) else None
        return Page(items=found[start:end], next_cursor=further)

    async def count(self, workspace_id, asked):
        return len(self._matching(workspace_id, asked))

    async def set_keep_alive(self, connection_id, *, keep_alive, now):
        connection = self.memory.connections[connection_id]
        self.memory.connections[connection_id] = replace(connection, keep_alive=keep_alive)

    def _matching(self, workspace_id, asked):
        wanted = {
            name: getattr(asked, name)
            for name in ("customer_id", "state", "environment", "org_id", "app_id")
            if getattr(asked, name) is not None
        }
        return [
            connection
            for connection in self.memory.connections.values()
            if connection.workspace_id == workspace_id
            and all(getattr(connection, name) == value for name, value in wanted.items())
            and (asked.search or "") in (connection.user.email or "")
        ]


def _in_use(connection):
    return None if connection is None else connection.in_use()


class FakeReads:
    def __init__(self, memory):
        self.memory = memory

    async def read(self, connection_id, *, key_hash):
        self.memory.look()
        keys = self.memory.keys.values()
        return Serving(
            api_key=next((key for key in keys if key.hash == key_hash), None),
            connection=_in_use(self.memory.connections.get(connection_id)),
            tokens=self.memory.tokens.get(connection_id),
            ending=connection_id in self.memory.ending,
        )

    def recall(self, connection_id, *, key_hash):
        return None


class FakeTokenStore:
    def __init__(self, memory):
        self.memory = memory

    async def load(self, connection_id):
        if connection_id not in self.memory.tokens:
            return None
        return self.memory.connections[connection_id], self.memory.tokens[connection_id]

    async def reject_access_token(self, connection_id, *, generation, session_life):
        tokens = self.memory.tokens[connection_id]
        assert tokens.generation == generation
        self.memory.tokens[connection_id] = replace(tokens, expires_at=None)


class FakeProxySessions:
    def __init__(self, memory):
        self.memory = memory

    async def add(self, session):
        self.memory.proxy_sessions[session.hash] = session

    async def by_hash(self, session_hash):
        self.memory.look()
        session = self.memory.proxy_sessions.get(session_hash)
        return session if session and session.api_key_id in self.memory.keys else None


class FakeIdempotencyKeys:
    def __init__(self, memory):
        self.memory = memory

    async def begin(self, workspace_id, key, *, request_hash, now):
        kept = self.memory.answers.get((workspace_id, key))
        if kept is None:
            claim = KeptAnswer(request_hash=request_hash, status=None, body=b"")
            self.memory.answers[workspace_id, key] = claim
        return kept

    async def end(self, workspace_id, key, *, status, body):
        self._look()
        claim = self.memory.answers[workspace_id, key]
        self.memory.answers[workspace_id, key] = replace(claim, status=status, body=body)

    async def drop(self, workspace_id, key):
        self._look()
        del self.memory.answers[workspace_id, key]

    def _look(self):
        if self.memory.answers_down:
            raise StoreUnavailable


class FakeAudit:
    """Both the log and the trail."""

    def __init__(self, memory):
        self.memory = memory

    async def record(self, event, *, urgent=True):
        if self.memory.audit_down:
            raise AuditUnavailable
        self.memory.events.append(event)


class FakeLeases:
    async def acquire(self, connection_id, *, ttl):
        return Lease(connection_id=connection_id, fence=1, deadline=60, ends_at=60)

    async def release(self, lease):
        assert lease.fence == 1


class FakeUses:
    def note(self, connection_id, at):
        assert connection_id


@dataclass
class FakeEndGrant:
    memory: Memory

    async def __call__(self, of, tokens, *, reason, ends_connection):
        self.memory.revoked.append((of.id, reason))
        if ends_connection:
            self.memory.ending.add(of.id)
            gone = replace(self.memory.connections[of.id], state=ConnectionState.REVOKED)
            self.memory.connections[of.id] = gone


@dataclass
class FakeConnectByAssertion:
    """Answers with the connection that is there; `error` is raised instead."""

    memory: Memory
    new: bool = True
    error: Exception | None = None
    asked: list = field(default_factory=list)

    async def __call__(self, workspace_id, actor, **asked):
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        return next(iter(self.memory.connections.values())), self.new


@dataclass
class FakeVerifyConnection:
    memory: Memory
    found: dict = field(default_factory=dict)

    async def __call__(self, workspace_id, connection_id, actor):
        connection = self.memory.connections.get(connection_id)
        if connection is None or connection.workspace_id != workspace_id:
            raise NotFound("connection")
        said = {"missing": None, "problem": None, "way_out": None, "warnings": []} | self.found
        return Verification(connection=connection, **({"steps": BY_ASSERTION} | said))
