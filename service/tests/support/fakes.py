"""Fakes of the ports to the outside: time, chance, waiting, spool, audit, and an org."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from service.tests.support import values

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.salesforce.auth_configuration import AuthConfiguration
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.identity import Identity
from keyturn_core.salesforce.ids import OrgId, UserId
from keyturn_core.secrets import AccessToken, PrivateKey, Secret
from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import AttemptId, ConnectionId, RevocationId, SpoolId
from keyturn_service.ports import (
    AuditUnavailable,
    Basis,
    DeadlinePassed,
    DevHubUnreachable,
    MadeKey,
    Organization,
    OrgAnswer,
    OrgCall,
    OrgUnreachable,
    PackageInOrg,
    Serving,
    ServingReads,
)


class FakeClock:
    """A clock that moves when it is told to; the machine's own moves with it, or alone."""

    def __init__(self) -> None:
        self._now = values.START
        self._monotonic = 1000.0

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds of the machine's own clock."""
        return self._monotonic

    def advance(self, *, machine: bool = True, **by: float) -> None:
        """Let time pass: for the world, and for the machine unless a test says otherwise."""
        passed = timedelta(**by)
        self._now += passed
        if machine:
            self._monotonic += passed.total_seconds()


class CountedRandomness:
    """Bytes that never come twice."""

    def __init__(self, seed: str = "") -> None:
        self._seed = seed
        self._numbers = itertools.count(1)

    def token_bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        return hashlib.shake_256(f"{self._seed}{next(self._numbers)}".encode()).digest(count)


def fake_hash(label: str, value: str | Secret) -> bytes:
    """Hash as the port promises: the same text under the same label, the same 32 bytes."""
    text = value.reveal() if isinstance(value, Secret) else value
    return hashlib.sha256(f"{label}:{text}".encode()).digest()


class LeapingWaiting:
    """Waiting that takes no time: the clock leaps instead, by `leap` seconds at least."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.leap = 0.0
        self.slept: list[float] = []
        self.meanwhile: deque[Callable[[], Awaitable[None]]] = deque()

    async def sleep(self, seconds: float) -> None:
        """Let what a test asked for happen, and time pass."""
        self.slept.append(seconds)
        if self.meanwhile:
            await self.meanwhile.popleft()()
        self.clock.advance(seconds=max(seconds, self.leap))
        await asyncio.sleep(0)


class MemorySpool:
    """A spool that outlives a replica as long as the test holds it."""

    def __init__(self, journal: list[str], spool_id: SpoolId = values.SPOOL) -> None:
        self._id = spool_id
        self._journal = journal
        self.kept: dict[AttemptId, SpooledAnswer] = {}
        self.open: list[AttemptId] = []
        self.begun: dict[AttemptId, SpooledAnswer] = {}
        self.unread: dict[AttemptId, Exception] = {}  # what reading one of them ends with
        self.full = False

    @property
    def id(self) -> SpoolId:
        """The spool's own name."""
        return self._id

    async def put(self, answer: SpooledAnswer) -> None:
        """Keep the answer."""
        if self.full:
            raise OSError("no space left on device")
        self._journal.append("spool.put")
        self.kept[answer.attempt_id] = answer
        self.open.append(answer.attempt_id)
        self.begun.pop(answer.attempt_id, None)

    async def intend(self, nothing: SpooledAnswer) -> None:
        """Keep that a token is about to be presented."""
        if self.full:
            raise OSError("no space left on device")
        self._journal.append("spool.intend")
        self.begun[nothing.attempt_id] = nothing

    async def not_sent(self, attempt_id: AttemptId) -> None:
        """Forget an intent whose token did not leave."""
        self.begun.pop(attempt_id, None)

    async def intents(self) -> Sequence[AttemptId]:
        """Return the attempts that were begun and met no answer."""
        return list(self.begun)

    async def intent(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what is kept of one that was begun."""
        self._read(attempt_id)
        return self.begun.get(attempt_id)

    async def get(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what is kept for an attempt."""
        self._read(attempt_id)
        return self.kept.get(attempt_id)

    def _read(self, attempt_id: AttemptId) -> None:
        if attempt_id in self.unread:
            raise self.unread[attempt_id]

    async def delivered(self, attempt_id: AttemptId) -> None:
        """Note that the database knows the answer."""
        if attempt_id in self.open:
            self._journal.append("spool.delivered")
            self.open.remove(attempt_id)

    async def undelivered(self) -> Sequence[AttemptId]:
        """Return the attempts whose answers the database may not know."""
        return list(self.open)

    async def newest_first(self) -> Sequence[AttemptId]:
        """Return the attempts of the whole journal."""
        return list(reversed(self.kept))

    async def key_needs(self) -> Mapping[str, int]:
        """Return which key opens what lies here."""
        return {"kek_test": len(self.kept)}

    async def renew_key(self, announced: Collection[str]) -> None:
        """Stay with the one key there is."""

    async def purge(self, before: datetime) -> int:
        """Remove delivered answers received before that."""
        old = [
            attempt_id
            for attempt_id, answer in self.kept.items()
            if answer.received_at < before and attempt_id not in self.open
        ]
        for attempt_id in old:
            del self.kept[attempt_id]
        return len(old)


class RecordingAudit:
    """An audit log that remembers, or cannot."""

    def __init__(self, journal: list[str]) -> None:
        self._journal = journal
        self.events: list[AuditEvent] = []
        self.standing: set[Basis] = set()
        self.down = False
        self.refuses: set[str] = set()  # types

    async def record(self, event: AuditEvent, *, urgent: bool = True) -> None:
        """Remember the event."""
        del urgent
        if self.down or event.type in self.refuses:
            raise AuditUnavailable
        self._journal.append(event.type)
        self.events.append(event)

    async def record_on(self, event: AuditEvent, basis: Basis) -> bool:
        """Remember the event, and say whether its basis is one that still stands."""
        await self.record(event)
        return basis in self.standing

    def of(self, type_: str) -> list[AuditEvent]:
        """Return the events of a type."""
        return [event for event in self.events if event.type == type_]

    @property
    def types(self) -> list[str]:
        """The types of all events, in order."""
        return [event.type for event in self.events]


class RecordingBackground:
    """A background that was asked, and does nothing by itself."""

    def __init__(self) -> None:
        self.asked: list[RevocationId] = []

    async def revoke(self, revocation_id: RevocationId) -> None:
        """Remember what was asked."""
        self.asked.append(revocation_id)


class NotedUses:
    """Uses, noted."""

    def __init__(self) -> None:
        self.noted: list[tuple[ConnectionId, datetime]] = []

    def note(self, connection_id: ConnectionId, at: datetime) -> None:
        """Note a use."""
        self.noted.append((connection_id, at))


class FakeSigner:
    """A signer whose signatures say which key made them."""

    source = "fake"

    def __init__(self) -> None:
        self.made = 0
        self.signed: list[str] = []

    async def make(self, *, name: str, not_before: datetime, not_after: datetime) -> MadeKey:
        """Make what stands for a key pair."""
        assert name
        assert not_before < not_after
        self.made += 1
        key = f"{values.CANARY}-private-key-{self.made}"
        return MadeKey(certificate_pem=values.CERTIFICATE, private_key=PrivateKey(key))

    async def sign(self, private_key: PrivateKey, message: bytes) -> bytes:
        """Return what stands for a signature."""
        assert message.count(b".") == 1
        self.signed.append(private_key.reveal())
        return private_key.reveal().encode()


JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_OF_ASSERTIONS = ("access_token", "scope", "instance_url", "id", "token_type")


def claims_of(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the claims of the assertion in a form."""
    payload = form["assertion"].split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return claims


Answering: TypeAlias = Callable[[Mapping[str, str]], Awaitable[TokenAnswer]]


def json_answer(status: int = 200, **members: Any) -> TokenAnswer:
    """Return a complete JSON answer."""
    return TokenAnswer(status=status, body=json.dumps(members).encode(), complete=True)


def refused(error: str, description: str | None = None, status: int = 400) -> TokenAnswer:
    """Return a refusal of the token endpoint."""
    said = {} if description is None else {"error_description": description}
    return json_answer(status, error=error, **said)


@dataclass
class FakeOrg:
    """An org that rotates: a used refresh token that is presented again ends the grant.

    `next` are answers that come before the org's own, each an answer, an error to raise, or
    something to await with the form that was presented. A mark of the org's processing is
    that `refresh_token` changes: an answer that is lost on the way leaves the org changed.
    """

    journal: list[str]
    clock: FakeClock
    refresh_token: str | None = values.REFRESH
    org_id: OrgId = values.ORG
    user_id: UserId = values.USER
    next: deque[TokenAnswer | Exception | Answering] = field(default_factory=deque)
    next_posts: deque[TokenAnswer | Exception] = field(default_factory=deque)
    presented: list[Mapping[str, str]] = field(default_factory=list)
    posted: list[tuple[Origin, str, Mapping[str, str]]] = field(default_factory=list)
    members: dict[str, Any] = field(default_factory=dict)
    connect_seconds: float = 10.0
    answer_seconds: float = 30.0
    _number: int = 1

    async def present(
        self, login_url: Origin, body: bytes, *, deadline: float | None = None
    ) -> TokenAnswer:
        """Take a token request."""
        if deadline is not None and self.clock.monotonic() >= deadline:
            raise DeadlinePassed
        self.journal.append(f"present {login_url}")
        form = dict(parse_qsl(body.decode()))
        self.presented.append(form)
        if not self.next:
            return self.process(form)
        scripted = self.next.popleft()
        if isinstance(scripted, Exception):
            raise scripted
        return scripted if isinstance(scripted, TokenAnswer) else await scripted(form)

    def process(self, form: Mapping[str, str]) -> TokenAnswer:
        """Do what the org does by itself."""
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] != self.refresh_token:
                self.refresh_token = None
                return refused("invalid_grant", "expired access/refresh token")
            self._number += 1
            self.refresh_token = f"5Aep861.{values.CANARY}-refresh-{self._number}"
        if form["grant_type"] == JWT_BEARER:
            self._number += 1
            said = self.token_response()
            return json_answer(**{name: said[name] for name in _OF_ASSERTIONS if name in said})
        return json_answer(**self.token_response())

    def token_response(self) -> dict[str, Any]:
        """Return what a token response says now."""
        said = {
            "access_token": f"00D5g000004bLxZ!AQ.{values.CANARY}-access-{self._number}",
            "refresh_token": self.refresh_token,
            "instance_url": values.INSTANCE_URL,
            "id": f"https://login.salesforce.com/id/{self.org_id}/{self.user_id}",
            "issued_at": "1795521600000",
            "token_type": "Bearer",
            "scope": "refresh_token api",
            **self.members,
        }
        return {name: value for name, value in said.items() if value is not None}

    async def post(
        self,
        login_url: Origin,
        path: str,
        body: bytes,
        *,
        before_first_byte: Callable[[], Awaitable[None]] | None = None,
    ) -> TokenAnswer:
        """Take a form at another endpoint; with `NotConnected` it never came."""
        answer = self.next_posts.popleft() if self.next_posts else json_answer()
        if isinstance(answer, NotConnected):
            raise answer
        if before_first_byte is not None:
            await before_first_byte()
        self.posted.append((login_url, path, dict(parse_qsl(body.decode()))))
        if isinstance(answer, Exception):
            raise answer
        return answer


class NotConnected(OrgUnreachable):
    """No connection came to stand, so there was nothing to do before the first byte."""


@dataclass
class FakeDirectory:
    """What orgs say of themselves: by host, and one identity."""

    hosts: dict[Origin, OrgId] = field(default_factory=lambda: {values.INSTANCE_URL: values.ORG})
    org_id: OrgId = values.ORG
    user_id: UserId = values.USER
    record: Organization | None = field(
        default_factory=lambda: Organization(name="Globex", is_sandbox=False)
    )
    identity_error: Exception | None = None
    asked: list[Origin] = field(default_factory=list)
    given: list[tuple[Origin, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def auth_configuration(self, host: Origin) -> AuthConfiguration:
        """Return what the host publishes, once a test lets it."""
        self.asked.append(host)
        if self.gate is not None:
            await self.gate.wait()
        if host not in self.hosts:
            raise OrgUnreachable
        return AuthConfiguration(org_id=self.hosts[host], url=host)

    async def identity(self, instance_url: Origin, path: str, token: AccessToken) -> Identity:
        """Return who the token is of."""
        self.given.append((instance_url, token.reveal()))
        self.paths.append(path)
        if self.identity_error is not None:
            raise self.identity_error
        return Identity(
            org_id=self.org_id,
            user_id=self.user_id,
            username="ada@globex.example",
            email="ada@globex.example",
            display_name="Ada",
            custom_domain=instance_url,
            is_app_installed=True,
        )

    async def organization(self, instance_url: Origin, token: AccessToken) -> Organization | None:
        """Return the org's own record."""
        self.given.append((instance_url, token.reveal()))
        return self.record


@dataclass
class FakeAnswer:
    """An org's answer to a proxied call; `breaks` loses the end of its body."""

    status: int = 200
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: Sequence[bytes] = (b"{}",)
    breaks: Exception | None = None
    closed: bool = False

    async def parts(self) -> AsyncIterator[bytes]:
        """Return the body."""
        for part in self.body:
            yield part
        if self.breaks is not None:
            raise self.breaks

    async def close(self) -> None:
        """Let go."""
        self.closed = True


@dataclass
class FakeRelay:
    """Calls to an org; `next` are answers, or errors to raise."""

    journal: list[str]
    next: deque[OrgAnswer | BaseException] = field(default_factory=deque)
    sent: list[tuple[Origin, OrgCall, str]] = field(default_factory=list)

    async def send(self, instance_url: Origin, call: OrgCall, token: AccessToken) -> OrgAnswer:
        """Take the call."""
        self.journal.append("relay.send")
        self.sent.append((instance_url, call, token.reveal()))
        answer = self.next.popleft() if self.next else FakeAnswer()
        if isinstance(answer, BaseException):
            raise answer
        return answer


BASIS: Final = Basis(api_key="as it was", connection="as it was")


class RememberingReads:
    """Reads that remember one serving, which can be served unless a test says otherwise.

    They read as `reads` do.
    """

    def __init__(self, reads: ServingReads, **changes: Any) -> None:
        self._reads = reads
        self.looks = 0
        self._kept = Serving(
            **{
                "api_key": values.api_key(),
                "connection": values.connection().in_use(),
                "tokens": values.in_force(),
                "ending": False,
                "basis": BASIS,
                **changes,
            }
        )

    def recall(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving | None:
        """Return what is remembered."""
        del connection_id, key_hash
        return self._kept

    async def read(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving:
        """Look."""
        self.looks += 1
        return await self._reads.read(connection_id, key_hash=key_hash)


@dataclass
class FakeDevHub:
    """A Dev Hub that knows of some installs; `fails` counts questions that come to nothing."""

    installs: set[PackageInOrg] = field(default_factory=set)
    asked: list[frozenset[PackageInOrg]] = field(default_factory=list)
    fails: int = 0
    gate: asyncio.Event | None = None

    async def among(self, asked: Collection[PackageInOrg]) -> frozenset[PackageInOrg]:
        """Return those of the asked that it knows of."""
        self.asked.append(frozenset(asked))
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            self.fails -= 1
            raise DevHubUnreachable("salesforce_unavailable")
        return frozenset(asked) & self.installs
