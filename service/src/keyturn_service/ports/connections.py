"""Connections, their token sets, and the claims to renew or end them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.secrets import (
    AccessToken,
    RefreshToken,
)
from keyturn_service.domain.api_key import ApiKey
from keyturn_service.domain.attempt import Attempt, AttemptOutcome
from keyturn_service.domain.connection import (
    Connection,
    ConnectionInUse,
    ConnectionState,
    TokenInForce,
    TokenSet,
)
from keyturn_service.domain.ids import (
    AppId,
    AttemptId,
    ConnectionId,
    CustomerId,
    RevocationId,
    SpoolId,
    WorkspaceId,
)
from keyturn_service.ports.records import Basis
from keyturn_service.ports.vendors import Page


class OrgTaken(Exception):
    """Another customer's connection to the org is in force, and the app allows one only."""


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
            CursorUnknown: the cursor is not one of ours.
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

    async def set_keep_alive(
        self, connection_id: ConnectionId, *, keep_alive: bool, now: datetime
    ) -> None:
        """Say whether the idle guardian keeps the connection alive; it looks at it soon."""
        ...

    async def claim_due(
        self, now: datetime, *, ttl: timedelta, limit: int
    ) -> Sequence[tuple[Connection, datetime]]:
        """Return connections for which something is due, claimed for `ttl` by the database's clock.

        Each comes with the claim, for `looked_after`. Nobody else gets it meanwhile; one whose
        claimer dies is given to another after it.
        """
        ...

    async def looked_after(
        self, connection: Connection, *, claim: datetime, due_at: datetime | None
    ) -> None:
        """Keep when something is to be done for it next, where `claim` is the latest still.

        Not where somebody said meanwhile that something is due, or claimed it anew. Not where
        another generation is in force either: that one has a time of its own.
        """
        ...

    async def set_warned(self, connection_id: ConnectionId, at: datetime) -> None:
        """Note when its owner was warned, where that is later than noted."""
        ...

    async def touch_used(self, used: Mapping[ConnectionId, datetime]) -> None:
        """Note when connections were last used, where that is later than noted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claim to refresh one connection, until `deadline` of the machine's monotonic clock.

    `fence` grows with every lease of the connection; a write under an older one changes nothing.
    `ends_at`, in microseconds of the database's clock, tells it from those of another database.
    """

    connection_id: ConnectionId
    fence: int
    deadline: float
    ends_at: int


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

    async def prepare(self, workspace_id: WorkspaceId) -> None:
        """See that token sets of a workspace can be kept soon, whatever becomes of the key source.

        Raises whatever keeps a token set from being sealed now.
        """
        ...

    async def begin_attempt(self, attempt: Attempt) -> None:
        """Commit the intent.

        Raises:
            StaleWrite: generation or fence is not in force any more, or the connection ends.
        """
        ...

    async def foresee(self, attempt: Attempt) -> None:
        """Keep an open attempt at a generation that is not in force yet, unless it is kept.

        A journal has its answer, and the database was restored from before it. Whoever finds
        that generation in force finds the attempt, and does not present the token; a grant that
        is given anew before that ends it.

        Raises:
            StaleWrite: the fence is not in force any more.
        """
        ...

    async def attempt(self, attempt_id: AttemptId) -> Attempt | None:
        """Return an attempt, ended or not."""
        ...

    async def known(self, attempt_ids: Sequence[AttemptId]) -> frozenset[AttemptId]:
        """Return those of the attempts that are kept."""
        ...

    async def open_attempt(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the latest attempt at the generation in force whose outcome is open or unknown.

        Latest by the fence of its lease, whatever the replicas' clocks said; but first the one that
        presented the token again, as journals may have been replayed in any order. Also one that is
        `stored`: what it brought was in force, and the row is an older one.
        """
        ...

    async def latest_attempt(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the latest attempt at the generation in force, however it ended."""
        ...

    async def rate_refusal(self, connection: Connection) -> Attempt | None:
        """Return the latest attempt that was refused as its user had logged in too often.

        Of any connection of the same user of the same org, this one too.
        """
        ...

    async def give_up_elsewhere(self) -> int:
        """Answer for attempts of the spool that nobody knows; return how many.

        Called when no journal is awaited any more. Not where one has an answer of a later
        generation, which is put in force without what is missing.
        """
        ...

    async def newest_attempt(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the attempt of the highest generation, foreseen ones too, however it ended.

        Not one of a grant that another one has replaced.
        """
        ...

    async def forget_attempts(self, *, ended_before: datetime, limit: int) -> int:
        """Remove attempts that ended so long ago; return how many.

        Only of generations before the one in force, none that waits for its spool, and never a
        connection's newest: by that one an older row put back is told.
        """
        ...

    async def open_attempts_of(self, spool_id: SpoolId) -> Sequence[Attempt]:
        """Return the attempts that wait for an answer of the spool they name.

        Without an outcome, or with an unknown one that the spool has not answered for; those of
        a connection in the order of their leases.
        """
        ...

    async def replace(self, connection: Connection, tokens: TokenSet, *, attempt: Attempt) -> bool:
        """Put `tokens` in force where generation and fence of `attempt` still are.

        Not where the connection is being ended, or is: nobody would revoke them there.
        `connection` is kept as it stands beside, and the attempt ends as `stored`, with its
        `retry_at`: all or nothing. False: somebody was first, and nothing changed.
        """
        ...

    async def renew(
        self,
        connection: Connection,
        tokens: TokenSet,
        *,
        instead_of: int,
        fence: int,
        anew: bool = False,
        superseded: ToRevoke | None = None,
    ) -> bool:
        """Put `tokens` in force, where no attempt was noted, as `replace` does.

        `instead_of` is the generation that has to be in force, `fence` that of the lease. `anew`
        says that access was granted anew: user, org's name, hosts and scopes are kept as well.
        `superseded` is what ends the grant before, kept with all that.
        """
        ...

    async def add(self, connection: Connection, tokens: TokenSet) -> bool:
        """Keep a new connection with its first token set: all or nothing.

        False where the app has a connection to that org for that customer, which is not revoked.

        Raises:
            OrgTaken: it has one for another customer, and does not allow that.
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
        retry_at: datetime | None = None,
    ) -> None:
        """Keep how an attempt ended, `presented_again`, and when another one may be of use.

        One whose answer is in force, or was left out, stays as it is; so does one that its spool
        has answered for, where `spool_answered` is False: who says so was paused meanwhile.
        `state` and `problem`, where a state is given, are kept on the connection if the attempt's
        generation is still in force.
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


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """All that a hot read needs, in one look at the database; no refresh token is opened for it.

    `basis` is what it rests on, None where it cannot be asked about later. `sealed` says that an
    operator stopped all use of tokens.
    """

    api_key: ApiKey | None
    connection: ConnectionInUse | None
    tokens: TokenInForce | None
    ending: bool
    basis: Basis | None = None
    sealed: bool = False


class ServingReads(Protocol):
    """The hot read. An adapter may gather several into one query."""

    async def read(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving:
        """Return the key with that hash and the connection with its token, each if kept."""
        ...

    def recall(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving | None:
        """Return what an earlier read found that could be served; None where none is remembered.

        It may have changed since: nothing of it goes out before `AuditLog.record_on` has
        found that its basis stands.
        """
        ...


class RevocationReason(StrEnum):
    """Why a grant is ended at Salesforce."""

    DISCONNECTED = "disconnected"
    SUPERSEDED = "superseded"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"
    VERIFIED = "verified"  # it came only to show that it comes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRevoke:
    """A revocation with its tokens, to be kept by whatever takes them out of their place.

    `tokens` is None where they do not open: nobody can present them, and it is given up at once.
    """

    revocation: Revocation
    tokens: Sequence[AccessToken | RefreshToken] | None


class Revocations(Protocol):
    """Grants to end, with their sealed tokens."""

    async def add(
        self, revocation: Revocation, tokens: Sequence[AccessToken | RefreshToken] | None
    ) -> None:
        """Keep the job; where it ends a connection, that one serves no more from now on.

        None: they do not open. The job is given up, and the connection `revoked`, at once.
        """
        ...

    async def claim_due(
        self, now: datetime, *, ttl: timedelta, limit: int
    ) -> Sequence[RevocationId]:
        """Return the jobs that are to be tried now, claimed for `ttl` by the database's clock.

        Nobody else gets one meanwhile; a job whose claimer dies is given to another after it.
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

    async def unfinished(self, connection_id: ConnectionId) -> Sequence[RevocationId]:
        """Return the jobs of grants that were in force on the connection and have not ended yet."""
        ...

    async def given_up(self, connection_id: ConnectionId) -> bool:
        """Tell whether a grant that was in force on the connection could not be ended.

        Its tokens do not open, so that nobody can present them.
        """
        ...

    async def postpone(self, revocation: Revocation, *, due_at: datetime) -> None:
        """Keep that the job was tried and when it is to be tried again."""
        ...


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
