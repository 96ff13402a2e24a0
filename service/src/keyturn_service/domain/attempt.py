"""Attempts: one presentation of a token, noted before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.domain.ids import AttemptId, ConnectionId, SpoolId, WorkspaceId

ELSEWHERE: Final = SpoolId("")
"""The spool of an attempt that another replica's journal has; which one, nobody knows."""


class AttemptOutcome(StrEnum):
    """How an attempt ended; an attempt without one is open."""

    STORED = "stored"  # a token response is in the database
    REFUSED = "refused"  # a complete refusal: the token was not used up
    NOT_PRESENTED = "not_presented"  # no byte of the request left
    NOT_PROCESSED = "not_processed"  # the org said so: 429 or 503
    BUSY = "busy"  # another presentation of the same token was under way
    UNKNOWN = "unknown"  # the outcome is not known; spool_answered says whether its spool spoke
    SUPERSEDED = "superseded"  # a later grant made it meaningless


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOff:
    """A wait that was asked for, by the clock of the replica that was told."""

    until: datetime
    length: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The intent to present one token, committed before the call.

    `token_hash` is a keyed hash of the token about to be presented. `spool_answered` is True
    once the spool it names has said that it holds nothing for it, or was declared lost.
    `presented_again` marks the one decided second presentation, or a token that is known to be
    used up: it is not presented once more. `retry_at` is there where the refusal said when
    another presentation may be of use, and where the access token was lost on its way to us.
    """

    id: AttemptId
    workspace_id: WorkspaceId
    connection_id: ConnectionId
    generation: int
    fence: int
    token_hash: bytes
    spool_id: SpoolId
    started_at: datetime
    presented_again: bool
    outcome: AttemptOutcome | None
    spool_answered: bool
    ended_at: datetime | None
    retry_at: datetime | None = None

    @property
    def waits_for_its_spool(self) -> bool:
        """Whether an answer on the spool it names would still settle it.

        Another replica that asks first can only note that the outcome is unknown.
        """
        if self.outcome is None:
            return True
        return self.outcome is AttemptOutcome.UNKNOWN and not self.spool_answered

    def lost_access_token(self, *, before: int) -> bool:
        """Tell whether it brought generation `before`, and the access token was cut off."""
        stored = self.outcome is AttemptOutcome.STORED and self.generation == before - 1
        return stored and self.retry_at is not None

    @property
    def hold_off(self) -> HoldOff | None:
        """How long no other presentation is of use, where a refusal said so.

        None where that was over when it was noted: the answer had waited on a spool.
        """
        if self.retry_at is None or self.ended_at is None or self.retry_at <= self.ended_at:
            return None
        return HoldOff(until=self.retry_at, length=self.retry_at - self.ended_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledAnswer:
    """What came back for an attempt, as received, before anything looked at it.

    `status` is None where no status line came at all: the spool then says "nothing".
    `token_hash` and `presented_again` are the attempt's; the former is empty where none is
    known. `authorized_at` is the time of the grant that it is of, None where that is not known.
    `login_url` is where a code was presented, None for what is no answer to one.
    """

    attempt_id: AttemptId
    workspace_id: WorkspaceId
    connection_id: ConnectionId
    generation: int
    received_at: datetime
    status: int | None
    body: bytes
    complete: bool
    token_hash: bytes = b""
    authorized_at: datetime | None = None
    presented_again: bool = False
    login_url: Origin | None = None
