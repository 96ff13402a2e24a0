"""Renew a connection's access token by an assertion: nothing is used up, so nothing is uncertain.

Called under the refresh lease, so that one assertion serves all callers of all replicas. What came
is stored under generation and fence like any token response. A lost answer is asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NoReturn

from keyturn_core.errors import CoreError
from keyturn_core.oauth.jwt_bearer_grant import audiences
from keyturn_core.salesforce.identity import read_identity_url
from keyturn_core.salesforce.refusals import RefusalClass
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.domain.signing_key import signing_order
from keyturn_service.ports import (
    Apps,
    AuditLog,
    Clock,
    Lease,
    RevocationReason,
    SigningKeys,
    TokenStore,
    Waiting,
)
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.present_assertion import (
    Accepted,
    AssertionAsked,
    AssertionFailed,
    PresentAssertion,
)
from keyturn_service.use_cases.settle_attempt import SettleAttempt, expiry

PACE: Final = timedelta(seconds=2)  # between two assertions: half of the 3,600 logins an hour
HOLD: Final = timedelta(seconds=30)  # after a refusal that somebody has to mend
_SOON: Final = 1  # seconds
_STRANGERS: Final = frozenset({"org_mismatch", "user_mismatch"})
_PASSING: Final = frozenset({RefusalClass.TRANSIENT, RefusalClass.RATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hold:
    """Until when nothing is presented for a connection, and why."""

    code: str
    since: datetime
    until: datetime


@dataclass(kw_only=True)
class RenewByAssertion:
    """Put a new token set in force by an assertion for the connection's user."""

    store: TokenStore
    apps: Apps
    keys: SigningKeys
    present: PresentAssertion
    settle: SettleAttempt
    end_grant: EndGrant
    audit: AuditLog
    clock: Clock
    waiting: Waiting
    _holds: dict[ConnectionId, _Hold] = field(default_factory=dict, init=False)

    async def __call__(
        self, lease: Lease, connection: Connection, tokens: TokenSet, *, asked_for: bool = False
    ) -> tuple[Connection, TokenSet]:
        """Return the connection with a token set newer than `tokens`.

        `asked_for` says that somebody wants to see whether it works: a refusal of a moment ago
        is no reason not to look.

        Raises:
            ConnectionCannotServe: no assertion was taken; the reason is in the catalogue.
        """
        hold = self._hold(connection.id)
        if hold is not None and not (asked_for and hold.code != "login_rate_exceeded"):
            wait = max(_SOON, int((hold.until - self.clock.now()).total_seconds()))
            raise ConnectionCannotServe("org_unavailable", reason=hold.code, retry_after=wait)
        await self._keep_pace(tokens)
        try:
            accepted = await self._accepted(connection, deadline=lease.deadline)
        except AssertionFailed as failed:
            await self._refused(connection, failed)
        problem = None if connection.taken_over_at is None else "refresh_token_lost"
        renewed = replace(connection, problem=problem)
        return await self._kept(lease, renewed, tokens, accepted)

    async def take_over(
        self, lease: Lease, connection: Connection, tokens: TokenSet
    ) -> tuple[Connection, TokenSet] | None:
        """Let an assertion stand in for a refresh token whose fate nobody knows.

        None where the app has no signing key, or the user is not let in by it. The refresh token
        is kept as it is: it is revoked when the customer has connected again.

        Raises:
            ConnectionCannotServe: Salesforce does not say yes or no now.
        """
        hold = self._hold(connection.id)
        keys = await self.keys.list(connection.workspace_id, connection.app_id)
        if hold is not None or not signing_order(keys):
            return None
        try:
            accepted = await self._accepted(connection, deadline=lease.deadline)
        except AssertionFailed as failed:
            await self._note(
                connection, "token.take_over_refused", problem=failed.code, said=failed.said
            )
            if failed.refusal.refusal_class in _PASSING:
                raise ConnectionCannotServe(
                    "connection_uncertain", reason=failed.code, retry_after=5
                ) from None
            self._hold_back(connection.id, failed)
            return None
        now = self.clock.now()
        taken = replace(
            connection,
            renewal=Renewal.JWT_BEARER,
            taken_over_at=now,
            problem="refresh_token_lost",
        )
        kept = await self._kept(lease, taken, tokens, accepted)
        await self._note(connection, "token.taken_over", generation=tokens.generation)
        return kept

    async def try_out(self, connection: Connection, tokens: TokenSet) -> str | None:
        """Return None where an assertion would serve for the connection's user, else why not.

        What it brings is ended, unless Salesforce handed out the session that is in use.
        """
        try:
            accepted = await self._accepted(connection, deadline=None)
        except AssertionFailed as failed:
            return failed.code
        if accepted.response.access_token != tokens.access_token:
            await self._end(connection, accepted, RevocationReason.VERIFIED)
        return None

    async def _keep_pace(self, tokens: TokenSet) -> None:
        """Wait where the token in force is very young: somebody refuses each one that comes."""
        rest = PACE - (self.clock.now() - tokens.received_at)
        if timedelta(0) < rest <= PACE:
            await self.waiting.sleep(rest.total_seconds())

    async def _accepted(self, connection: Connection, *, deadline: float | None) -> Accepted:
        client = await self.apps.client(connection.workspace_id, connection.app_id)
        if client is None:
            raise AssertionFailed("consumer_credentials_missing")
        asked = AssertionAsked(
            workspace_id=connection.workspace_id,
            app_id=connection.app_id,
            connection_id=connection.id,
            consumer_key=client.consumer_key,
            username=connection.user.username,
            login_url=connection.login_url,
            audiences=audiences(
                connection.login_url, connection.environment, known=connection.audience
            ),
        )
        accepted = await self.present(asked, deadline=deadline)
        wrong = _stranger(accepted, connection)
        if wrong is not None:
            await self._end(connection, accepted, RevocationReason.REFUSED)
            raise AssertionFailed(wrong)
        return accepted

    async def _end(
        self, connection: Connection, accepted: Accepted, reason: RevocationReason
    ) -> None:
        token = accepted.response.access_token
        await self.end_grant(connection, [token], reason=reason, ends_connection=False)

    async def _kept(
        self, lease: Lease, connection: Connection, tokens: TokenSet, accepted: Accepted
    ) -> tuple[Connection, TokenSet]:
        now, response = self.clock.now(), accepted.response
        renewed = TokenSet(
            generation=tokens.generation + 1,
            access_token=response.access_token,
            refresh_token=tokens.refresh_token,
            received_at=now,
            expires_at=expiry(response.access_token, now, connection),
        )
        kept = replace(
            connection,
            state=ConnectionState.ACTIVE,
            generation=renewed.generation,
            last_refreshed_at=now,
            audience=accepted.audience,
        )
        instead_of = tokens.generation
        if not await self.store.renew(kept, renewed, instead_of=instead_of, fence=lease.fence):
            return await self._not_first(connection, tokens, accepted)
        self._holds.pop(connection.id, None)
        await self._note(kept, "token.stored", generation=renewed.generation)
        return await self.settle.follow_move(kept, response), renewed

    async def _not_first(
        self, connection: Connection, tokens: TokenSet, accepted: Accepted
    ) -> tuple[Connection, TokenSet]:
        """Return what another replica stored; a token that nobody answers for is ended."""
        loaded = await self.store.load(connection.id)
        if loaded is None or loaded[1].access_token != accepted.response.access_token:
            await self._end(connection, accepted, RevocationReason.SUPERSEDED)
        await self._note(connection, "token.superseded", generation=tokens.generation)
        if loaded is None or loaded[1].generation <= tokens.generation:
            raise ConnectionCannotServe("org_unavailable", retry_after=_SOON)
        return loaded

    async def _refused(self, connection: Connection, failed: AssertionFailed) -> NoReturn:
        """Keep why, and say so.

        What an admin or the vendor can mend leaves the state as it is; a user or org that is gone
        needs somebody to start again, and so does a connection that lost its refresh token.
        """
        refusal = failed.refusal
        await self._note(connection, "assertion.refused", problem=failed.code, said=failed.said)
        if refusal.refusal_class in _PASSING:
            self._hold_back(connection.id, failed)
            raise ConnectionCannotServe(
                "org_unavailable", reason=failed.code, retry_after=refusal.retry_after_seconds
            )
        lost = connection.taken_over_at is not None and refusal.refusal_class in {
            RefusalClass.ADMIN,
            RefusalClass.DEAD_GRANT,
        }
        ends = lost or refusal.refusal_class is RefusalClass.DEAD_GRANT or failed.code in _STRANGERS
        problem = "refresh_token_lost" if lost else failed.code
        await self.store.set_state(
            connection.id,
            generation=connection.generation,
            state=ConnectionState.REAUTHORIZATION_REQUIRED if ends else connection.state,
            problem=problem,
        )
        if ends:
            raise ConnectionCannotServe("reauthorization_required", reason=problem)
        self._hold_back(connection.id, failed)
        raise ConnectionCannotServe(
            "org_unavailable", reason=failed.code, retry_after=int(HOLD.total_seconds())
        )

    def _hold(self, connection_id: ConnectionId) -> _Hold | None:
        hold, now = self._holds.get(connection_id), self.clock.now()
        if hold is not None and hold.since <= now < hold.until:
            return hold
        self._holds.pop(connection_id, None)
        return None

    def _hold_back(self, connection_id: ConnectionId, failed: AssertionFailed) -> None:
        refusal, now = failed.refusal, self.clock.now()
        rest = HOLD
        if refusal.refusal_class in _PASSING:
            rest = timedelta(seconds=refusal.retry_after_seconds or _SOON)
        self._holds[connection_id] = _Hold(code=failed.code, since=now, until=now + rest)

    async def _note(self, connection: Connection, type_: str, **detail: str | int | None) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=connection.workspace_id,
                actor="system",
                connection_id=connection.id,
                detail={
                    **{name: value for name, value in detail.items() if value is not None},
                    "by": "assertion",
                },
            )
        )


def _stranger(accepted: Accepted, connection: Connection) -> str | None:
    """Return what is wrong with the org or user that the token is of, as far as it says."""
    try:
        named = read_identity_url(accepted.response.identity_url or "")
    except CoreError:
        return "unexpected_answer"
    if named.org_id != connection.org_id:
        return "org_mismatch"
    return None if named.user_id == connection.user.id else "user_mismatch"
