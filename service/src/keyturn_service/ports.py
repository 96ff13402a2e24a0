"""What the use cases need from outside. Adapters carry these out and decide nothing."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from keyturn_core.oauth.client import Client
from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.salesforce.auth_configuration import AuthConfiguration
from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.identity import Identity
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import (
    AccessToken,
    CodeVerifier,
    ConsumerSecret,
    RefreshToken,
    Secret,
)
from keyturn_service.domain.api_key import ApiKey
from keyturn_service.domain.app import App, Workspace
from keyturn_service.domain.attempt import Attempt, AttemptOutcome, SpooledAnswer
from keyturn_service.domain.audit import AuditEvent, AuditRecord
from keyturn_service.domain.connect_session import ConnectSession
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    ConnectionState,
    TokenSet,
)
from keyturn_service.domain.ids import (
    ApiKeyId,
    AppId,
    AttemptId,
    ConnectionId,
    ConnectSessionId,
    CustomerId,
    ProxySessionId,
    RevocationId,
    SpoolId,
    WorkspaceId,
)

_T_co = TypeVar("_T_co", covariant=True)

# --- time, chance, hashes -------------------------------------------------------------------


class Clock(Protocol):
    """The world's time, and the machine's own for leases and time-outs."""

    def now(self) -> datetime:
        """Return the time in UTC; a development world may move it forwards."""
        ...

    def monotonic(self) -> float:
        """Return seconds of the machine's own clock; nothing moves it."""
        ...


class Randomness(Protocol):
    """The one source of random bytes."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for secrets."""
        ...


class KeyedHash(Protocol):
    """A keyed hash: the same text under the same label gives the same 32 bytes."""

    def __call__(self, label: str, value: str | Secret) -> bytes:
        """Hash `value` under the key derived for `label`."""
        ...


class StoreUnavailable(Exception):
    """The database does not answer; what was asked of it may or may not be done."""


# --- what is kept ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_T_co]):
    """Some items in order, and where the next ones start; None where there are no more."""

    items: Sequence[_T_co]
    next_cursor: str | None


class Workspaces(Protocol):
    """Workspaces."""

    async def ensure(self, workspace: Workspace) -> None:
        """Keep the workspace if it is not kept yet."""
        ...

    async def all(self) -> Sequence[Workspace]:
        """Return every workspace."""
        ...


class Apps(Protocol):
    """Apps and their sealed consumer secrets."""

    async def add(self, app: App) -> None:
        """Keep a new app."""
        ...

    async def get(self, workspace_id: WorkspaceId, app_id: AppId) -> App | None:
        """Return the app, if it is in that workspace."""
        ...

    async def list(self, workspace_id: WorkspaceId) -> Sequence[App]:
        """Return the apps of a workspace, oldest first."""
        ...

    async def replace(self, app: App) -> None:
        """Keep the app as it stands now, its consumer credentials apart."""
        ...

    async def put_consumer_credentials(
        self, app: App, *, consumer_key: str, consumer_secret: ConsumerSecret
    ) -> None:
        """Seal and keep the consumer credentials, in place of what was there."""
        ...

    async def client(self, app_id: AppId) -> Client | None:
        """Return the app as OAuth sees it, opened; None while no credentials were put."""
        ...


class ApiKeys(Protocol):
    """API keys, known by their hash."""

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        ...

    async def by_hash(self, key_hash: bytes) -> ApiKey | None:
        """Return the key whose secret hashes to this; also one that is over."""
        ...

    async def list(self, workspace_id: WorkspaceId) -> Sequence[ApiKey]:
        """Return the keys of a workspace that were not deleted, oldest first."""
        ...

    async def delete(self, workspace_id: WorkspaceId, key_id: ApiKeyId, *, at: datetime) -> bool:
        """End a key and its proxy sessions; False where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingGrant:
    """What a token response for an authorization code brought, unusable until confirmed."""

    session_id: ConnectSessionId
    connection_id: ConnectionId
    workspace_id: WorkspaceId
    app_id: AppId
    access_token: AccessToken
    refresh_token: RefreshToken | None
    instance_url: Origin
    login_url: Origin
    environment: Environment
    org_id: OrgId
    org_name: str | None
    user: ConnectedUser
    scopes: frozenset[Scope]
    received_at: datetime
    session_life: timedelta
    expires_at: datetime


class ConnectSessions(Protocol):
    """Connect sessions, their sealed code verifiers and pending grants."""

    async def add(self, session: ConnectSession) -> None:
        """Keep a new session."""
        ...

    async def get(
        self, workspace_id: WorkspaceId, session_id: ConnectSessionId
    ) -> ConnectSession | None:
        """Return the session, if it is in that workspace."""
        ...

    async def by_link(self, link_hash: bytes) -> ConnectSession | None:
        """Return the session that a link names."""
        ...

    async def by_state(self, state_hash: bytes) -> ConnectSession | None:
        """Return the session that went to Salesforce with this `state`."""
        ...

    async def replace(
        self, session: ConnectSession, *, verifier: CodeVerifier | None = None
    ) -> bool:
        """Keep the session as `session.version + 1` if the kept one is `session.version`.

        `verifier`, where given, is sealed and kept with it. False: someone was first, and
        nothing changed.
        """
        ...

    async def take_verifier(self, session_id: ConnectSessionId) -> CodeVerifier | None:
        """Return the session's code verifier and forget it."""
        ...

    async def await_confirmation(
        self, session: ConnectSession, grant: PendingGrant, *, new_connection: Connection | None
    ) -> bool:
        """Keep the sealed grant and the session (as `replace` does), all or nothing.

        Where the grant is for a new connection, that one is kept as `pending` with them.
        """
        ...

    async def confirm(
        self, session: ConnectSession, connection: Connection, tokens: TokenSet
    ) -> TokenSet | None:
        """Put the pending grant in force as `connection` with `tokens`: all or nothing.

        The session is kept as `replace` does and the pending grant forgotten. Returns the token
        set that was in force before (to be revoked), or None.

        Raises:
            StaleWrite: the session or the connection changed meanwhile.
        """
        ...

    async def pending_grant(self, session_id: ConnectSessionId) -> PendingGrant | None:
        """Return the session's pending grant, opened."""
        ...

    async def drop_pending(self, session: ConnectSession) -> PendingGrant | None:
        """Keep the session as `replace` does, forget its pending grant and return it.

        A connection that was pending on it becomes `revoked`. None where somebody was first or
        there was no grant.
        """
        ...

    async def overdue(self, now: datetime, *, limit: int) -> Sequence[ConnectSession]:
        """Return sessions whose time is over and whose end is not kept yet."""
        ...


class StaleWrite(Exception):
    """What was about to be replaced is not there any more: another replica was first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFilter:
    """Which connections are asked for; None asks for all."""

    customer_id: CustomerId | None = None
    state: ConnectionState | None = None
    environment: Environment | None = None
    org_id: OrgId | None = None
    app_id: AppId | None = None
    search: str | None = None


class Connections(Protocol):
    """Connections, without their tokens."""

    async def get(
        self, workspace_id: WorkspaceId, connection_id: ConnectionId
    ) -> Connection | None:
        """Return the connection, if it is in that workspace."""
        ...

    async def list(
        self,
        workspace_id: WorkspaceId,
        asked: ConnectionFilter,
        *,
        limit: int,
        cursor: str | None,
    ) -> Page[Connection]:
        """Return connections, oldest first.

        `asked.search` matches part of customer id, org name, username or e-mail, any case.

        Raises:
            ValueError: the cursor is not one of ours.
        """
        ...

    async def count(self, workspace_id: WorkspaceId, asked: ConnectionFilter) -> int:
        """Count what `list` would return over all pages."""
        ...

    async def of_org(self, app_id: AppId, org_id: OrgId) -> Sequence[Connection]:
        """Return the app's connections to an org that are not revoked, pending ones included."""
        ...

    async def set_instance_url(self, connection_id: ConnectionId, instance_url: Origin) -> None:
        """Keep the org's new API origin, after that host was seen to be the org's."""
        ...

    async def set_keep_alive(self, connection_id: ConnectionId, *, keep_alive: bool) -> None:
        """Say whether the idle guardian keeps the connection alive."""
        ...

    async def touch_used(self, used: Mapping[ConnectionId, datetime]) -> None:
        """Note when connections were last used, where that is later than noted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claim to refresh one connection, until `deadline` of the machine's monotonic clock.

    `fence` grows with every lease of the connection; a write under an older one changes nothing.
    """

    connection_id: ConnectionId
    fence: int
    deadline: float


class RefreshLeases(Protocol):
    """Leases shared by replicas, ended by the database's own clock."""

    async def acquire(self, connection_id: ConnectionId, *, ttl: timedelta) -> Lease | None:
        """Take the lease, or return None where somebody holds it.

        The holder's deadline is measured from before the database was asked.
        """
        ...

    async def release_earlier_runs(self) -> int:
        """End the leases that earlier runs of this replica held; return how many.

        Called once at start-up: the owner of a lease is the replica's spool, which only one
        process holds at a time, so whoever held them is dead.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back; nothing happens where it is not ours any more."""
        ...


class TokenStore(Protocol):
    """Token sets at rest, and the attempts to renew them."""

    async def load(self, connection_id: ConnectionId) -> tuple[Connection, TokenSet] | None:
        """Return the connection with its token set, opened; None without a token set."""
        ...

    async def begin_attempt(self, attempt: Attempt) -> None:
        """Commit the intent.

        Raises:
            StaleWrite: the generation or the fence is not in force any more.
        """
        ...

    async def attempt(self, attempt_id: AttemptId) -> Attempt | None:
        """Return an attempt, ended or not."""
        ...

    async def open_attempt(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the latest attempt at the generation in force whose outcome is open or unknown."""
        ...

    async def open_attempts_of(self, spool_id: SpoolId) -> Sequence[Attempt]:
        """Return the attempts without an outcome that name a spool."""
        ...

    async def replace(self, connection: Connection, tokens: TokenSet, *, attempt: Attempt) -> bool:
        """Put `tokens` in force where generation and fence of `attempt` still are.

        `connection` is kept as it stands beside, and the attempt ends as `stored`: all or
        nothing. False: another replica was first, and nothing changed.
        """
        ...

    async def end_attempt(
        self,
        attempt: Attempt,
        outcome: AttemptOutcome,
        *,
        at: datetime,
        spool_answered: bool,
        state: ConnectionState | None = None,
        problem: str | None = None,
    ) -> None:
        """Keep how an attempt ended.

        `state` and `problem`, where a state is given, are kept on the connection if the
        attempt's generation is still in force.
        """
        ...

    async def reject_access_token(
        self, connection_id: ConnectionId, *, generation: int, session_life: timedelta
    ) -> None:
        """Note that Salesforce refused the access token of a generation, if it is in force."""
        ...

    async def set_state(
        self,
        connection_id: ConnectionId,
        *,
        generation: int,
        state: ConnectionState,
        problem: str | None,
    ) -> bool:
        """Keep state and problem where the generation is in force; False where it is not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """All that a hot read needs, in one look at the database."""

    api_key: ApiKey | None
    connection: Connection | None
    tokens: TokenSet | None
    ending: bool


class ServingReads(Protocol):
    """The hot read. An adapter may gather several into one query; it keeps no copies."""

    async def read(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving:
        """Return the key with that hash and the connection with its tokens, each if kept."""
        ...


class RevocationReason(StrEnum):
    """Why a grant is ended at Salesforce."""

    DISCONNECTED = "disconnected"
    SUPERSEDED = "superseded"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A grant that is to be ended at Salesforce: a job that is retried until it is done.

    `ends` is the connection that becomes `revoked` when it is done.
    """

    id: RevocationId
    workspace_id: WorkspaceId
    connection_id: ConnectionId
    login_url: Origin
    reason: RevocationReason
    ends_connection: bool
    attempts: int
    due_at: datetime


class Revocations(Protocol):
    """Grants to end, with their sealed tokens."""

    async def add(
        self, revocation: Revocation, tokens: Sequence[AccessToken | RefreshToken]
    ) -> None:
        """Keep the job; where it ends a connection, that one serves no more from now on."""
        ...

    async def claim_due(
        self, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[RevocationId]:
        """Return the jobs that are to be tried now, and put them off for everybody else.

        A job whose claimer dies is due again at `until`.
        """
        ...

    async def open(
        self, revocation_id: RevocationId
    ) -> tuple[Revocation, Sequence[AccessToken | RefreshToken]] | None:
        """Return the job with its tokens, opened; None where it is done."""
        ...

    async def done(self, revocation: Revocation, *, problem: str | None) -> None:
        """Forget the tokens and, where the job ends a connection, keep it as `revoked`."""
        ...

    async def postpone(self, revocation: Revocation, *, due_at: datetime) -> None:
        """Keep that the job was tried and when it is to be tried again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySession:
    """A short-lived secret that other people's clients take for a session id."""

    id: ProxySessionId
    workspace_id: WorkspaceId
    connection_id: ConnectionId
    api_key_id: ApiKeyId
    unsafe: bool
    hash: bytes
    created_at: datetime
    expires_at: datetime


class ProxySessions(Protocol):
    """Proxy sessions, known by their hash."""

    async def add(self, session: ProxySession) -> None:
        """Keep a new session."""
        ...

    async def by_hash(self, session_hash: bytes) -> ProxySession | None:
        """Return the session, if its API key still stands."""
        ...

    async def purge(self, now: datetime) -> int:
        """Forget the sessions that are over; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """The answer to a write that carried an idempotency key."""

    request_hash: bytes
    status: int | None  # None while the first request is still at work
    body: bytes


class IdempotencyKeys(Protocol):
    """Answers kept for 24 hours, sealed, so that a repeated write is done once."""

    async def begin(
        self, workspace_id: WorkspaceId, key: str, *, request_hash: bytes, now: datetime
    ) -> KeptAnswer | None:
        """Claim the key; return what is kept where somebody claimed it before."""
        ...

    async def end(self, workspace_id: WorkspaceId, key: str, *, status: int, body: bytes) -> None:
        """Keep the answer."""
        ...

    async def drop(self, workspace_id: WorkspaceId, key: str) -> None:
        """Give the key back: nothing was done."""
        ...

    async def purge(self, before: datetime) -> int:
        """Forget answers older than that; return how many."""
        ...


# --- audit ----------------------------------------------------------------------------------


class AuditUnavailable(Exception):
    """The event could not be made durable: whatever waits for it must not happen."""


class AuditLog(Protocol):
    """The audit trail of this replica's run."""

    async def record(self, event: AuditEvent) -> None:
        """Return once the event is durable.

        Raises:
            AuditUnavailable: it could not be written.
        """
        ...


class AuditTrail(Protocol):
    """What was recorded, by all writers."""

    async def list(
        self,
        workspace_id: WorkspaceId,
        *,
        connection_id: ConnectionId | None,
        type: str | None,
        since: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> Page[AuditRecord]:
        """Return events of a workspace in order of time."""
        ...


# --- spool ----------------------------------------------------------------------------------


class Spool(Protocol):
    """The journal of raw answers on a disk that outlives the process."""

    @property
    def id(self) -> SpoolId:
        """The spool's own name; it stays with the disk."""
        ...

    async def put(self, answer: SpooledAnswer) -> None:
        """Seal and keep the answer; return once it would survive a crash."""
        ...

    async def get(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what is kept for an attempt, delivered or not."""
        ...

    async def delivered(self, attempt_id: AttemptId) -> None:
        """Note that the database knows the answer; it stays in the journal."""
        ...

    async def undelivered(self) -> Sequence[AttemptId]:
        """Return the attempts whose answers the database may not know, oldest first."""
        ...

    async def purge(self, before: datetime) -> int:
        """Remove delivered answers received before that; return how many."""
        ...


# --- Salesforce -----------------------------------------------------------------------------


class OrgUnreachable(Exception):
    """No answer of use came: no connection, a time-out, or an error page of the edge."""


class AnswerLost(OrgUnreachable):
    """The request may have left and no status came: the org may have acted all the same."""


class DeadlinePassed(Exception):
    """The lease's deadline passed before the first byte went out; nothing was presented."""


class TokenEndpoint(Protocol):
    """The token endpoint of login hosts, and what lies beside it."""

    async def present(
        self, login_url: Origin, body: bytes, *, deadline: float | None = None
    ) -> TokenAnswer:
        """Post a token request, once, and return what came back, even in part.

        `deadline`, of the monotonic clock, is looked at right before the first byte goes out.

        Raises:
            NotProcessed: no connection was made; the org has not seen the token.
            OutcomeUnknown: no status came; the org may have acted all the same.
            DeadlinePassed: nothing was sent.
        """
        ...

    async def post(self, login_url: Origin, path: str, body: bytes) -> TokenAnswer:
        """Post a form to another OAuth endpoint (`/services/oauth2/revoke`, …).

        Raises:
            OrgUnreachable: no complete answer came.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """The `Organization` record of an org, as far as it is needed."""

    name: str
    is_sandbox: bool


class OrgDirectory(Protocol):
    """What an org says of itself."""

    async def auth_configuration(self, host: Origin) -> AuthConfiguration:
        """Read the host's pre-login configuration.

        Raises:
            OrgUnreachable: none came.
        """
        ...

    async def identity(self, instance_url: Origin, path: str, token: AccessToken) -> Identity:
        """Read the identity at an org's own host, by the path of an identity URL.

        Raises:
            OrgUnreachable: none came.
        """
        ...

    async def organization(self, instance_url: Origin, token: AccessToken) -> Organization | None:
        """Return the org's own record, None where the user may not see it.

        Raises:
            OrgUnreachable: no answer came.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgCall:
    """A call for an org, as its caller made it.

    `target` is path and query as they go out; header names are lower case. A `body` of bytes can
    be sent again, one that is iterated over cannot.
    """

    method: str
    target: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | AsyncIterable[bytes]


class OrgAnswer(Protocol):
    """An org's answer, its body still on the way. Whoever has it closes it."""

    @property
    def status(self) -> int:
        """The status, as the org gave it."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The headers that may be handed on, doubled ones too, names in lower case."""
        ...

    def parts(self) -> AsyncIterator[bytes]:
        """Return the body's bytes as they arrive, packed as the org packed them.

        Raises:
            AnswerLost: the body ended before its end.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection; what was not read yet is not waited for."""
        ...


class OrgRelay(Protocol):
    """Calls to an org's API origin that stream both ways."""

    async def send(self, instance_url: Origin, call: OrgCall, token: AccessToken) -> OrgAnswer:
        """Send the call once under `token`, without what concerns our own caller alone.

        Raises:
            OrgUnreachable: no connection was made; the org has not seen the call.
            AnswerLost: no status came.
        """
        ...


# --- background -----------------------------------------------------------------------------


class Background(Protocol):
    """Work that goes on by itself and outlives this process."""

    async def revoke(self, revocation_id: RevocationId) -> None:
        """Have the grant ended soon; a job that is lost here is found by its due time."""
        ...


class Uses(Protocol):
    """Where uses of connections are noted without waiting for a write."""

    def note(self, connection_id: ConnectionId, at: datetime) -> None:
        """Note a use; it is kept within seconds."""
        ...


class Waiting(Protocol):
    """Waiting, handed in so that tests need not wait."""

    async def sleep(self, seconds: float) -> None:
        """Wait by the machine's own clock."""
        ...
