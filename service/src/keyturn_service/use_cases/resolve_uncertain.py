"""Decide what to do about an attempt whose outcome is not known.

In this order: the spool that the attempt names delivers; an assertion for the stored user takes
over, where the app has a signing key and the user is let in by it; only where that spool has said
"nothing for this attempt" (or was declared lost) and nothing else serves, the stored token may be
presented once more. Each step is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import Final

import structlog

from keyturn_service.domain.attempt import Attempt, AttemptOutcome, HoldOff, SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, ConnectionState, TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import AuditLog, Clock, Lease, Spool, StoreUnavailable, TokenStore
from keyturn_service.use_cases.holding_off import HoldingOff, Pausing
from keyturn_service.use_cases.renew_by_assertion import RenewByAssertion

PAUSE: Final = timedelta(seconds=60)  # what was under way at the org has ended by then
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveUncertain:
    """Find the answer of an attempt, or the right to present its token once more."""

    store: TokenStore
    spool: Spool
    by_assertion: RenewByAssertion
    audit: AuditLog
    clock: Clock
    holding_off: HoldingOff = field(default_factory=HoldingOff)
    pausing: Pausing = field(default_factory=Pausing)

    async def __call__(
        self, lease: Lease, connection: Connection, tokens: TokenSet, attempt: Attempt
    ) -> SpooledAnswer | tuple[Connection, TokenSet] | None:
        """Return the spooled answer to settle, or what an assertion brought.

        None where the token may be presented again. Called under the lease, where the access
        token serves no more.

        Raises:
            ConnectionCannotServe: neither; the connection stays uncertain, or needs the customer.
            StoreUnavailable: the spool's disk cannot be read.
        """
        if attempt.spool_id == self.spool.id and not attempt.spool_answered:
            spooled = await self._spooled(attempt)
            if spooled is not None:
                return spooled
            attempt = await self.found_open(attempt)  # also where another replica asked first
        elif attempt.outcome is None:
            attempt = await self.found_open(attempt)
        rest = self._rest_of_pause(attempt)
        taken_over = await self.by_assertion.take_over(lease, connection, tokens)
        if taken_over is not None:
            return taken_over
        if not attempt.spool_answered:
            raise ConnectionCannotServe("connection_uncertain", retry_after=60)
        if attempt.presented_again:
            await self._needs_customer(connection, attempt)
            raise ConnectionCannotServe("reauthorization_required", reason="connection_uncertain")
        if rest > timedelta(0):
            raise ConnectionCannotServe(
                "connection_uncertain", retry_after=ceil(rest.total_seconds())
            )
        await self._note(attempt, "token.decided_to_present_again", "nothing else serves")
        return None

    def _rest_of_pause(self, attempt: Attempt) -> timedelta:
        """Return what is left of the pause, which is never shorter where clocks differ.

        What another replica ended is met here before its spool has answered, mostly: the pause
        counts from then.
        """
        pause = HoldOff(until=(attempt.ended_at or attempt.started_at) + PAUSE, length=PAUSE)
        now = self.clock.now()
        if attempt.spool_id == self.spool.id:  # this replica's own clock told when it ended
            return self.holding_off.rest(attempt.id, pause, now)
        return self.pausing.rest(attempt.id, pause, now=now, monotonic=self.clock.monotonic())

    async def _spooled(self, attempt: Attempt) -> SpooledAnswer | None:
        try:
            return await self.spool.get(attempt.id)
        except OSError as error:  # nobody knows whether the answer lies there
            _log.error("spool_not_read", attempt_id=attempt.id, error=type(error).__name__)
            raise StoreUnavailable("the spool cannot be read") from None

    async def found_open(self, attempt: Attempt) -> Attempt:
        """Keep that an attempt without an answer ended with its process; return it so."""
        answered = attempt.spool_id == self.spool.id
        now = self.clock.now()
        state = (
            ConnectionState.REAUTHORIZATION_REQUIRED
            if attempt.presented_again and answered
            else ConnectionState.UNCERTAIN
        )
        await self._note(
            attempt,
            "token.outcome_unknown",
            "process ended" if answered else "another replica's spool has not answered",
        )
        await self.store.end_attempt(
            attempt,
            AttemptOutcome.UNKNOWN,
            at=now,
            spool_answered=answered,
            state=state,
            problem="connection_uncertain",
        )
        return replace(
            attempt, outcome=AttemptOutcome.UNKNOWN, spool_answered=answered, ended_at=now
        )

    async def _needs_customer(self, connection: Connection, attempt: Attempt) -> None:
        await self.store.set_state(
            connection.id,
            generation=attempt.generation,
            state=ConnectionState.REAUTHORIZATION_REQUIRED,
            problem="connection_uncertain",
        )
        await self._note(attempt, "connection.reauthorization_required", "presented twice")

    async def _note(self, attempt: Attempt, type_: str, because: str) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=attempt.workspace_id,
                actor="system",
                connection_id=attempt.connection_id,
                detail={
                    "attempt_id": attempt.id,
                    "generation": attempt.generation,
                    "because": because,
                },
            )
        )
