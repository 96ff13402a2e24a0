"""Connections and their token sets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId, UserId
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId, WorkspaceId

IDLE_LIMIT: Final = timedelta(days=30)  # design.md 5.11; the idle limit of partner apps
FIXED_LIFETIME: Final = timedelta(days=365)  # what a deployed app's policy comes up with
KEPT_FROM: Final = timedelta(days=10)  # since the last refresh, at the earliest
KEPT_BY: Final = timedelta(days=24)  # at the latest: six days are left for an org that is away
WARNED_AHEAD: Final = (timedelta(days=30), timedelta(days=7), timedelta(days=1))
SESSION_MARGIN: Final = timedelta(seconds=60)  # served only while this far from the learned end
DEFAULT_SESSION: Final = timedelta(hours=2)  # Salesforce's default session timeout
SHORTEST_SESSION: Final = timedelta(minutes=15)  # the shortest timeout an admin can choose


class ConnectionState(StrEnum):
    """Where a connection stands; see the reference page on states."""

    PENDING = "pending"
    ACTIVE = "active"
    UNCERTAIN = "uncertain"
    REAUTHORIZATION_REQUIRED = "reauthorization_required"
    REVOKED = "revoked"


class Renewal(StrEnum):
    """How a new access token is got."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a word, not a secret
    JWT_BEARER = "jwt_bearer"


class DiesBecause(StrEnum):
    """Why a connection will end at `dies_at` when nobody does anything."""

    IDLE = "idle"
    FIXED_LIFETIME = "fixed_lifetime"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedUser:
    """The Salesforce user who let the vendor in."""

    id: UserId
    username: str
    email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInForce:
    """The access token of a generation, opened; it never leaves memory in this form.

    `expires_at` is the learned end of the access token, None where it was refused already.
    """

    generation: int
    access_token: AccessToken
    received_at: datetime
    expires_at: datetime | None

    def serves(self, now: datetime) -> bool:
        """Tell whether the access token is safely inside its learned life."""
        return self.expires_at is not None and now < self.expires_at - SESSION_MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet(TokenInForce):
    """What one token response put in force: the access token, and what renews it."""

    refresh_token: RefreshToken | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInUse:
    """What serving a token or a call needs of a connection, and no more: it is read a lot."""

    id: ConnectionId
    workspace_id: WorkspaceId
    state: ConnectionState
    environment: Environment
    org_id: OrgId
    user_id: UserId
    instance_url: Origin
    scopes: frozenset[Scope]
    session_life: timedelta
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One customer's org that let the vendor in.

    A connection keeps its org for life: authorizing it from another org is a mistake or an
    attack, never an update. `authorized_at` is the time of the last grant: a fixed lifetime
    counts from it. `problem` is a code of the catalogue, or None. `audience` is the one that the
    login host took an assertion for. `taken_over_at` is since when assertions stand in for a
    refresh token that was lost. `warned_at` is when its owner was last told that it will end.
    """

    id: ConnectionId
    workspace_id: WorkspaceId
    app_id: AppId
    customer_id: CustomerId
    state: ConnectionState
    environment: Environment
    org_id: OrgId
    org_name: str | None
    instance_url: Origin
    login_url: Origin
    user: ConnectedUser
    scopes: frozenset[Scope]
    renewal: Renewal
    keep_alive: bool
    generation: int
    session_life: timedelta
    created_at: datetime
    authorized_at: datetime
    last_used_at: datetime | None
    last_refreshed_at: datetime | None
    problem: str | None
    audience: str | None = None
    taken_over_at: datetime | None = None
    warned_at: datetime | None = None

    @property
    def last_renewed_at(self) -> datetime:
        """The moment from which it is idle for Salesforce."""
        return self.last_refreshed_at or self.authorized_at

    def refresh_due(self) -> datetime | None:
        """Return when it is to be refreshed only to stay alive; None where nobody does that.

        A moment of its own for each connection and generation: connections that were made on
        one day are not refreshed on one day.
        """
        if not self._lives or self.renewal is not Renewal.REFRESH_TOKEN or not self.keep_alive:
            return None
        digest = hashlib.sha256(f"{self.id}:{self.generation}".encode()).digest()
        share = int.from_bytes(digest[:8]) / 2**64
        return self.last_renewed_at + KEPT_FROM + share * (KEPT_BY - KEPT_FROM)

    def warnings(self, *, certificate_ends: datetime | None = None) -> Sequence[datetime]:
        """Return when its owner is to be told that it will end, those to come, soonest first.

        What lives shorter than a warning's lead is not announced by it, and what the vendor has
        let go is not announced at all.
        """
        ends, _ = self.dies(certificate_ends=certificate_ends)
        if ends is None or not self.keep_alive:
            return []
        told = max(self.authorized_at, self.warned_at or self.authorized_at)
        return [ends - ahead for ahead in WARNED_AHEAD if ends - ahead > told]

    def due_at(self) -> datetime | None:
        """Return when something is to be done for it by itself; None where nothing is.

        When that is for a connection that is renewed by assertions its app's certificate says,
        so that one is to be looked at first.
        """
        if self.renewal is Renewal.JWT_BEARER:
            return self.last_renewed_at if self._lives else None
        return self.due_by()

    def due_by(self, *, certificate_ends: datetime | None = None) -> datetime | None:
        """Return when something is to be done, given when the app's certificate ends."""
        due = self.refresh_due()
        warnings = self.warnings(certificate_ends=certificate_ends)
        return min([*warnings, *([] if due is None else [due])], default=None)

    @property
    def _lives(self) -> bool:
        return self.state in {ConnectionState.ACTIVE, ConnectionState.UNCERTAIN}

    def dies(
        self, *, certificate_ends: datetime | None = None
    ) -> tuple[datetime, DiesBecause] | tuple[None, None]:
        """Return when the connection ends if nobody acts, and why.

        A connection that is kept alive is refreshed long before it is idle for 30 days, so
        only the fixed lifetime of the org's policy ends it. What is renewed by assertions knows
        neither: it ends with the certificate that verifies them.
        """
        if not self._lives:
            return None, None
        if self.renewal is Renewal.JWT_BEARER:
            if certificate_ends is None:
                return None, None
            return certificate_ends, DiesBecause.CERTIFICATE
        fixed = self.authorized_at + FIXED_LIFETIME
        idle = self.last_renewed_at + IDLE_LIMIT
        if not self.keep_alive and idle < fixed:
            return idle, DiesBecause.IDLE
        return fixed, DiesBecause.FIXED_LIFETIME

    def in_use(self) -> ConnectionInUse:
        """Return what serving needs of it."""
        return ConnectionInUse(
            id=self.id,
            workspace_id=self.workspace_id,
            state=self.state,
            environment=self.environment,
            org_id=self.org_id,
            user_id=self.user.id,
            instance_url=self.instance_url,
            scopes=self.scopes,
            session_life=self.session_life,
            problem=self.problem,
        )

    def with_problem(self, state: ConnectionState, problem: str | None) -> Connection:
        """Return the connection in another state, with what is wrong with it."""
        return replace(self, state=state, problem=problem)


def learned_session(current: timedelta, *, refused_at_age: timedelta) -> timedelta:
    """Return the session length after an access token was refused at an age.

    A refusal inside the shortest timeout that an admin can choose says nothing about the
    length (a session was ended by hand), so it changes nothing; a later one shortens it.
    """
    if refused_at_age < SHORTEST_SESSION:
        return current
    return min(current, refused_at_age)
