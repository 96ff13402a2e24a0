"""Renew a connection's access token by its refresh token: the rotation-proof protocol.

A refresh token that was used and is presented again ends the grant, so each presentation is
noted before it is made, and what came back is on the spool before anything looks at it. What
an answer means is in `settle_attempt`; what to do about an attempt whose outcome nobody knows
is in `resolve_uncertain`.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import Final, NoReturn

import structlog

from keyturn_core.oauth.refresh_grant import refresh_request
from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown
from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.attempt import ELSEWHERE, Attempt, AttemptOutcome, SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.back_off import backed_off
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe, NotFound
from keyturn_service.domain.ids import ID_BYTES, AttemptId, ConnectionId, new_id
from keyturn_service.ports import (
    Apps,
    AuditLog,
    AuditUnavailable,
    Clock,
    DeadlinePassed,
    KeyedHash,
    Lease,
    Randomness,
    RefreshLeases,
    SealRefused,
    Spool,
    StaleWrite,
    StoreUnavailable,
    TokenEndpoint,
    TokenStore,
    Waiting,
)
from keyturn_service.use_cases.holding_off import HoldingOff
from keyturn_service.use_cases.presenting import Presenting
from keyturn_service.use_cases.renew_by_assertion import RenewByAssertion
from keyturn_service.use_cases.resolve_uncertain import ResolveUncertain
from keyturn_service.use_cases.settle_attempt import LOST_AGAIN, SettleAttempt

LEASE_TTL: Final = timedelta(seconds=60)
SAVE_TIME: Final = timedelta(seconds=15)  # of a lease; kept for spool and store after the call
_SOON: Final = 1  # seconds
_PATIENCE: Final = 25.0  # seconds a caller waits; the client's own time-out is 30
_JOURNALS: Final = 8.0  # seconds a caller waits for what a database forgot that was exchanged
_POLL: Final = 0.05  # seconds between looks while another replica holds the lease
_log = structlog.get_logger()


@dataclass(kw_only=True)
class RefreshTokens:
    """Renew token sets: one attempt at a time for all callers and all replicas.

    A lease outlives the longest call plus the time to keep what it brought; an endpoint with
    longer time-outs is refused with a ValueError.
    """

    store: TokenStore
    leases: RefreshLeases
    apps: Apps
    endpoint: TokenEndpoint
    spool: Spool
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    randomness: Randomness
    waiting: Waiting
    settle: SettleAttempt
    resolve: ResolveUncertain
    by_assertion: RenewByAssertion
    presenting: Presenting = field(default_factory=Presenting)
    holding_off: HoldingOff = field(default_factory=HoldingOff)
    _running: dict[ConnectionId, asyncio.Task[tuple[Connection, TokenSet]]] = field(
        default_factory=dict, init=False
    )
    # Connections with an attempt that nobody here is at work on, and whose end may not be known.
    left_open: set[ConnectionId] = field(default_factory=set, init=False)
    # Attempts whose request did not leave this process, and of which the database may not know.
    _unsent: dict[ConnectionId, set[AttemptId]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        longest = self.endpoint.connect_seconds + self.endpoint.answer_seconds
        if longest + SAVE_TIME.total_seconds() > LEASE_TTL.total_seconds():
            raise ValueError("a token call may outlast the lease that it is made under")

    async def __call__(
        self, connection_id: ConnectionId, *, refused: int
    ) -> tuple[Connection, TokenSet]:
        """Return a token set newer than generation `refused`, rotating at most once for it.

        Once more where the access token was lost on its way to us. All callers of this process
        share one attempt; a caller that goes away does not end it.

        Raises:
            ConnectionCannotServe: no newer token set can be had now; the code says why.
            NotFound: the connection has no token set.
        """
        again = False
        while True:
            task = self._running.get(connection_id)
            if task is None or task.done():  # done, and not forgotten yet: no turn came between
                task = asyncio.create_task(self._renew(connection_id, refused))
                self._running[connection_id] = task
                task.add_done_callback(lambda done: self._forget(connection_id, done))
            try:
                async with asyncio.timeout(_PATIENCE):
                    connection, tokens = await asyncio.shield(task)
            except TimeoutError:
                raise ConnectionCannotServe("org_unavailable", retry_after=5) from None
            if tokens.generation > refused:
                if tokens.expires_at is not None:
                    return connection, tokens
                if again:
                    raise ConnectionCannotServe("org_unavailable", retry_after=LOST_AGAIN)
                again = True
                refused = tokens.generation  # refused already, or lost on its way to us

    def is_under_way(self, connection_id: ConnectionId) -> bool:
        """Tell whether this process may do something yet about an attempt of a connection."""
        return connection_id in self._running

    async def end_unsent(self, attempt: Attempt) -> bool:
        """End an attempt whose request did not leave; False where that is not known here."""
        if attempt.id not in self._unsent.get(attempt.connection_id, ()):
            return False
        await self._not_presented(attempt)
        return True

    async def end(self) -> None:
        """Present nothing more, and wait for what is under way: what it brings has to be kept.

        As long as a call may take at most, and the keeping of its answer.
        """
        self.presenting.close({})
        if self._running:
            await asyncio.wait(set(self._running.values()), timeout=LEASE_TTL.total_seconds())

    def _forget(
        self, connection_id: ConnectionId, task: asyncio.Task[tuple[Connection, TokenSet]]
    ) -> None:
        if self._running.get(connection_id) is task:  # else the next one is there already
            del self._running[connection_id]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.info("refresh_ended", connection_id=connection_id, error=type(error).__name__)
        if task.cancelled() or not isinstance(error, ConnectionCannotServe | NotFound | None):
            self.left_open.add(connection_id)

    async def _renew(
        self, connection_id: ConnectionId, refused: int
    ) -> tuple[Connection, TokenSet]:
        began = self.clock.monotonic()
        give_up = began + LEASE_TTL.total_seconds()
        while True:
            connection, tokens = await self._load(connection_id)
            if tokens.generation > refused:
                return connection, tokens
            may = self.presenting.is_open or connection.renewal is not Renewal.REFRESH_TOKEN
            if not may and self.clock.monotonic() > began + _JOURNALS:
                raise StoreUnavailable("another database")
            lease = await self.leases.acquire(connection_id, ttl=LEASE_TTL) if may else None
            if lease is not None:
                break
            if self.clock.monotonic() > give_up:
                raise ConnectionCannotServe("org_unavailable", retry_after=5)
            await self.waiting.sleep(_POLL)
        try:
            attempt_or_tokens = await self._under_lease(lease, refused)
        finally:
            with contextlib.suppress(StoreUnavailable):  # it ends by itself then
                await self.leases.release(lease)
        if isinstance(attempt_or_tokens, Attempt):
            return await self.settle.wait_for_other(attempt_or_tokens)
        return attempt_or_tokens

    async def _under_lease(
        self, lease: Lease, refused: int
    ) -> tuple[Connection, TokenSet] | Attempt:
        connection, tokens = await self._load(lease.connection_id)
        if tokens.generation > refused:
            return connection, tokens  # another replica was first
        if connection.renewal is Renewal.JWT_BEARER:
            return await self.by_assertion(lease, connection, tokens)
        if tokens.generation != connection.generation:
            await self._halves_differ(connection, tokens)
        after = await self._respect_hold_off(connection, tokens)
        again = False
        earlier = await self._sent_before(lease.connection_id)
        if earlier is not None:
            if earlier.generation > tokens.generation:  # it came after this token, which is used up
                earlier = replace(
                    earlier, generation=tokens.generation, spool_id=ELSEWHERE, presented_again=True
                )
            elif earlier.outcome is AttemptOutcome.STORED:
                earlier = await self._put_back(earlier)
            found = await self.resolve(lease, connection, tokens, earlier)
            if isinstance(found, SpooledAnswer):
                earlier = replace(earlier, fence=lease.fence)
                return await self.settle(earlier, connection, tokens, found)
            if found is not None:
                return found
            again = True
        return await self.present(lease, connection, tokens, again=again, after=after)

    async def _sent_before(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the latest attempt that may have used the token up; end those that never left."""
        while True:
            attempt = await self.store.open_attempt(connection_id)
            if attempt is None:  # under the lease: no intent of ours is on its way any more
                self._unsent.pop(connection_id, None)
            if attempt is None or attempt.id not in self._unsent.get(connection_id, ()):
                return attempt
            await self._not_presented(attempt)

    async def _put_back(self, attempt: Attempt) -> Attempt:
        """Return an attempt whose answer was in force before an older row took its place.

        Its token is used up: it is not presented, and what the journal has of it is kept anew.
        """
        _log.error("older_row_found", connection_id=attempt.connection_id, attempt_id=attempt.id)
        await self._note(attempt, "token.older_row_found")
        return replace(attempt, outcome=None, spool_answered=False, presented_again=True)

    async def _halves_differ(self, connection: Connection, tokens: TokenSet) -> NoReturn:
        """Refuse a token set of another generation than its connection: one row was put back.

        Raises:
            SealRefused: always; nothing says which tokens are in force.
        """
        await self.audit.record(
            AuditEvent(
                type="token.older_row_found",
                at=self.clock.now(),
                workspace_id=connection.workspace_id,
                actor="system",
                connection_id=connection.id,
                detail={
                    "generation": tokens.generation,
                    "connection_generation": connection.generation,
                },
            )
        )
        raise SealRefused("connection and token set are of different generations")

    async def _respect_hold_off(self, connection: Connection, tokens: TokenSet) -> Attempt | None:
        """Leave the org alone for as long as its last refusal asks for, whoever heard it.

        Also where nothing left, or the access token was lost on its way to us. Returns the
        attempt that it was left alone for, once that is over.

        Raises:
            ConnectionCannotServe: it is too early; `retry_after` is what is left.
        """
        latest = await self.store.latest_attempt(connection.id)
        if latest is None and tokens.expires_at is None:
            before = await self.store.newest_attempt(connection.id)
            if before is not None and before.lost_access_token(before=tokens.generation):
                latest = before
        refused = latest is not None and latest.outcome is AttemptOutcome.REFUSED
        self._hold_off(latest, connection.problem if refused else None)
        # Logins are counted by user, whichever app or customer they are for.
        self._hold_off(await self.store.rate_refusal(connection), "login_rate_exceeded")
        return latest

    def _hold_off(self, refused: Attempt | None, reason: str | None) -> None:
        if refused is None or refused.hold_off is None:
            return
        rest = self.holding_off.rest(refused.id, refused.hold_off, self.clock.now())
        if rest > timedelta(0):
            raise ConnectionCannotServe(
                "org_unavailable", reason=reason, retry_after=ceil(rest.total_seconds())
            )

    async def present(
        self,
        lease: Lease,
        connection: Connection,
        tokens: TokenSet,
        *,
        again: bool,
        after: Attempt | None = None,
    ) -> tuple[Connection, TokenSet] | Attempt:
        """Present the refresh token, once, and return what is in force then.

        Returns the attempt where the org says that another presentation is under way.

        Raises:
            ConnectionCannotServe: the attempt brought no token set.
            StoreUnavailable: the database was exchanged, and what it forgot is not there yet; or
                the spool's disk takes nothing.
        """
        with self.presenting.of(connection.id, tokens.generation):
            return await self._present(lease, connection, tokens, again=again, after=after)

    async def _present(
        self,
        lease: Lease,
        connection: Connection,
        tokens: TokenSet,
        *,
        again: bool,
        after: Attempt | None,
    ) -> tuple[Connection, TokenSet] | Attempt:
        client = await self.apps.client(connection.workspace_id, connection.app_id)
        if client is None or tokens.refresh_token is None:
            raise ConnectionCannotServe(
                "reauthorization_required",
                reason="consumer_credentials_missing" if client is None else "scopes_missing",
            )
        await self.store.prepare(connection.workspace_id)  # what the answer brings can be kept
        attempt = self._attempt(
            lease,
            connection,
            token=tokens.refresh_token,
            generation=tokens.generation,
            again=again,
        )
        await self._note(attempt, "token.presented_again" if again else "token.presented")
        try:
            await self.store.begin_attempt(attempt)
        except StaleWrite:
            await self._note(attempt, "token.not_presented")
            raise ConnectionCannotServe("org_unavailable", retry_after=1) from None
        except StoreUnavailable:  # the intent may be durable all the same
            with contextlib.suppress(StoreUnavailable, AuditUnavailable):
                await self._not_presented(attempt)
            raise
        body = refresh_request(client, tokens.refresh_token)
        nothing = SpooledAnswer(
            attempt_id=attempt.id,
            workspace_id=attempt.workspace_id,
            connection_id=attempt.connection_id,
            generation=attempt.generation,
            received_at=attempt.started_at,
            status=None,
            body=b"",
            complete=False,
            token_hash=attempt.token_hash,
            authorized_at=connection.authorized_at,
            presented_again=attempt.presented_again,
        )
        await self._intend(attempt, nothing)
        spooled, retry_after = nothing, None
        try:
            answer = await self.endpoint.present(
                connection.login_url, body, deadline=self._latest_start(lease)
            )
        except (NotProcessed, DeadlinePassed):
            held_off = _left_alone(after, unreached=True)
            wait = backed_off(_SOON, before=held_off, attempt_id=attempt.id)
            await self._not_presented(attempt, wait=wait)
            raise ConnectionCannotServe("org_unavailable", retry_after=wait) from None
        except OutcomeUnknown:
            pass  # the spool will say that nothing came
        else:
            retry_after = answer.retry_after
            spooled = replace(
                nothing, status=answer.status, body=answer.body, complete=answer.complete
            )
        late = self.clock.monotonic() - lease.deadline
        spooled = replace(spooled, received_at=self.clock.now())
        try:
            await self.spool.put(spooled)
        except OSError as error:  # a full disk must not cost a token that is in our hands
            _log.error("spool_failed", attempt_id=attempt.id, error=type(error).__name__)
        self._unsent.pop(connection.id, None)
        try:
            held_off = _left_alone(after, unreached=False)
            return await self.settle(
                attempt, connection, tokens, spooled, retry_after=retry_after, held_off=held_off
            )
        finally:
            if late > 0:
                await self._count_late(attempt, round(late * 1000))

    async def _intend(self, attempt: Attempt, nothing: SpooledAnswer) -> None:
        """Have the journal know of the attempt, too: an older database that is restored will not.

        Raises:
            StoreUnavailable: the disk is full or gone: it would not take the answer either, and
                a token that is not presented is not lost.
        """
        try:
            await self.spool.intend(nothing)
        except OSError as error:
            _log.error("intent_not_spooled", attempt_id=attempt.id, error=type(error).__name__)
            await self._not_presented(attempt)
            raise StoreUnavailable("the spool cannot be written") from None

    def _latest_start(self, lease: Lease) -> float:
        """Return when the first byte may leave at the latest, of the monotonic clock.

        From then on a whole answer can come and be kept before the lease ends.
        """
        return lease.deadline - self.endpoint.answer_seconds - SAVE_TIME.total_seconds()

    async def _count_late(self, attempt: Attempt, milliseconds: int) -> None:
        """Record a call that ended after its lease: this process was paused in the middle of it.

        Where that happened between the last look at the deadline and the first byte, another
        replica may have presented the same token before.
        """
        _log.warning(
            "token_presented_late",
            connection_id=attempt.connection_id,
            attempt_id=attempt.id,
            late_ms=milliseconds,
        )
        await self._note(attempt, "token.presented_late", late_ms=milliseconds)

    def _attempt(
        self,
        lease: Lease,
        connection: Connection,
        *,
        token: RefreshToken,
        generation: int,
        again: bool,
    ) -> Attempt:
        return Attempt(
            id=AttemptId(new_id("att", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=connection.workspace_id,
            connection_id=connection.id,
            generation=generation,
            fence=lease.fence,
            token_hash=self.hashes("refresh_token", token),
            spool_id=self.spool.id,
            started_at=self.clock.now(),
            presented_again=again,
            outcome=None,
            spool_answered=False,
            ended_at=None,
        )

    async def _not_presented(self, attempt: Attempt, *, wait: int = _SOON) -> None:
        """End an attempt whose request did not leave; this process remembers that meanwhile.

        On record first: the next presentation of the token is none that needs a decision. It
        may be made in `wait` seconds.
        """
        self._unsent.setdefault(attempt.connection_id, set()).add(attempt.id)
        await self.spool.not_sent(attempt.id)
        await self._note(attempt, "token.not_presented")
        now = self.clock.now()
        await self.store.end_attempt(
            attempt,
            AttemptOutcome.NOT_PRESENTED,
            at=now,
            spool_answered=True,
            retry_at=now + timedelta(seconds=wait),
        )
        unknown = self._unsent[attempt.connection_id] - {attempt.id}
        if unknown:
            self._unsent[attempt.connection_id] = unknown
        else:
            del self._unsent[attempt.connection_id]

    async def _load(self, connection_id: ConnectionId) -> tuple[Connection, TokenSet]:
        loaded = await self.store.load(connection_id)
        if loaded is None:
            raise NotFound("connection")
        connection, _ = loaded
        if connection.state is ConnectionState.REVOKED:
            raise ConnectionCannotServe("connection_revoked")
        if connection.state is ConnectionState.REAUTHORIZATION_REQUIRED:
            raise ConnectionCannotServe("reauthorization_required", reason=connection.problem)
        if connection.state is ConnectionState.PENDING:
            raise ConnectionCannotServe("connection_pending")
        return loaded

    async def _note(self, attempt: Attempt, type_: str, **more: int) -> None:
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
                    "token_hash": attempt.token_hash.hex(),
                    "spool_id": attempt.spool_id,
                    **more,
                },
            )
        )


def _left_alone(after: Attempt | None, *, unreached: bool) -> timedelta | None:
    """Return for how long the org was left alone; None where it was for another reason.

    `unreached` tells whether nothing had left, or the org had said something.
    """
    if after is None or (after.outcome is AttemptOutcome.NOT_PRESENTED) is not unreached:
        return None
    if after.hold_off is not None:
        return after.hold_off.length
    return timedelta(0) if after.outcome is AttemptOutcome.STORED else None
