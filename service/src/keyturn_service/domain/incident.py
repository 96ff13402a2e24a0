"""Incidents: an operator ends every grant, and what became of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.domain.connection import ConnectionState, Renewal
from keyturn_service.domain.ids import AppId, ConnectionId, IncidentId, WorkspaceId

PROBLEM: Final = "revoked_in_incident"
"""Why a connection of an incident serves no more, until access is granted anew."""
AT_ONCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When a grant is due that was just listed: now, by every clock there may be."""
LINKS_LIVE: Final = timedelta(days=7)
_DEAD_ALREADY: Final = frozenset({"grant_revoked", "grant_expired", "user_not_approved"})
_LOST: Final = frozenset({"connection_uncertain", "refresh_token_lost"})
_LONGEST_PAUSE: Final = timedelta(minutes=15)


class IncidentOutcome(StrEnum):
    """What became of a grant."""

    REVOKED = "revoked"
    ADMIN = "admin"


class Because(StrEnum):
    """How a grant ended, or why somebody has to look after it in the customer's org."""

    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a word, not a secret
    ACCESS_TOKEN = "access_token"  # noqa: S105 - as above
    ENDED_BEFORE = "ended_before"
    ANSWER_LOST = "answer_lost"
    CONNECTED_AGAIN = "connected_again"
    OUTCOME_UNKNOWN = "outcome_unknown"
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 - as above
    PRE_AUTHORIZED = "pre_authorized"
    DOES_NOT_OPEN = "does_not_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose grants: those of a workspace, of an app, or all of them."""

    workspace_id: WorkspaceId | None = None
    app_id: AppId | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole service."""
        return self.workspace_id is None and self.app_id is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One bad day. `reason` is in the operator's words."""

    id: IncidentId
    scope: Scope
    reason: str
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantToEnd:
    """A grant that an incident ends, claimed by whoever got this.

    `was` and `problem` are what its connection said before, or would say after a refresh that was
    under way; `authorized_at` is of the grant. `unanswered` says that its refresh token was
    presented before and nobody knows what Salesforce said: that one may have ended the grant.
    """

    incident_id: IncidentId
    connection_id: ConnectionId
    workspace_id: WorkspaceId
    login_url: Origin
    was: ConnectionState
    problem: str | None
    authorized_at: datetime
    attempts: int
    unanswered: bool

    def pause(self) -> timedelta:
        """Return how long to wait after a try that did not succeed.

        Twice as long each time, a quarter of an hour at most; half of it a part of the grant's
        own, so that what failed together does not come back together.
        """
        whole = min(timedelta(seconds=2 ** min(self.attempts + 1, 12)), _LONGEST_PAUSE)
        share = hashlib.sha256(f"{self.connection_id}:{self.attempts}".encode()).digest()[0]
        return whole / 2 + whole / 2 * (share / 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What Salesforce said of a grant's tokens: True it ended them just now, False it knows none.

    None: that token was not presented.
    """

    refresh_token: bool | None = None
    access_token: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a grant, how or why, and whether its access token was ended by us."""

    outcome: IncidentOutcome
    because: Because
    access_token_ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentGrant:
    """A grant in the incident's list: what is known of it now.

    `due_at` is `AT_ONCE` until it is put off, and None once it is done. `tried_with` is what the
    last try failed by.
    """

    connection_id: ConnectionId
    workspace_id: WorkspaceId
    was: ConnectionState
    problem: str | None
    due_at: datetime | None
    attempts: int
    tried_with: str | None
    outcome: IncidentOutcome | None
    because: Because | None
    access_token_ended: bool
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an incident is: numbers of grants.

    `waiting` were not tried yet; `failed` were, and are tried again by themselves.
    """

    waiting: int
    failed: int
    revoked: int
    admin: int
    last_ended_at: datetime | None

    @property
    def total(self) -> int:
        """How many grants it lists."""
        return self.waiting + self.failed + self.revoked + self.admin

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be done by the service."""
        return not self.waiting and not self.failed


def asks_for_access_token(*, refresh_token: bool | None, renewal: Renewal) -> bool:
    """Tell whether the access token has to be revoked by itself.

    A refresh token that Salesforce ended took its access tokens along; what assertions brought
    is of no refresh token. Spec: Salesforce Help, "Revoke OAuth Tokens".
    """
    return not refresh_token or renewal is Renewal.JWT_BEARER


def judge(grant: GrantToEnd, renewal: Renewal, revoked: Revoked, *, in_session: bool) -> Verdict:
    """Say what became of a grant by what Salesforce said of its tokens.

    `in_session` says that the access token's learned end is still to come. An access token takes
    nothing along: where the refresh token is one that Salesforce does not know, another one may
    be in force, and an admin has to look. Where the answer to a presentation before was lost, an
    access token tells that should still serve: it is dead only if that one ended the grant. One
    whose session is over tells nothing, and nor does one of a grant that was in doubt before.
    """
    ended = bool(revoked.access_token) or revoked.refresh_token is True
    outcome, because = _judged(grant, renewal, revoked, in_session=in_session)
    return Verdict(outcome=outcome, because=because, access_token_ended=ended)


def _judged(
    grant: GrantToEnd, renewal: Renewal, revoked: Revoked, *, in_session: bool
) -> tuple[IncidentOutcome, Because]:
    match revoked.refresh_token:
        case True:
            return IncidentOutcome.REVOKED, Because.REFRESH_TOKEN
        case None if renewal is Renewal.JWT_BEARER:
            return IncidentOutcome.ADMIN, Because.PRE_AUTHORIZED
        case None:
            return IncidentOutcome.REVOKED, Because.ACCESS_TOKEN
        case _:
            told = in_session and not revoked.access_token
            return _judged_without(grant, access_token_told=told)


def _judged_without(
    grant: GrantToEnd, *, access_token_told: bool
) -> tuple[IncidentOutcome, Because]:
    """Judge a grant whose refresh token Salesforce does not know.

    `access_token_told`: the access token does not serve any more, and should.
    """
    if _is_known_dead(grant):
        return IncidentOutcome.REVOKED, Because.ENDED_BEFORE
    if grant.was is ConnectionState.UNCERTAIN or grant.problem in _LOST:
        return IncidentOutcome.ADMIN, Because.OUTCOME_UNKNOWN
    if grant.was is ConnectionState.ACTIVE and grant.unanswered and access_token_told:
        return IncidentOutcome.REVOKED, Because.ANSWER_LOST
    return IncidentOutcome.ADMIN, Because.TOKEN_UNKNOWN


def _is_known_dead(grant: GrantToEnd) -> bool:
    """Tell whether Salesforce said before that the grant has ended."""
    required = grant.was is ConnectionState.REAUTHORIZATION_REQUIRED
    return required and grant.problem in _DEAD_ALREADY
