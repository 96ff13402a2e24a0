"""Deliver what lies on the spool, and find what died without leaving anything there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import structlog

from keyturn_core.errors import CoreError
from keyturn_core.oauth.authorization_code_grant import read_authorization_code_answer
from keyturn_core.oauth.token_answer import TokenAnswer, TokenResponse
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.attempt import Attempt, AttemptOutcome, SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import (
    Authorization,
    ConnectSession,
    SessionStatus,
    exchange_of,
    session_of,
)
from keyturn_service.domain.connection import TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import AttemptId, ConnectionId
from keyturn_service.ports import (
    AuditLog,
    Clock,
    Connections,
    ConnectSessions,
    PendingGrant,
    RefreshLeases,
    RevocationReason,
    SealRefused,
    SealUnavailable,
    Spool,
    TokenStore,
)
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL, RefreshTokens
from keyturn_service.use_cases.resolve_uncertain import ResolveUncertain
from keyturn_service.use_cases.settle_attempt import SettleAttempt

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverSpool:
    """Bring answers of this replica's spool to the database, each under the refresh lease."""

    store: TokenStore
    connections: Connections
    sessions: ConnectSessions
    leases: RefreshLeases
    settle: SettleAttempt
    resolve: ResolveUncertain
    end_grant: EndGrant
    refresh: RefreshTokens
    spool: Spool
    audit: AuditLog
    clock: Clock

    async def recover(self) -> None:
        """Account for every attempt that an earlier run of this replica left open.

        Called once, before anything is served: no attempt of this spool is under way then.
        """
        await self.leases.release_earlier_runs()
        await self()
        for attempt in await self.store.open_attempts_of(self.spool.id):
            self.refresh.left_open.add(attempt.connection_id)  # where it is not ended now
            with _going_on(attempt.id):
                spooled = await self.spool.get(attempt.id)
                if spooled is None:
                    await self.resolve.found_open(attempt)
                else:  # "busy": what was waited for did not come while this replica was there
                    await self._deliver(spooled)

    async def __call__(self) -> int:
        """Deliver what can be delivered now; return how many answers that were."""
        delivered = await self._deliver_all()
        await self._end_left_open()
        return delivered

    async def _deliver_all(self) -> int:
        delivered = 0
        for attempt_id in await self.spool.undelivered():
            with _going_on(attempt_id):
                spooled = await self.spool.get(attempt_id)
                if spooled is not None and await self._deliver(spooled):
                    delivered += 1
        return delivered

    async def _end_left_open(self) -> None:
        """End what was begun here and left open: only this replica knows what became of it."""
        left = self.refresh.left_open
        for connection_id in tuple(left):
            if self.refresh.is_under_way(connection_id):
                continue  # it ends what it finds, and has its own answer yet to keep
            left.discard(connection_id)  # a refresh that fails meanwhile puts it there again
            ended = False
            try:
                ended = await self._end_open(connection_id)
            finally:
                if not ended:
                    left.add(connection_id)

    async def _end_open(self, connection_id: ConnectionId) -> bool:
        """Tell whether nothing of this spool stands open any more at the generation in force."""
        lease = await self.leases.acquire(connection_id, ttl=LEASE_TTL)
        if lease is None:
            return False
        last: AttemptId | None = None
        try:
            while (attempt := await self._left_open(connection_id)) is not None:
                # Asked again after the look at the database: where this lease is over meanwhile,
                # it may be a refresh that began here since.
                if attempt.id == last or self.refresh.is_under_way(connection_id):
                    return False
                last = attempt.id
                with _going_on(attempt.id):
                    await self._end(replace(attempt, fence=lease.fence))
        finally:
            await self.leases.release(lease)
        return True

    async def _left_open(self, connection_id: ConnectionId) -> Attempt | None:
        """Return the attempt at the generation in force that this spool has to answer for."""
        attempt = await self.store.open_attempt(connection_id)
        latest = await self.store.latest_attempt(connection_id)
        if attempt is None or latest is None or attempt.generation != latest.generation:
            return None  # or it is foreseen, and its turn comes
        own = attempt.spool_id == self.spool.id and attempt.waits_for_its_spool
        return attempt if own else None

    async def _end(self, attempt: Attempt) -> None:
        if await self.refresh.end_unsent(attempt):
            return
        spooled = await self.spool.get(attempt.id)
        if spooled is None:
            await self.resolve.found_open(attempt)
        else:
            await self._under_lease(attempt, spooled)

    async def _deliver(self, spooled: SpooledAnswer) -> bool:
        if spooled.attempt_id.startswith("cs_"):
            return await self._deliver_code(spooled)
        attempt = await self.store.attempt(spooled.attempt_id)
        if attempt is None or not _may_be_of_use(attempt, spooled):
            await self.spool.delivered(spooled.attempt_id)
            return False
        lease = await self.leases.acquire(attempt.connection_id, ttl=LEASE_TTL)
        if lease is None:
            return False  # the attempt is under way, or another replica looks after it
        try:
            return await self._under_lease(replace(attempt, fence=lease.fence), spooled)
        finally:
            await self.leases.release(lease)

    async def _under_lease(self, attempt: Attempt, spooled: SpooledAnswer) -> bool:
        if attempt.outcome is AttemptOutcome.STORED:
            if attempt.id in await self.spool.undelivered():
                await self.settle.note_stored(attempt)  # who stored it died before
            return False
        if not attempt.waits_for_its_spool and await self._presented_since(attempt):
            await self.spool.delivered(attempt.id)
            return False
        return await self.settle_spooled(attempt, spooled)

    async def _presented_since(self, attempt: Attempt) -> bool:
        """Tell whether the token may be used up again: what the first one brought is dead then."""
        used = await self.store.open_attempt(attempt.connection_id)
        if used is None or used.id != attempt.id:
            return True
        latest = await self.store.latest_attempt(attempt.connection_id)
        return latest is None or (latest.id != attempt.id and not _left_alone(latest))

    async def settle_spooled(self, attempt: Attempt, spooled: SpooledAnswer) -> bool:
        """Settle an attempt by what the spool has of it, under the lease of its fence.

        False: there is no such connection any more.
        """
        loaded = await self.store.load(attempt.connection_id)
        if loaded is None:
            return await self._end_homeless(attempt, spooled)
        connection, tokens = loaded
        try:
            settled = await self.settle(attempt, connection, tokens, spooled)
        except ConnectionCannotServe as refused:
            _log.info("spool_delivered", connection_id=attempt.connection_id, outcome=refused.code)
            return True
        if isinstance(settled, Attempt):
            await self.resolve.found_open(settled)
        _log.info("spool_delivered", connection_id=attempt.connection_id, outcome="stored")
        return True

    async def _end_homeless(self, attempt: Attempt, spooled: SpooledAnswer) -> bool:
        """Have what came for a connection that ended meanwhile revoked at Salesforce."""
        connection = await self.connections.get(attempt.workspace_id, attempt.connection_id)
        if connection is None:
            await self.spool.delivered(attempt.id)
            return False
        await self.settle.homeless(attempt, connection, spooled)
        return True

    async def _deliver_code(self, spooled: SpooledAnswer) -> bool:
        """End a grant whose session died between the exchange and the save, or went on without it.

        The customer's browser lost its way back; what is not confirmed is revoked. Where the
        browser pressed Connect again, only what the latest trip brings can still be confirmed.
        """
        name = spooled.attempt_id
        session = await self.sessions.get(spooled.workspace_id, session_of(name))
        if session is None or session.authorization is None:
            await self.spool.delivered(name)
            return False
        latest = name in {session.id, exchange_of(session.id, session.authorization)}
        if latest and not self._died(session):
            if session.status is not SessionStatus.AUTHORIZING:
                await self.spool.delivered(name)
            return False  # otherwise its request may still be at work
        if latest and not await self._ended(session):
            return False  # its request was first, or Connect was pressed again
        await self._end_code_grant(session, session.authorization, spooled)
        await self.spool.delivered(spooled.attempt_id)  # only now: nothing else has its tokens
        return True

    def _died(self, session: ConnectSession) -> bool:
        if session.status is SessionStatus.AUTHORIZING:
            return session.status_at(self.clock.now()) is SessionStatus.EXPIRED
        return session.status in {SessionStatus.FAILED, SessionStatus.EXPIRED}

    async def _ended(self, session: ConnectSession) -> bool:
        """End a session whose time is over: a request of it that is still at work finds it so."""
        if session.status is not SessionStatus.AUTHORIZING:
            return True
        return await self.sessions.replace(session.failed("session_expired"))

    async def _end_code_grant(
        self, session: ConnectSession, authorization: Authorization, spooled: SpooledAnswer
    ) -> None:
        answer = TokenAnswer(
            status=spooled.status or 0, body=spooled.body, complete=spooled.complete
        )
        try:
            response = read_authorization_code_answer(answer)
        except CoreError:
            return
        tokens = await self._not_in_use(session, response)
        if not tokens:
            return
        await self.audit.record(
            AuditEvent(
                type="code.grant_found",
                at=self.clock.now(),
                workspace_id=session.workspace_id,
                actor="system",
                connection_id=session.reauthorizes,
                detail={"connect_session_id": session.id},
            )
        )
        await self.end_grant.of_host(
            spooled.login_url or authorization.login_url,
            tokens,
            workspace_id=session.workspace_id,
            connection_id=session.reauthorizes or ConnectionId(""),
            app_id=session.app_id,
            reason=RevocationReason.UNCONFIRMED,
            ends_connection=False,
        )

    async def _not_in_use(
        self, session: ConnectSession, response: TokenResponse
    ) -> list[AccessToken | RefreshToken]:
        """Return what of a grant may be revoked: nothing that its session's connection rests on."""
        tokens = [t for t in (response.refresh_token, response.access_token) if t is not None]
        with contextlib.suppress(SealRefused):  # so nobody can put it in force
            pending = await self.sessions.pending_grant(session.id)
            tokens = _without(tokens, pending)
        named = [one for one in (session.connection_id, session.reauthorizes) if one is not None]
        for connection_id in dict.fromkeys(named):
            with contextlib.suppress(SealRefused):
                loaded = await self.store.load(connection_id)
                tokens = _without(tokens, None if loaded is None else loaded[1])
        return tokens


@contextlib.contextmanager
def _going_on(attempt_id: AttemptId) -> Iterator[None]:
    """Leave one whose connection or answer cannot be read for later: others do not wait for it.

    It is not known then what it is, nor that there is nothing.
    """
    try:
        yield
    except (OSError, SealRefused, SealUnavailable) as refused:
        _log.error(
            "spool_delivery_refused",
            attempt_id=attempt_id,
            error=type(refused).__name__,
            reason=str(refused),
        )


def _may_be_of_use(attempt: Attempt, spooled: SpooledAnswer) -> bool:
    """Tell whether there may be more to do for an answer than to note that it is known.

    Also where nobody waits for its spool any more, and where it is in force without a record.
    """
    turned_up = attempt.outcome is AttemptOutcome.UNKNOWN and spooled.status is not None
    return attempt.waits_for_its_spool or turned_up or attempt.outcome is AttemptOutcome.STORED


def _left_alone(attempt: Attempt) -> bool:
    """Tell whether the token was certainly not used up: no request left, or it was not the time."""
    not_now = attempt.outcome is AttemptOutcome.REFUSED and attempt.retry_at is not None
    return not_now or attempt.outcome in {
        AttemptOutcome.NOT_PRESENTED,
        AttemptOutcome.NOT_PROCESSED,
    }


def _without(
    tokens: list[AccessToken | RefreshToken], kept: PendingGrant | TokenSet | None
) -> list[AccessToken | RefreshToken]:
    """Leave out what is kept; where that is the refresh token, the grant is the same."""
    if kept is None:
        return tokens
    if kept.refresh_token in tokens:
        return []
    return [token for token in tokens if token != kept.access_token]
