"""What is kept while a customer connects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import (
    AccessToken,
    CodeVerifier,
    RefreshToken,
)
from keyturn_service.domain.connect_session import ConnectSession
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    TokenSet,
)
from keyturn_service.domain.ids import (
    AppId,
    ConnectionId,
    ConnectSessionId,
    WorkspaceId,
)
from keyturn_service.ports.connections import ToRevoke


class StaleWrite(Exception):
    """What was about to be replaced is not there any more: another replica was first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingGrant:
    """What a token response for an authorization code brought, unusable until confirmed."""

    session_id: ConnectSessionId
    connection_id: ConnectionId
    workspace_id: WorkspaceId
    app_id: AppId
    access_token: AccessToken
    refresh_token: RefreshToken | None
    instance_url: Origin
    login_url: Origin
    environment: Environment
    org_id: OrgId
    org_name: str | None
    user: ConnectedUser
    scopes: frozenset[Scope]
    received_at: datetime
    session_life: timedelta
    expires_at: datetime


class ConnectSessions(Protocol):
    """Connect sessions, their sealed code verifiers and pending grants."""

    async def add(self, session: ConnectSession) -> None:
        """Keep a new session."""
        ...

    async def get(
        self, workspace_id: WorkspaceId, session_id: ConnectSessionId
    ) -> ConnectSession | None:
        """Return the session, if it is in that workspace."""
        ...

    async def by_link(self, link_hash: bytes) -> ConnectSession | None:
        """Return the session that a link names."""
        ...

    async def by_state(self, state_hash: bytes) -> ConnectSession | None:
        """Return the session that went to Salesforce with this `state`."""
        ...

    async def replace(
        self, session: ConnectSession, *, verifier: CodeVerifier | None = None
    ) -> bool:
        """Keep the session as `session.version + 1` if the kept one is `session.version`.

        `verifier`, where given, is sealed and kept with it. False: someone was first, and
        nothing changed.
        """
        ...

    async def take_verifier(self, session_id: ConnectSessionId) -> CodeVerifier | None:
        """Return the session's code verifier and forget it."""
        ...

    async def await_confirmation(
        self, session: ConnectSession, grant: PendingGrant, *, new_connection: Connection | None
    ) -> bool:
        """Keep the sealed grant and the session (as `replace` does), all or nothing.

        Where the grant is for a new connection, that one is kept as `pending` with them.
        """
        ...

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

        The session is kept as `replace` does and the pending grant forgotten. `superseded` is
        what ends the grant of the generation before, kept with all that. `instead_of` is the
        connection that was pending on the grant, where another one is renewed: it is `revoked`.

        Raises:
            StaleWrite: the session or the connection changed meanwhile, or the connection is
                new and the customer has another one to the org in force.
            OrgTaken: another customer's connection to the org is in force, which the app does
                not allow.
        """
        ...

    async def pending_grant(self, session_id: ConnectSessionId) -> PendingGrant | None:
        """Return the session's pending grant, opened."""
        ...

    async def drop_pending(self, session: ConnectSession, *, unconfirmed: ToRevoke | None) -> bool:
        """Keep the session as `replace` does, and forget its pending grant: all or nothing.

        A connection that was pending on it becomes `revoked`. `unconfirmed` is what ends the
        grant, kept with all that. False, and nothing changed, where somebody was first or there
        was no grant.
        """
        ...

    async def abandon(self, session_id: ConnectSessionId, *, unconfirmed: ToRevoke | None) -> bool:
        """End a session that cannot be read, as `drop_pending` does; the rest of it stays.

        False, and nothing changed, where its end is kept already.
        """
        ...

    async def awaiting(
        self, workspace_id: WorkspaceId | None, app_id: AppId | None
    ) -> Sequence[ConnectSession | ConnectSessionId]:
        """Return the sessions that wait for their confirmation, of a workspace, an app or all.

        Of one that cannot be read, as somebody wrote into the database, its id stands for it.
        """
        ...

    async def overdue(
        self, now: datetime, *, after: ConnectSessionId | None, limit: int
    ) -> Sequence[ConnectSession | ConnectSessionId]:
        """Return sessions whose time is over and whose end is not kept yet, as `awaiting` does.

        They are in order of their ids.
        """
        ...

    async def forget(self, *, created_before: datetime, limit: int) -> int:
        """Remove sessions that began so long ago; return how many.

        Their end is kept, and no grant waits in them.
        """
        ...
