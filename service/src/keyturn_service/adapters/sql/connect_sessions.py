"""Connect sessions, their sealed code verifiers and pending grants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId, UserId
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, CodeVerifier, RefreshToken
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.key_holds import hold_keys
from keyturn_service.adapters.sql.org_holds import hold_org
from keyturn_service.adapters.sql.revocations import SealedJob
from keyturn_service.adapters.sql.rows import (
    ODD_ROW,
    connection_values,
    session_of,
    session_values,
    user_document,
)
from keyturn_service.adapters.sql.tables import connect_sessions, connections, token_sets
from keyturn_service.adapters.sql.token_sets import end_foreseen, sealed_tokens
from keyturn_service.domain.connect_session import ConnectSession, SessionStatus
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    ConnectionState,
    TokenSet,
)
from keyturn_service.domain.ids import AppId, ConnectionId, ConnectSessionId, WorkspaceId
from keyturn_service.ports import PendingGrant, StaleWrite, ToRevoke
from keyturn_service.vault.vault import Vault

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SqlConnectSessions:
    """`ports.ConnectSessions`."""

    database: Database
    vault: Vault

    async def add(self, session: ConnectSession) -> None:
        """Keep a new session."""
        async with self.database.write() as connection:
            await connection.execute(insert(connect_sessions).values(**session_values(session)))

    async def get(
        self, workspace_id: WorkspaceId, session_id: ConnectSessionId
    ) -> ConnectSession | None:
        """Return the session, if it is in that workspace."""
        return await self._one(
            connect_sessions.c.id == session_id, connect_sessions.c.workspace_id == workspace_id
        )

    async def by_link(self, link_hash: bytes) -> ConnectSession | None:
        """Return the session that a link names."""
        return await self._one(connect_sessions.c.link_hash == link_hash)

    async def by_state(self, state_hash: bytes) -> ConnectSession | None:
        """Return the session that went to Salesforce with this `state`."""
        return await self._one(connect_sessions.c.state_hash == state_hash)

    async def _one(self, *conditions: ColumnElement[bool]) -> ConnectSession | None:
        async with self.database.read() as connection:
            row = (await connection.execute(select(connect_sessions).where(*conditions))).first()
        return None if row is None else session_of(row)

    async def replace(
        self, session: ConnectSession, *, verifier: CodeVerifier | None = None
    ) -> bool:
        """Keep the session as `session.version + 1` if the kept one is `session.version`."""
        extra: dict[str, Any] = {}
        if verifier is not None:
            place = places.verifier(session.workspace_id, session.id)
            extra["verifier"] = await self.vault.seal(verifier.reveal().encode(), place)
        async with self.database.write() as connection:
            await hold_keys(connection, *extra.values())
            return await _replace(connection, session, **extra)

    async def take_verifier(self, session_id: ConnectSessionId) -> CodeVerifier | None:
        """Return the session's code verifier and forget it."""
        asked = select(connect_sessions.c.workspace_id, connect_sessions.c.verifier)
        async with self.database.write() as connection:
            row = (await connection.execute(asked.where(_is(session_id)).with_for_update())).first()
            if row is None or row.verifier is None:
                return None
            await connection.execute(
                update(connect_sessions).where(_is(session_id)).values(verifier=None)
            )
        place = places.verifier(row.workspace_id, session_id)
        return CodeVerifier((await self.vault.open(row.verifier, place)).decode())

    async def await_confirmation(
        self, session: ConnectSession, grant: PendingGrant, *, new_connection: Connection | None
    ) -> bool:
        """Keep the sealed grant and the session (as `replace` does), all or nothing."""
        place = places.pending_grant(session.workspace_id, session.id)
        sealed = await self.vault.seal(json.dumps(_grant_document(grant)).encode(), place)
        async with self.database.write() as connection:
            await hold_keys(connection, sealed)
            if not await _replace(connection, session, pending_grant=sealed):
                return False
            if new_connection is not None:
                await connection.execute(
                    insert(connections).values(**connection_values(new_connection))
                )
        return True

    async def confirm(
        self,
        session: ConnectSession,
        connection: Connection,
        tokens: TokenSet,
        *,
        superseded: ToRevoke | None,
        instead_of: ConnectionId | None = None,
    ) -> None:
        """Put the pending grant in force as `connection` with `tokens`: all or nothing.

        Raises:
            StaleWrite: the session or the connection changed meanwhile, or the connection is
                new and the customer has another one to the org in force.
            OrgTaken: another customer's connection to the org is in force.
        """
        sealed = await sealed_tokens(self.vault, connection, tokens)
        job = await SealedJob.of(superseded, self.vault)
        async with self.database.write() as writing:
            await hold_keys(writing, sealed["access_token"], sealed["refresh_token"], job.tokens)
            if not await hold_org(writing, connection):
                raise StaleWrite(connection.id)
            if not await _replace(writing, session, pending_grant=None):
                raise StaleWrite(session.id)
            changed = await writing.execute(
                update(connections)
                .where(
                    connections.c.id == connection.id,
                    connections.c.generation == connection.generation - 1,
                )
                .values(**connection_values(connection), ending=False)
            )
            if not changed.rowcount:
                raise StaleWrite(connection.id)
            await _end_pending(writing, instead_of, problem=None)
            await end_foreseen(writing, connection, at=tokens.received_at)
            kept = await writing.execute(
                update(token_sets)
                .where(token_sets.c.connection_id == connection.id)
                .values(**sealed)
            )
            if not kept.rowcount:
                await writing.execute(insert(token_sets).values(**sealed))
            await job.keep(writing)

    async def pending_grant(self, session_id: ConnectSessionId) -> PendingGrant | None:
        """Return the session's pending grant, opened."""
        asked = select(connect_sessions.c.workspace_id, connect_sessions.c.pending_grant)
        async with self.database.read() as connection:
            row = (await connection.execute(asked.where(_is(session_id)))).first()
        if row is None or row.pending_grant is None:
            return None
        place = places.pending_grant(row.workspace_id, session_id)
        return _grant_of(json.loads(await self.vault.open(row.pending_grant, place)))

    async def drop_pending(self, session: ConnectSession, *, unconfirmed: ToRevoke | None) -> bool:
        """Keep the session as `replace` does, and forget its pending grant: all or nothing."""
        job = await SealedJob.of(unconfirmed, self.vault)
        asked = select(connect_sessions.c.pending_grant).where(_is(session.id))
        async with self.database.write() as connection:
            await hold_keys(connection, job.tokens)
            row = (await connection.execute(asked.with_for_update())).first()
            if row is None or row.pending_grant is None:
                return False
            if not await _replace(connection, session, pending_grant=None):
                return False
            await _end_pending(connection, session.connection_id, problem=session.problem)
            await job.keep(connection)
        return True

    async def abandon(self, session_id: ConnectSessionId, *, unconfirmed: ToRevoke | None) -> bool:
        """End a session that cannot be read, as `drop_pending` does; the rest of it stays."""
        job = await SealedJob.of(unconfirmed, self.vault)
        columns = connect_sessions.c
        ended = (
            update(connect_sessions)
            .where(_is(session_id), columns.ends_at.is_not(None))
            .values(
                status=SessionStatus.EXPIRED,
                ends_at=None,
                pending_grant=None,
                version=columns.version + 1,
            )
        )
        async with self.database.write() as connection:
            await hold_keys(connection, job.tokens)
            if not (await connection.execute(ended)).rowcount:
                return False
            if unconfirmed is not None:
                pending = unconfirmed.revocation.connection_id
                await _end_pending(connection, pending, problem="session_expired")
            await job.keep(connection)
        return True

    async def awaiting(
        self, workspace_id: WorkspaceId | None, app_id: AppId | None
    ) -> Sequence[ConnectSession | ConnectSessionId]:
        """Return the sessions that wait for their confirmation."""
        columns = connect_sessions.c
        asked = select(columns.id).where(
            columns.status == SessionStatus.AWAITING_CONFIRMATION, columns.ends_at.is_not(None)
        )
        if workspace_id is not None:
            asked = asked.where(columns.workspace_id == workspace_id)
        if app_id is not None:
            asked = asked.where(columns.app_id == app_id)
        return await self._each(asked.order_by(columns.id))

    async def overdue(
        self, now: datetime, *, after: ConnectSessionId | None, limit: int
    ) -> Sequence[ConnectSession | ConnectSessionId]:
        """Return sessions whose time is over and whose end is not kept yet."""
        asked = (
            select(connect_sessions.c.id)
            .where(connect_sessions.c.ends_at <= now, connect_sessions.c.id > (after or ""))
            .order_by(connect_sessions.c.id)
            .limit(limit)
        )
        return await self._each(asked)

    async def forget(self, *, created_before: datetime, limit: int) -> int:
        """Remove sessions whose end is kept and that began so long ago; return how many."""
        columns = connect_sessions.c
        going = (
            select(columns.id)
            .where(
                columns.created_at < created_before,
                columns.ends_at.is_(None),
                columns.pending_grant.is_(None),
            )
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self.database.write() as writing:
            removed = await writing.execute(delete(connect_sessions).where(columns.id.in_(going)))
        return removed.rowcount

    async def _each(self, asked: Select[Any]) -> Sequence[ConnectSession | ConnectSessionId]:
        """Read the sessions of these ids one by one: an odd row stands in nobody's way."""
        found: list[ConnectSession | ConnectSessionId] = []
        async with self.database.read() as connection:
            for name in (await connection.execute(asked)).scalars().all():
                reading = select(connect_sessions).where(connect_sessions.c.id == name)
                try:
                    row = (await connection.execute(reading)).one_or_none()
                    found += [] if row is None else [session_of(row)]
                except ODD_ROW as error:
                    _log.error(
                        "connect_session_not_read",
                        connect_session_id=name,
                        error=type(error).__name__,
                    )
                    found.append(ConnectSessionId(name))
        return found


async def _replace(connection: AsyncConnection, session: ConnectSession, **extra: Any) -> bool:
    values = session_values(session) | {"version": session.version + 1} | extra
    changed = await connection.execute(
        update(connect_sessions)
        .where(_is(session.id), connect_sessions.c.version == session.version)
        .values(**values)
    )
    return bool(changed.rowcount)


async def _end_pending(
    writing: AsyncConnection, connection_id: ConnectionId | None, *, problem: str | None
) -> None:
    """End a connection whose grant comes into force elsewhere, or never."""
    await writing.execute(
        update(connections)
        .where(connections.c.id == connection_id, connections.c.state == ConnectionState.PENDING)
        .values(state=ConnectionState.REVOKED, problem=problem)
    )


def _is(session_id: ConnectSessionId) -> ColumnElement[bool]:
    return connect_sessions.c.id == session_id


def _grant_document(grant: PendingGrant) -> dict[str, Any]:
    """Return a grant as JSON, tokens included: it is sealed before it goes anywhere."""
    return {
        "session_id": grant.session_id,
        "connection_id": grant.connection_id,
        "workspace_id": grant.workspace_id,
        "app_id": grant.app_id,
        "access_token": grant.access_token.reveal(),
        "refresh_token": grant.refresh_token.reveal() if grant.refresh_token else None,
        "instance_url": grant.instance_url,
        "login_url": grant.login_url,
        "environment": grant.environment,
        "org_id": grant.org_id,
        "org_name": grant.org_name,
        "user": user_document(grant.user),
        "scopes": sorted(grant.scopes),
        "received_at": grant.received_at.isoformat(),
        "session_life": grant.session_life.total_seconds(),
        "expires_at": grant.expires_at.isoformat(),
    }


def _grant_of(said: dict[str, Any]) -> PendingGrant:
    user = said["user"]
    return PendingGrant(
        session_id=ConnectSessionId(said["session_id"]),
        connection_id=ConnectionId(said["connection_id"]),
        workspace_id=WorkspaceId(said["workspace_id"]),
        app_id=AppId(said["app_id"]),
        access_token=AccessToken(said["access_token"]),
        refresh_token=RefreshToken(said["refresh_token"]) if said["refresh_token"] else None,
        instance_url=Origin(said["instance_url"]),
        login_url=Origin(said["login_url"]),
        environment=Environment(said["environment"]),
        org_id=OrgId(said["org_id"]),
        org_name=said["org_name"],
        user=ConnectedUser(id=UserId(user["id"]), username=user["username"], email=user["email"]),
        scopes=frozenset(Scope(scope) for scope in said["scopes"]),
        received_at=datetime.fromisoformat(said["received_at"]),
        session_life=timedelta(seconds=said["session_life"]),
        expires_at=datetime.fromisoformat(said["expires_at"]),
    )
