"""Connect sessions: one attempt of one customer to connect, ended by the vendor's confirmation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId
from keyturn_service.domain.connection import ConnectedUser
from keyturn_service.domain.ids import (
    AppId,
    AttemptId,
    ConnectionId,
    ConnectSessionId,
    CustomerId,
    WorkspaceId,
)

LINK_LIFE: Final = timedelta(minutes=30)
STATE_LIFE: Final = timedelta(minutes=15)  # as long as Salesforce's authorization code lives
CONFIRMATION_LIFE: Final = timedelta(minutes=10)


class SessionStatus(StrEnum):
    """Where a connect session stands."""

    OPEN = "open"
    AUTHORIZING = "authorizing"
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"


class Delivery(StrEnum):
    """Whose browser authorizes: the asking user's own, or someone else's (an admin's)."""

    OWN = "own"
    SHARED = "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """One trip to Salesforce: what the authorization response must match.

    `state_hash` and `browser_hash` are keyed hashes; the code verifier rests sealed beside.
    """

    state_hash: bytes
    browser_hash: bytes
    login_url: Origin
    environment: Environment | None
    redirect_uri: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSession:
    """One attempt of one customer to connect.

    `link_hash` is the keyed hash of the secret in the link. `origin` is the face of this
    service that the API call came by; link, callback and pages stay on it. `pending_connection`
    is the connection that a confirmation makes active. `said` is what Salesforce said to a
    refusal, fit to be shown. `confirmed_by` is the keyed hash of the request that confirmed it,
    where that can come again.
    """

    id: ConnectSessionId
    workspace_id: WorkspaceId
    app_id: AppId
    customer_id: CustomerId
    return_url: str
    delivery: Delivery
    environment: Environment | None
    login_url: Origin | None
    reauthorizes: ConnectionId | None
    origin: str
    link_hash: bytes
    status: SessionStatus
    created_at: datetime
    expires_at: datetime
    authorization: Authorization | None
    org_id: OrgId | None
    org_name: str | None
    user: ConnectedUser | None
    confirmation_hash: bytes | None
    confirmation_expires_at: datetime | None
    connection_id: ConnectionId | None
    problem: str | None
    version: int
    said: str | None = None
    confirmed_by: bytes | None = None

    def status_at(self, now: datetime) -> SessionStatus:
        """Return the status, ended by time where its time is over."""
        if self.status in {SessionStatus.COMPLETED, SessionStatus.FAILED, SessionStatus.EXPIRED}:
            return self.status
        return SessionStatus.EXPIRED if now >= self.ends_at() else self.status

    def ends_at(self) -> datetime:
        """Return when the present step is over."""
        if self.status is SessionStatus.AWAITING_CONFIRMATION and self.confirmation_expires_at:
            return self.confirmation_expires_at
        if self.status is SessionStatus.AUTHORIZING and self.authorization:
            return self.authorization.expires_at
        return self.expires_at

    def cut_short(self) -> ConnectSession:
        """Return the session with no time left to confirm it, on whichever clock."""
        return replace(self, confirmation_expires_at=self.created_at)

    @property
    def never_came_back(self) -> bool:
        """Whether a browser went to Salesforce, and time ended the session before it returned.

        Some refusals Salesforce shows on a page of its own, and sends nobody on from there.
        """
        gone = self.authorization is not None and self.connection_id is None
        return self.status is SessionStatus.EXPIRED and gone

    def failed(self, problem: str, said: str | None = None) -> ConnectSession:
        """Return the session as it stands after `problem`, a code of the catalogue."""
        status = SessionStatus.EXPIRED if problem == "session_expired" else SessionStatus.FAILED
        return replace(self, status=status, problem=problem, said=said, confirmation_hash=None)


def exchange_of(session_id: ConnectSessionId, trip: Authorization) -> AttemptId:
    """Return the name under which a spool keeps what the code of a trip brings.

    Each trip has its own: its code verifier is taken once, and so is its code presented.
    """
    return AttemptId(f"{session_id}.{trip.state_hash[:8].hex()}")


def session_of(exchange: AttemptId) -> ConnectSessionId:
    """Return whose trip an exchange was; earlier releases named it by the session alone."""
    return ConnectSessionId(exchange.partition(".")[0])
