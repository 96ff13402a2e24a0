"""End the grants of incidents at Salesforce, whichever replica comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from keyturn_core.oauth.revocation import (
    RevocationFailed,
    read_revocation_answer,
    revocation_request,
)
from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, TokenSet
from keyturn_service.domain.incident import (
    Because,
    GrantToEnd,
    IncidentOutcome,
    Revoked,
    Verdict,
    asks_for_access_token,
    judge,
)
from keyturn_service.ports import (
    AnswerLost,
    AuditLog,
    Clock,
    Incidents,
    OrgUnreachable,
    RefreshLeases,
    Revocations,
    SealRefused,
    TokenEndpoint,
    TokenStore,
)
from keyturn_service.use_cases.revoke_grant import REVOKE_PATH
from keyturn_service.use_cases.settle_attempt import seconds_to_wait

AT_ONCE: Final = 16
CLAIM: Final = timedelta(seconds=30)  # a replica that dies is replaced after this
_CALL_SECONDS: Final = 12.0  # two of them end within a claim
_BUSY: Final = timedelta(seconds=2)  # until a refresh under way is looked after again
_FEW: Final = AT_ONCE // 4  # so many are claimed by one statement at least, while there are more
_TOO_MANY: Final = frozenset({429, 503})
_log = structlog.get_logger()


class _TryAgain(Exception):
    """A call brought no decision. `acted`: Salesforce may have acted on it."""

    def __init__(self, word: str, *, acted: bool, host_until: int | None = None) -> None:
        self.word = word
        self.acted = acted
        self.host_until = host_until
        super().__init__(word)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeAll:
    """Carry out what is due of all incidents; safe to run at any time and on every replica.

    Each grant is claimed, and its refresh lease taken: a refresh that is under way comes to its
    end first, and what it brought is what is revoked. That a refresh token is presented is kept
    right before its first byte goes out: who replaces a claimer that died knows of it.
    """

    incidents: Incidents
    store: TokenStore
    revocations: Revocations
    leases: RefreshLeases
    endpoint: TokenEndpoint
    audit: AuditLog
    clock: Clock

    async def __call__(self) -> int:
        """Return how many grants were looked at."""
        running: set[asyncio.Task[None]] = set()
        looked = 0
        try:
            while True:
                free = AT_ONCE - len(running)
                if free >= _FEW:
                    claimed = await self._claimed(free)
                    looked += len(claimed)
                    running |= {asyncio.create_task(self._look_after(one)) for one in claimed}
                if not running:
                    return looked
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _claimed(self, limit: int) -> list[GrantToEnd]:
        now = self.clock.now()
        return list(await self.incidents.claim_due(now, ttl=CLAIM, limit=limit))

    async def _look_after(self, grant: GrantToEnd) -> None:
        try:
            lease = await self.leases.acquire(grant.connection_id, ttl=CLAIM)
            if lease is None:
                await self.incidents.leave(grant, due_at=self.clock.now() + _BUSY)
                return
            try:
                await self._end(grant)
            finally:
                await self.leases.release(lease)
        except Exception as error:  # noqa: BLE001 - the others go on; it is due when the claim ends
            _log.warning(
                "grant_not_ended", connection_id=grant.connection_id, error=type(error).__name__
            )

    async def _end(self, grant: GrantToEnd) -> None:
        """End one grant, under the lease of its connection."""
        try:
            loaded = await self.store.load(grant.connection_id)
        except SealRefused:
            await self._done(grant, _left_to_admin(Because.DOES_NOT_OPEN), generation=None)
            return
        if loaded is None or loaded[0].authorized_at != grant.authorized_at:
            because = Because.CONNECTED_AGAIN if loaded else Because.ENDED_BEFORE
            await self._end_with_its_job(grant, because)
            return
        connection, tokens = loaded
        await self._note(grant, "grant.revocation_asked", again=grant.unanswered)
        try:
            revoked = await self._revoked(grant, connection, tokens)
        except _TryAgain as failed:
            await self._try_later(grant, connection.login_url, failed)
            return
        ends = tokens.expires_at
        in_session = ends is not None and self.clock.now() < ends
        verdict = judge(grant, connection.renewal, revoked, in_session=in_session)
        await self._done(grant, verdict, generation=connection.generation)

    async def _end_with_its_job(self, grant: GrantToEnd, because: Because) -> None:
        """Judge a grant whose tokens have left their place: the job that has them ends it."""
        try:
            for job in await self.revocations.unfinished(grant.connection_id):
                if await self.revocations.open(job) is not None:
                    later = _TryAgain("revocation_under_way", acted=False)
                    await self._try_later(grant, grant.login_url, later)
                    return
            opens = not await self.revocations.given_up(grant.connection_id)
        except SealRefused:
            opens = False
        verdict = Verdict(
            outcome=IncidentOutcome.REVOKED, because=because, access_token_ended=False
        )
        if not opens:
            verdict = _left_to_admin(Because.DOES_NOT_OPEN)
        await self._done(grant, verdict, generation=None)

    async def _revoked(
        self, grant: GrantToEnd, connection: Connection, tokens: TokenSet
    ) -> Revoked:
        refresh = None
        if tokens.refresh_token is not None:
            refresh = await self._presented(grant, connection.login_url, tokens.refresh_token)
        access = None
        if asks_for_access_token(refresh_token=refresh, renewal=connection.renewal):
            access = await self._revoke(connection.login_url, tokens.access_token)
        return Revoked(refresh_token=refresh, access_token=access)

    async def _presented(self, grant: GrantToEnd, host: Origin, token: RefreshToken) -> bool:
        """Revoke the refresh token; while nobody knows what became of that, it is on record."""
        kept = False

        async def keep() -> None:
            nonlocal kept
            await self.incidents.presenting(grant)
            kept = True

        try:
            ended = await self._revoke(host, token, before_first_byte=keep)
        except _TryAgain as failed:
            if kept and not failed.acted:
                await self.incidents.answered(grant)
            raise
        if not ended:
            await self.incidents.answered(grant)
        return ended

    async def _revoke(
        self,
        host: Origin,
        token: AccessToken | RefreshToken,
        *,
        before_first_byte: Callable[[], Awaitable[None]] | None = None,
    ) -> bool:
        """Return whether Salesforce ended the token just now; False: it does not know it.

        Raises:
            _TryAgain: nobody knows, or it was not processed.
        """
        body = revocation_request(token)
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                answer = await self.endpoint.post(
                    host, REVOKE_PATH, body, before_first_byte=before_first_byte
                )
            return read_revocation_answer(answer)
        except (AnswerLost, TimeoutError):
            raise _TryAgain("no_answer", acted=True) from None
        except OrgUnreachable:
            raise _TryAgain("no_connection", acted=False) from None
        except RevocationFailed:
            raise self._refused(answer) from None

    def _refused(self, answer: TokenAnswer) -> _TryAgain:
        if answer.status not in _TOO_MANY:
            return _TryAgain(f"http_{answer.status}", acted=True)
        wait = seconds_to_wait(answer.retry_after, self.clock.now())
        return _TryAgain(f"http_{answer.status}", acted=False, host_until=wait)

    async def _try_later(self, grant: GrantToEnd, host: Origin, failed: _TryAgain) -> None:
        now = self.clock.now()
        pause = grant.pause()
        if failed.host_until is not None:
            asked = timedelta(seconds=failed.host_until)
            pause = max(pause, asked)
            await self.incidents.put_off_host(host, until=now + asked)
        await self.incidents.postpone(grant, due_at=now + pause, tried_with=failed.word)
        await self._note(grant, "grant.revocation_postponed", because=failed.word)

    async def _done(self, grant: GrantToEnd, verdict: Verdict, *, generation: int | None) -> None:
        now = self.clock.now()
        await self.incidents.ended(grant, verdict, generation=generation, at=now)
        admin = verdict.outcome is IncidentOutcome.ADMIN
        type_ = "grant.left_to_admin" if admin else "grant.revoked"
        await self._note(grant, type_, because=verdict.because)

    async def _note(self, grant: GrantToEnd, type_: str, **detail: str | bool) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=grant.workspace_id,
                actor="system",
                connection_id=grant.connection_id,
                detail={
                    "incident_id": grant.incident_id,
                    "attempts": grant.attempts + 1,
                    **detail,
                },
            ),
            urgent=False,
        )


def _left_to_admin(because: Because) -> Verdict:
    return Verdict(outcome=IncidentOutcome.ADMIN, because=because, access_token_ended=False)
