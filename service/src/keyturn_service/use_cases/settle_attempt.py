"""Settle an attempt: read what came back for it, and keep what that means.

What came is on the spool already. Nothing here presents a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Final, NoReturn

from keyturn_core.errors import CoreError
from keyturn_core.oauth.jwt_access_token import expiry_of_jwt
from keyturn_core.oauth.refresh_grant import read_refresh_answer
from keyturn_core.oauth.token_answer import (
    NotProcessed,
    OutcomeUnknown,
    TokenAnswer,
    TokenRequestRefused,
    TokenResponse,
)
from keyturn_core.salesforce.hosts import Origin, read_instance_url
from keyturn_core.salesforce.identity import read_identity_url
from keyturn_core.salesforce.refusals import RefusalClass
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.attempt import Attempt, AttemptOutcome, SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.back_off import backed_off
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import (
    AuditLog,
    Clock,
    Connections,
    OrgDirectory,
    OrgUnreachable,
    RevocationReason,
    Spool,
    TokenStore,
    Waiting,
)
from keyturn_service.use_cases.end_grant import EndGrant

_BUSY_PATIENCE: Final = 60.0  # seconds; design.md 5.7
_BUSY_POLL: Final = 0.5  # seconds
_SOON: Final = 1  # seconds
_AN_HOUR: Final = 3600  # seconds
_DIGITS: Final = re.compile(r"[0-9]{1,10}")
_BY_SOMEBODY: Final = 10  # seconds: an admin or the vendor has to act first
LOST_AGAIN: Final = 10  # seconds, where two answers in a row lost their access token


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleAttempt:
    """Turn the answer to an attempt into the connection's next state."""

    store: TokenStore
    connections: Connections
    directory: OrgDirectory
    end_grant: EndGrant
    spool: Spool
    audit: AuditLog
    clock: Clock
    waiting: Waiting
    loopback: frozenset[Origin]

    async def __call__(
        self,
        attempt: Attempt,
        connection: Connection,
        presented: TokenSet,
        spooled: SpooledAnswer,
        *,
        retry_after: str | None = None,
        held_off: timedelta | None = None,
    ) -> tuple[Connection, TokenSet] | Attempt:
        """Return what is in force now, or the attempt where another one is under way.

        `held_off` is for how long the org was left alone before the attempt, as it had refused.

        Raises:
            ConnectionCannotServe: the attempt brought no token set.
        """
        try:
            response = read_spooled(spooled)
        except TokenRequestRefused as refused:
            return await self._refused(
                attempt, connection, refused, spooled.received_at, held_off=held_off
            )
        except NotProcessed:
            wait = seconds_to_wait(retry_after, spooled.received_at)
            if retry_after is None:
                wait = backed_off(wait, before=held_off, attempt_id=attempt.id)
            await self._end(
                attempt,
                AttemptOutcome.NOT_PROCESSED,
                "token.not_processed",
                wait=wait,
                received_at=spooled.received_at,
            )
            raise ConnectionCannotServe("org_unavailable", retry_after=wait) from None
        except OutcomeUnknown:
            await self.unknown(attempt, because="answer lost")
        if not _names_org(response, connection):
            await self._wrong_org(attempt, connection, response)
        if response.access_token_lost:
            again = held_off is not None and presented.expires_at is None
            wait = backed_off(LOST_AGAIN, before=held_off, attempt_id=attempt.id) if again else 0
            retry_at = spooled.received_at + timedelta(seconds=wait)
            attempt = replace(attempt, retry_at=retry_at)
        return await self._keep(attempt, connection, presented, response, spooled)

    async def _keep(
        self,
        attempt: Attempt,
        connection: Connection,
        presented: TokenSet,
        response: TokenResponse,
        spooled: SpooledAnswer,
    ) -> tuple[Connection, TokenSet]:
        received_at = spooled.received_at
        tokens = TokenSet(  # an answer's generation is later where those between are missing
            generation=max(attempt.generation, spooled.generation) + 1,
            access_token=response.access_token,
            refresh_token=response.refresh_token or presented.refresh_token,
            received_at=received_at,
            expires_at=None
            if response.access_token_lost
            else expiry(response.access_token, received_at, connection),
        )
        kept = replace(
            connection,
            state=ConnectionState.ACTIVE,
            problem=None,
            generation=tokens.generation,
            last_refreshed_at=received_at,
            renewal=Renewal.REFRESH_TOKEN,
            taken_over_at=None,
        )
        if not await self.store.replace(kept, tokens, attempt=attempt):
            return await self._not_first(attempt, connection, response, spooled)
        await self.note_stored(attempt, salvaged=response.salvaged)
        return await self.follow_move(kept, response), tokens

    async def note_stored(self, attempt: Attempt, **detail: bool) -> None:
        """Record that an answer is in force; until then it counts as one to be delivered."""
        await self._note(attempt, "token.stored", **detail)
        await self.spool.delivered(attempt.id)

    async def _not_first(
        self,
        attempt: Attempt,
        connection: Connection,
        response: TokenResponse,
        spooled: SpooledAnswer,
    ) -> tuple[Connection, TokenSet]:
        loaded = await self.store.load(connection.id)
        if loaded is None:
            await self._supersede(attempt, connection, response, in_force=None)
            raise ConnectionCannotServe("connection_revoked")
        if loaded[1].generation <= attempt.generation:
            # Fenced out, being ended, or in a database that was exchanged for an older one: the
            # spool delivers it later, under a lease of its own.
            raise ConnectionCannotServe("org_unavailable", retry_after=_SOON)
        kept = await self.store.attempt(attempt.id)
        if kept is not None and kept.outcome is AttemptOutcome.STORED:
            await self.spool.delivered(attempt.id)
            return loaded  # this very answer was delivered from the spool during a pause
        if loaded[0].taken_over_at is not None and await self._stood_in_for(attempt, response):
            found = replace(attempt, generation=loaded[1].generation)
            return await self._keep(found, *loaded, response, spooled)
        await self._supersede(attempt, connection, response, in_force=loaded[1].refresh_token)
        return loaded

    async def _stood_in_for(self, attempt: Attempt, response: TokenResponse) -> bool:
        """Tell whether assertions stand in for the very token that is found here.

        It is in force again then; not one that was used since, or of a grant before.
        """
        newest = await self.store.newest_attempt(attempt.connection_id)
        return (
            response.refresh_token is not None
            and newest is not None
            and newest.generation <= attempt.generation
        )

    async def homeless(
        self, attempt: Attempt, connection: Connection, spooled: SpooledAnswer
    ) -> None:
        """End an attempt whose connection has no token set any more, and what it brought."""
        try:
            response = read_spooled(spooled)
        except CoreError:
            await self._end(attempt, AttemptOutcome.SUPERSEDED, "token.superseded")
        else:
            await self._supersede(attempt, connection, response, in_force=None)

    async def _supersede(
        self,
        attempt: Attempt,
        connection: Connection,
        response: TokenResponse,
        *,
        in_force: RefreshToken | None,
    ) -> None:
        """End the grant that an answer brought, where it is not the one in force."""
        brought = response.refresh_token
        if brought is not None and brought != in_force:
            await self.end_grant(
                connection, [brought], reason=RevocationReason.SUPERSEDED, ends_connection=False
            )
        await self._end(attempt, AttemptOutcome.SUPERSEDED, "token.superseded")

    async def _refused(
        self,
        attempt: Attempt,
        connection: Connection,
        refused: TokenRequestRefused,
        received_at: datetime,
        *,
        held_off: timedelta | None,
    ) -> Attempt:
        refusal = refused.refusal
        if refusal.refusal_class is RefusalClass.BUSY:
            await self.spool.delivered(attempt.id)
            await self._note(attempt, "token.busy")
            return attempt
        if refusal.refusal_class is RefusalClass.DEAD_GRANT:
            await self._end(
                attempt,
                AttemptOutcome.REFUSED,
                "token.refused",
                state=ConnectionState.REAUTHORIZATION_REQUIRED,
                problem=refusal.code,
                said=refused.said,
            )
            raise ConnectionCannotServe("reauthorization_required", reason=refusal.code)
        wait = refusal.retry_after_seconds or _BY_SOMEBODY
        wait = backed_off(wait, before=held_off, attempt_id=attempt.id)
        await self._end(
            attempt,
            AttemptOutcome.REFUSED,
            "token.refused",
            state=connection.state,
            problem=refusal.code,
            said=refused.said,
            wait=wait,
            received_at=received_at,
        )
        raise ConnectionCannotServe("org_unavailable", reason=refusal.code, retry_after=wait)

    async def unknown(self, attempt: Attempt, *, because: str) -> NoReturn:
        """Keep that nobody knows the attempt's outcome.

        After the one decided second presentation the customer is asked to reauthorize.

        Raises:
            ConnectionCannotServe: always.
        """
        last = attempt.presented_again
        state = ConnectionState.REAUTHORIZATION_REQUIRED if last else ConnectionState.UNCERTAIN
        await self._end(
            attempt,
            AttemptOutcome.UNKNOWN,
            "token.outcome_unknown",
            state=state,
            problem="connection_uncertain",
            because=because,
        )
        raise ConnectionCannotServe("reauthorization_required" if last else "connection_uncertain")

    async def wait_for_other(self, attempt: Attempt) -> tuple[Connection, TokenSet]:
        """Look for a newer generation for a while; this path never presents again.

        Raises:
            ConnectionCannotServe: none came; the connection is uncertain.
        """
        give_up = self.clock.monotonic() + _BUSY_PATIENCE
        while self.clock.monotonic() < give_up:
            loaded = await self.store.load(attempt.connection_id)
            if loaded is not None and loaded[1].generation > attempt.generation:
                await self._end(attempt, AttemptOutcome.BUSY, "token.stored_by_another")
                return loaded
            await self.waiting.sleep(_BUSY_POLL)
        return await self.unknown(attempt, because="another presentation was under way")

    async def _wrong_org(
        self, attempt: Attempt, connection: Connection, response: TokenResponse
    ) -> NoReturn:
        tokens = [t for t in (response.refresh_token, response.access_token) if t is not None]
        await self.end_grant(
            connection, tokens, reason=RevocationReason.REFUSED, ends_connection=False
        )
        await self._end(
            attempt,
            AttemptOutcome.REFUSED,
            "token.of_another_org",
            state=ConnectionState.REAUTHORIZATION_REQUIRED,
            problem="org_mismatch",
        )
        raise ConnectionCannotServe("reauthorization_required", reason="org_mismatch")

    async def follow_move(self, connection: Connection, response: TokenResponse) -> Connection:
        """Use a changed instance URL only after that host has named the connection's org."""
        if response.instance_url is None:
            return connection
        moved = False
        try:
            instance_url = read_instance_url(response.instance_url, loopback=self.loopback)
            if instance_url == connection.instance_url:
                return connection
            named = await self.directory.auth_configuration(instance_url)
            moved = named.org_id == connection.org_id
        except (CoreError, OrgUnreachable):
            moved = False
        if moved:
            await self.connections.set_instance_url(connection.id, instance_url)
            connection = replace(connection, instance_url=instance_url)
        await self.audit.record(
            AuditEvent(
                type="connection.moved" if moved else "connection.move_refused",
                at=self.clock.now(),
                workspace_id=connection.workspace_id,
                actor="system",
                connection_id=connection.id,
                detail={},
            )
        )
        return connection

    async def _end(
        self,
        attempt: Attempt,
        outcome: AttemptOutcome,
        type_: str,
        *,
        state: ConnectionState | None = None,
        problem: str | None = None,
        because: str | None = None,
        said: str | None = None,
        wait: int = 0,
        received_at: datetime | None = None,
    ) -> None:
        """Keep how the attempt ended; others wait so many seconds from when it was said.

        Never more, though the clock was set back meanwhile. On record first: what allows another
        presentation is not known to anybody before.
        """
        await self._note(attempt, type_, problem=problem, because=because, said=said)
        now = self.clock.now()
        said_at = now if received_at is None else min(received_at, now)
        await self.store.end_attempt(
            attempt,
            outcome,
            at=now,
            spool_answered=True,
            state=state,
            problem=problem,
            retry_at=said_at + timedelta(seconds=wait) if wait else None,
        )
        await self.spool.delivered(attempt.id)

    async def _note(self, attempt: Attempt, type_: str, **detail: str | bool | None) -> None:
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
                    **{name: value for name, value in detail.items() if value is not None},
                },
            )
        )


def expiry(token: AccessToken, received_at: datetime, connection: Connection) -> datetime:
    """Return the end of an access token's life: its own word, else what the org taught us."""
    stated = expiry_of_jwt(token)
    if stated is not None:
        return datetime.fromtimestamp(stated, UTC)
    return received_at + connection.session_life


def read_spooled(spooled: SpooledAnswer) -> TokenResponse:
    """Read an answer as it was spooled.

    Raises:
        CoreError: it is a refusal, or tells nothing of the outcome.
    """
    if spooled.status is None:
        raise OutcomeUnknown("no answer")
    return read_refresh_answer(
        TokenAnswer(status=spooled.status, body=spooled.body, complete=spooled.complete)
    )


def _names_org(response: TokenResponse, connection: Connection) -> bool:
    """Tell whether the answer is of the connection's org, as far as it says."""
    if response.identity_url is None:
        return True
    try:
        return read_identity_url(response.identity_url).org_id == connection.org_id
    except CoreError:
        return True  # an identity URL out of shape names no other org


def seconds_to_wait(retry_after: str | None, received_at: datetime) -> int:
    """Read `Retry-After` in seconds, an hour at most; nonsense counts as soon.

    Spec: RFC 9110 section 10.2.3: seconds, or a date.
    """
    said = (retry_after or "").strip()
    if _DIGITS.fullmatch(said):
        return max(_SOON, min(int(said), _AN_HOUR))
    try:
        wait = parsedate_to_datetime(said) - received_at
    except (ValueError, TypeError):  # no date, or one without a zone
        return _SOON
    return max(_SOON, min(ceil(wait.total_seconds()), _AN_HOUR))
