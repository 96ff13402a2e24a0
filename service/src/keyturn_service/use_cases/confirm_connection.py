"""Confirm a connection, as the vendor's backend inside its own user's session."""

from __future__ import annotations

import contextlib
import hmac
from dataclasses import dataclass, replace
from typing import Final

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import ConnectSession, Delivery, SessionStatus
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.errors import Conflict, ConnectRefused, NotFound
from keyturn_service.domain.ids import ConnectionId, ConnectSessionId, WorkspaceId
from keyturn_service.ports import (
    AuditLog,
    Clock,
    Connections,
    ConnectSessions,
    KeyedHash,
    OrgTaken,
    PendingGrant,
    SealRefused,
    StaleWrite,
    TokenStore,
    ToRevoke,
)
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.settle_attempt import expiry

_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a confirmation says, and who says it."""

    actor: str
    confirmation_code: str | None
    org_id: str | None
    request: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmConnection:
    """Put a pending grant in force, and end the one that it supersedes."""

    sessions: ConnectSessions
    connections: Connections
    store: TokenStore
    end_grant: EndGrant
    drop_unconfirmed: DropUnconfirmed
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        session_id: ConnectSessionId,
        actor: str,
        *,
        confirmation_code: str | None,
        org_id: str | None,
        request: bytes | None = None,
    ) -> Connection:
        """Return the connection, active from now on.

        `confirmation_code` came with the browser; for `delivery: shared` the asker's browser
        has none, and `org_id` is what the vendor's user was shown. `request` is the keyed hash
        of a request that comes again where its answer was lost: what it confirmed it gets again,
        and nobody else does.

        Raises:
            NotFound: there is no such session in the workspace.
            ConnectRefused: `session_expired`, `confirmation_invalid`, `org_already_connected`.
            Conflict: the connection is refreshed again and again; the confirmation still holds.
        """
        said = _Said(
            actor=actor, confirmation_code=confirmation_code, org_id=org_id, request=request
        )
        for _ in range(_TRIES):
            session = await self.sessions.get(workspace_id, session_id)
            if session is None:
                raise NotFound("connect_session")
            done = await self._done_before(session, said)
            if done is not None:
                return done
            await self._check(session, said)
            with contextlib.suppress(StaleWrite):
                return await self._confirmed(session, said)
        raise Conflict("refresh_under_way", retry_after=1)

    async def _confirmed(self, session: ConnectSession, said: _Said) -> Connection:
        """Put the session's grant in force.

        Raises:
            StaleWrite: session or connection changed since they were read.
        """
        grant = await self.sessions.pending_grant(session.id)
        existing = None
        if session.connection_id is not None:
            existing = await self.connections.get(session.workspace_id, session.connection_id)
        if grant is None or existing is None:
            if await self.sessions.get(session.workspace_id, session.id) != session:
                raise StaleWrite(session.id)  # another confirmation was quicker
            raise ConnectRefused("session_expired")
        waiting, existing = session, await self._in_its_place(existing)
        session = replace(session, connection_id=existing.id)
        connection = _active(existing, grant)
        tokens = TokenSet(
            generation=connection.generation,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            received_at=grant.received_at,
            expires_at=expiry(grant.access_token, grant.received_at, connection),
        )
        superseded = await self._superseded(connection)
        await self._note(session, said.actor, "connection.confirmed", grant.org_id)
        try:
            await self.sessions.confirm(
                replace(
                    session,
                    status=SessionStatus.COMPLETED,
                    confirmation_hash=None,
                    confirmed_by=said.request,
                ),
                connection,
                tokens,
                superseded=superseded,
                instead_of=waiting.connection_id,
            )
        except OrgTaken:
            await self.drop_unconfirmed(waiting, "org_already_connected")
            await self._refuse(waiting, said, "org_already_connected", "for another customer")
        if superseded is not None:
            await self.end_grant.started(superseded, connection.app_id)
        return connection

    async def _done_before(self, session: ConnectSession, said: _Said) -> Connection | None:
        """Return what the same request has confirmed."""
        if said.request is None or said.request != session.confirmed_by:
            return None
        confirmed = ConnectionId(session.connection_id or "")
        return await self.connections.get(session.workspace_id, confirmed)

    async def _check(self, session: ConnectSession, said: _Said) -> None:
        status = session.status_at(self.clock.now())
        if status is SessionStatus.EXPIRED:
            await self._refuse(session, said, "session_expired", "too late")
        if status is not SessionStatus.AWAITING_CONFIRMATION:
            await self._refuse(session, said, "confirmation_invalid", status)
        if session.delivery is Delivery.SHARED:
            fits = said.org_id is not None and said.org_id == session.org_id
        else:
            fits = said.confirmation_code is not None and hmac.compare_digest(
                self.hashes("confirmation", said.confirmation_code),
                session.confirmation_hash or b"",
            )
        if not fits:
            await self._refuse(session, said, "confirmation_invalid", "wrong code or org")

    async def _in_its_place(self, connection: Connection) -> Connection:
        """Return the connection to renew: the customer may have connected the org meanwhile."""
        if connection.generation > 0:
            return connection
        of_org = await self.connections.of_org(connection.app_id, connection.org_id)
        own = (c for c in of_org if c.customer_id == connection.customer_id and c.generation > 0)
        return next(own, connection)

    async def _superseded(self, connection: Connection) -> ToRevoke | None:
        """Return what ends the earlier grant; one of another generation makes a stale write."""
        try:
            loaded = await self.store.load(connection.id)
        except SealRefused:
            return self.end_grant.superseded(connection, None)
        return None if loaded is None else self.end_grant.superseded(connection, loaded[1])

    async def _refuse(self, session: ConnectSession, said: _Said, code: str, because: str) -> None:
        await self._note(session, said.actor, "connect_session.refused", because)
        raise ConnectRefused(code)

    async def _note(self, session: ConnectSession, actor: str, type_: str, about: str) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=session.workspace_id,
                actor=actor,
                connection_id=session.connection_id,
                detail={"connect_session_id": session.id, "about": about},
            )
        )


def _active(existing: Connection, grant: PendingGrant) -> Connection:
    return replace(
        existing,
        state=ConnectionState.ACTIVE,
        problem=None,
        generation=existing.generation + 1,
        environment=grant.environment,
        org_name=grant.org_name,
        instance_url=grant.instance_url,
        login_url=grant.login_url,
        user=grant.user,
        scopes=grant.scopes,
        session_life=grant.session_life,
        authorized_at=grant.received_at,
        last_refreshed_at=grant.received_at,
        renewal=Renewal.REFRESH_TOKEN,
        taken_over_at=None,
    )
