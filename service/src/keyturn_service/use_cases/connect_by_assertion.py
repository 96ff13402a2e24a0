"""Connect a customer's org server to server: no person logs in, an admin has let the app in.

The vendor names org and integration user. What comes of the assertion is verified like any other
grant; nothing is kept of one that does not hold, and what it brought is ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from keyturn_core.errors import CoreError
from keyturn_core.oauth.client import Client
from keyturn_core.oauth.jwt_bearer_grant import audiences
from keyturn_core.salesforce.hosts import Environment, HostRefused, Origin, read_my_domain
from keyturn_core.salesforce.identity import read_identity_url
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.secrets import AccessToken
from keyturn_service.domain.app import App
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.errors import Conflict, ConnectRefused
from keyturn_service.domain.ids import (
    ID_BYTES,
    AppId,
    ConnectionId,
    CustomerId,
    WorkspaceId,
    new_id,
)
from keyturn_service.domain.incident import PROBLEM
from keyturn_service.ports import (
    Apps,
    AuditLog,
    Clock,
    Connections,
    OrgTaken,
    Randomness,
    RefreshLeases,
    RevocationReason,
    SealRefused,
    TokenStore,
    Waiting,
)
from keyturn_service.use_cases.choose_app import choose_app
from keyturn_service.use_cases.end_grant import EndGrant
from keyturn_service.use_cases.present_assertion import (
    Accepted,
    AssertionAsked,
    AssertionFailed,
    PresentAssertion,
)
from keyturn_service.use_cases.settle_attempt import expiry
from keyturn_service.use_cases.take_lease import take_lease
from keyturn_service.use_cases.verify_grant import (
    GrantAsked,
    GrantRefused,
    VerifiedGrant,
    VerifyGrant,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectByAssertion:
    """Make a connection that is renewed by assertions, or turn one of the customer's into one.

    `face_login_hosts` is what a development world puts in place of the login hosts, by the face
    of this service.
    """

    apps: Apps
    store: TokenStore
    connections: Connections
    leases: RefreshLeases
    present: PresentAssertion
    verify: VerifyGrant
    end_grant: EndGrant
    audit: AuditLog
    clock: Clock
    randomness: Randomness
    waiting: Waiting
    loopback: frozenset[Origin]
    face_login_hosts: Mapping[str, Mapping[Environment, Origin]] = field(default_factory=dict)

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        actor: str,
        *,
        customer_id: CustomerId,
        username: str,
        app_id: AppId | None,
        environment: Environment | None,
        my_domain: str | None,
        org_id: OrgId | None,
        origin: str | None = None,
    ) -> tuple[Connection, bool]:
        """Return the connection, active, and whether it is a new one.

        Without `my_domain` the assertion goes to the login host of `environment`. `org_id`, where
        given, is the org that it has to be. `origin` is the face of this service that the call
        came by.

        Raises:
            NotFound: there is no such app in the workspace.
            Conflict: the app must be named, or the connection is being refreshed.
            ConnectRefused: the host is refused, Salesforce refuses, or what came does not hold.
        """
        app = await choose_app(self.apps, workspace_id, app_id)
        client = await self.apps.client(app.workspace_id, app.id)
        if client is None:
            raise ConnectRefused("consumer_credentials_missing")
        asked = GrantAsked(
            workspace_id=workspace_id,
            app_id=app.id,
            customer_id=customer_id,
            reauthorizes=None,
            login_url=self._login_url(app, environment, my_domain, origin),
            environment=(environment or Environment.PRODUCTION) if my_domain is None else None,
            username=username,
        )
        accepted = await self._accepted(asked, client, environment, actor)
        try:
            grant = await self.verify.check(asked, client, accepted.response)
            _check_org(grant, org_id)
        except GrantRefused as refused:
            await self._discard(asked, accepted)
            await self._refuse(asked, actor, refused.code, refused.because)
        return await self._keep(asked, grant, accepted, actor)

    def _login_url(
        self,
        app: App,
        environment: Environment | None,
        my_domain: str | None,
        origin: str | None,
    ) -> Origin:
        if my_domain is None:
            hosts = self.face_login_hosts.get(origin or "", app.login_hosts)
            return hosts[environment or Environment.PRODUCTION]
        try:
            return read_my_domain(my_domain, loopback=self.loopback)
        except HostRefused as error:
            raise ConnectRefused("host_refused") from error

    async def _accepted(
        self, asked: GrantAsked, client: Client, environment: Environment | None, actor: str
    ) -> Accepted:
        guess = environment or Environment.PRODUCTION
        try:
            return await self.present(
                AssertionAsked(
                    workspace_id=asked.workspace_id,
                    app_id=asked.app_id,
                    connection_id=None,
                    consumer_key=client.consumer_key,
                    username=asked.username or "",
                    login_url=asked.login_url,
                    audiences=audiences(asked.login_url, guess, known=None),
                )
            )
        except AssertionFailed as failed:
            await self._refuse(asked, actor, failed.code, failed.said or "assertion refused")

    async def _keep(
        self, asked: GrantAsked, grant: VerifiedGrant, accepted: Accepted, actor: str
    ) -> tuple[Connection, bool]:
        if grant.existing is not None:
            return await self._renewed(grant.existing, asked, grant, accepted, actor), False
        connection_id = ConnectionId(new_id("con", self.randomness.token_bytes(ID_BYTES)))
        connection = _connection(connection_id, asked, grant, accepted)
        await self._note(asked, actor, "connection.authorized_by_assertion", connection)
        try:
            added = await self.store.add(connection, _tokens(connection, accepted))
        except OrgTaken:
            await self._discard(asked, accepted)
            await self._refuse(asked, actor, "org_already_connected", "for another customer")
        if not added:
            await self._discard(asked, accepted)  # somebody asked for the same a moment ago
            raise Conflict("refresh_under_way", retry_after=1)
        return connection, True

    async def _renewed(
        self,
        existing: Connection,
        asked: GrantAsked,
        grant: VerifiedGrant,
        accepted: Accepted,
        actor: str,
    ) -> Connection:
        """Put the grant in force on a connection that is there, under its lease.

        A refresh token of the same user stays, because the user's approval may be what lets the
        assertion in; another user's grant is ended with what stores the new one, and so is one
        that an incident has stopped.
        """
        lease = await take_lease(
            existing.id, leases=self.leases, clock=self.clock, waiting=self.waiting
        )
        try:
            loaded = await self.store.load(existing.id)
            before, tokens = loaded or (existing, None)
            generation = before.generation if tokens is None else tokens.generation
            stays = before.user.id == grant.user.id and before.problem != PROBLEM
            kept = None if tokens is None or not stays else tokens.refresh_token
            connection = replace(
                _connection(existing.id, asked, grant, accepted),
                generation=generation + 1,
                keep_alive=before.keep_alive,
                created_at=before.created_at,
                last_used_at=before.last_used_at,
            )
            await self._note(asked, actor, "connection.authorized_by_assertion", connection)
            renewed = replace(_tokens(connection, accepted), refresh_token=kept)
            superseded = None
            if tokens is not None and not stays and not _goes_on(tokens, renewed):
                superseded = self.end_grant.superseded(before, tokens)
            if not await self.store.renew(
                connection,
                renewed,
                instead_of=generation,
                fence=lease.fence,
                anew=True,
                superseded=superseded,
            ):
                await self._discard(asked, accepted)
                raise Conflict("refresh_under_way", retry_after=1)
        finally:
            await self.leases.release(lease)
        if superseded is not None:
            await self.end_grant.started(superseded, before.app_id)
        return connection

    async def _discard(self, asked: GrantAsked, accepted: Accepted) -> None:
        """End what came, unless it is the session that a connection of that org is served by."""
        if await self._serves(asked.app_id, accepted):
            return
        await self.end_grant.of_host(
            asked.login_url,
            [accepted.response.access_token],
            workspace_id=asked.workspace_id,
            connection_id=ConnectionId(""),
            app_id=asked.app_id,
            reason=RevocationReason.REFUSED,
            ends_connection=False,
        )

    async def _serves(self, app_id: AppId, accepted: Accepted) -> bool:
        """Tell whether Salesforce handed out a session that is in force on a connection."""
        try:
            named = read_identity_url(accepted.response.identity_url or "")
        except CoreError:
            return False
        token = accepted.response.access_token
        for connection in await self.connections.of_org(app_id, named.org_id):
            if await self._in_force(connection.id) == token:
                return True
        return False

    async def _in_force(self, connection_id: ConnectionId) -> AccessToken | None:
        try:
            loaded = await self.store.load(connection_id)
        except SealRefused:  # so nobody is served by it
            return None
        return None if loaded is None else loaded[1].access_token

    async def _refuse(self, asked: GrantAsked, actor: str, code: str, because: str) -> NoReturn:
        await self.audit.record(
            AuditEvent(
                type="connection.assertion_refused",
                at=self.clock.now(),
                workspace_id=asked.workspace_id,
                actor=actor,
                detail={
                    "customer_id": asked.customer_id,
                    "login_url": asked.login_url,
                    "about": because,
                    "problem": code,
                },
            )
        )
        raise ConnectRefused(code)

    async def _note(
        self, asked: GrantAsked, actor: str, type_: str, connection: Connection
    ) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=asked.workspace_id,
                actor=actor,
                connection_id=connection.id,
                detail={
                    "customer_id": asked.customer_id,
                    "org_id": connection.org_id,
                    "user_id": connection.user.id,
                    "generation": connection.generation,
                },
            )
        )


def _goes_on(tokens: TokenSet, renewed: TokenSet) -> bool:
    """Tell whether Salesforce handed out the session that there was, and nothing else is left."""
    return tokens.refresh_token is None and tokens.access_token == renewed.access_token


def _check_org(grant: VerifiedGrant, named: OrgId | None) -> None:
    if named is not None and grant.org_id != named:
        raise GrantRefused("org_mismatch", "another org than the one named")


def _connection(
    connection_id: ConnectionId, asked: GrantAsked, grant: VerifiedGrant, accepted: Accepted
) -> Connection:
    """Return a connection at generation 1."""
    return Connection(
        id=connection_id,
        workspace_id=asked.workspace_id,
        app_id=asked.app_id,
        customer_id=asked.customer_id,
        state=ConnectionState.ACTIVE,
        environment=grant.environment,
        org_id=grant.org_id,
        org_name=grant.org_name,
        instance_url=grant.instance_url,
        login_url=asked.login_url,
        user=grant.user,
        scopes=grant.scopes,
        renewal=Renewal.JWT_BEARER,
        keep_alive=True,
        generation=1,
        session_life=grant.session_life,
        created_at=grant.received_at,
        authorized_at=grant.received_at,
        last_used_at=None,
        last_refreshed_at=grant.received_at,
        problem=None,
        audience=accepted.audience,
    )


def _tokens(connection: Connection, accepted: Accepted) -> TokenSet:
    token, received_at = accepted.response.access_token, connection.authorized_at
    return TokenSet(
        generation=connection.generation,
        access_token=token,
        refresh_token=None,
        received_at=received_at,
        expires_at=expiry(token, received_at, connection),
    )
