"""Verify what a token response claims: for an authorization code, or for an assertion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keyturn_core.errors import CoreError
from keyturn_core.oauth.client import Client
from keyturn_core.oauth.introspection import introspection_request, read_introspection_answer
from keyturn_core.oauth.jwt_access_token import expiry_of_jwt
from keyturn_core.oauth.token_answer import TokenResponse
from keyturn_core.salesforce.hosts import (
    LOGIN_HOSTS,
    Environment,
    Origin,
    environment_of,
    read_instance_url,
)
from keyturn_core.salesforce.identity import IdentityUrl, read_identity_url
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.salesforce.scopes import Scope, missing_scopes
from keyturn_core.salesforce.signature import verify_signature
from keyturn_service.domain.connect_session import Authorization, ConnectSession
from keyturn_service.domain.connection import (
    DEFAULT_SESSION,
    SHORTEST_SESSION,
    ConnectedUser,
    Connection,
)
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId, WorkspaceId
from keyturn_service.ports import (
    Apps,
    Clock,
    Connections,
    Organization,
    OrgDirectory,
    OrgUnreachable,
    PendingGrant,
    TokenEndpoint,
)

_REFRESH_TOKEN = Scope("refresh_token")


class GrantRefused(Exception):
    """The grant is not what was asked for: a code of the catalogue, and why we think so."""

    def __init__(self, code: str, because: str) -> None:
        self.code = code
        self.because = because
        super().__init__(f"{code}: {because}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantAsked:
    """What a grant was asked for.

    `environment` is None where a My Domain was named, which `login_url` then is. `username` is
    None where a person logged in; an assertion names whom it is for, and brings no refresh token.
    """

    workspace_id: WorkspaceId
    app_id: AppId
    customer_id: CustomerId
    reauthorizes: ConnectionId | None
    login_url: Origin
    environment: Environment | None
    username: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedGrant:
    """What is known of a grant that holds; `existing` is the connection that it renews."""

    existing: Connection | None
    instance_url: Origin
    environment: Environment
    org_id: OrgId
    org_name: str | None
    user: ConnectedUser
    scopes: frozenset[Scope]
    received_at: datetime
    session_life: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyGrant:
    """Check host, org, signature, scopes and user, and read who let the vendor in.

    The access token goes only to a host that has named the org that the grant is of.
    `connection_id` of the result is empty where the grant is for a new connection.
    """

    apps: Apps
    connections: Connections
    directory: OrgDirectory
    endpoint: TokenEndpoint
    clock: Clock
    loopback: frozenset[Origin]

    async def __call__(
        self,
        session: ConnectSession,
        authorization: Authorization,
        client: Client,
        response: TokenResponse,
    ) -> PendingGrant:
        """Return the grant of a code, ready to be kept.

        Raises:
            GrantRefused: one of the checks failed.
        """
        asked = GrantAsked(
            workspace_id=session.workspace_id,
            app_id=session.app_id,
            customer_id=session.customer_id,
            reauthorizes=session.reauthorizes,
            login_url=authorization.login_url,
            environment=authorization.environment,
        )
        found = await self.check(asked, client, response)
        return PendingGrant(
            session_id=session.id,
            connection_id=ConnectionId("") if found.existing is None else found.existing.id,
            workspace_id=session.workspace_id,
            app_id=session.app_id,
            access_token=response.access_token,
            refresh_token=response.refresh_token,
            instance_url=found.instance_url,
            login_url=authorization.login_url,
            environment=found.environment,
            org_id=found.org_id,
            org_name=found.org_name,
            user=found.user,
            scopes=found.scopes,
            received_at=found.received_at,
            session_life=found.session_life,
            expires_at=found.received_at,
        )

    async def check(
        self, asked: GrantAsked, client: Client, response: TokenResponse
    ) -> VerifiedGrant:
        """Return what is known of the grant.

        Raises:
            GrantRefused: one of the checks failed.
        """
        identity_url = _identity_url(response)
        _check_signature(client, response)
        app = await self.apps.get(asked.workspace_id, asked.app_id)
        needed = frozenset[Scope]() if app is None else app.scopes
        scopes = _scopes(response, needed, refreshed=asked.username is None)
        instance_url = await self._instance_url(response, asked, identity_url.org_id)
        received_at = self.clock.now()
        organization, user = await self._who(instance_url, identity_url, response)
        if asked.username is not None and user.username.lower() != asked.username.lower():
            raise GrantRefused("user_mismatch", "the assertion was for another user")
        existing = await self._existing(
            asked, identity_url, allow_same_org=app is not None and app.allow_same_org
        )
        return VerifiedGrant(
            existing=existing,
            instance_url=instance_url,
            environment=_environment(asked, instance_url, organization),
            org_id=identity_url.org_id,
            org_name=None if organization is None else organization.name,
            user=user,
            scopes=scopes,
            received_at=received_at,
            session_life=await self._session_life(asked, client, response, received_at),
        )

    async def _instance_url(
        self, response: TokenResponse, asked: GrantAsked, org_id: OrgId
    ) -> Origin:
        """Return the API origin, after it has named the org; so must a My Domain asked for."""
        try:
            instance_url = read_instance_url(response.instance_url or "", loopback=self.loopback)
        except CoreError as error:
            raise GrantRefused("host_refused", "instance_url") from error
        hosts = [instance_url]
        if asked.login_url not in LOGIN_HOSTS.values() and asked.environment is None:
            hosts.append(asked.login_url)
        for host in hosts:
            try:
                named = await self.directory.auth_configuration(host)
            except (OrgUnreachable, CoreError) as error:
                raise GrantRefused("salesforce_unavailable", "auth-configuration") from error
            if named.org_id != org_id:
                raise GrantRefused("org_mismatch", "the host is another org's")
        return instance_url

    async def _who(
        self, instance_url: Origin, identity_url: IdentityUrl, response: TokenResponse
    ) -> tuple[Organization | None, ConnectedUser]:
        # Of the URL only the ids count: its path goes out beside the access token.
        path = f"/id/{identity_url.org_id}/{identity_url.user_id}"
        try:
            identity = await self.directory.identity(instance_url, path, response.access_token)
            organization = await self.directory.organization(instance_url, response.access_token)
        except (OrgUnreachable, CoreError) as error:
            raise GrantRefused("salesforce_unavailable", "identity") from error
        if (identity.org_id, identity.user_id) != (identity_url.org_id, identity_url.user_id):
            raise GrantRefused("unexpected_answer", "identity names somebody else")
        user = ConnectedUser(id=identity.user_id, username=identity.username, email=identity.email)
        return organization, user

    async def _existing(
        self, asked: GrantAsked, identity_url: IdentityUrl, *, allow_same_org: bool
    ) -> Connection | None:
        """Return the connection that the grant renews, if it renews one."""
        if asked.reauthorizes is not None:
            connection = await self.connections.get(asked.workspace_id, asked.reauthorizes)
            if connection is None or connection.org_id != identity_url.org_id:
                raise GrantRefused("org_mismatch", "the connection keeps its org for life")
            if connection.user.id != identity_url.user_id:
                raise GrantRefused("user_mismatch", "another user let the vendor in")
            return connection
        of_org = await self.connections.of_org(asked.app_id, identity_url.org_id)
        own = [c for c in of_org if c.customer_id == asked.customer_id and c.generation > 0]
        if own:
            return own[0]
        others = [c for c in of_org if c.customer_id != asked.customer_id and c.generation > 0]
        if others and not allow_same_org:
            raise GrantRefused("org_already_connected", "for another customer")
        return None

    async def _session_life(
        self,
        asked: GrantAsked,
        client: Client,
        response: TokenResponse,
        received_at: datetime,
    ) -> timedelta:
        """Learn how long the org's sessions live; Salesforce says it nowhere else."""
        ends = expiry_of_jwt(response.access_token)
        if ends is None:
            try:
                answer = await self.endpoint.post(
                    asked.login_url,
                    "/services/oauth2/introspect",
                    introspection_request(client, response.access_token),
                )
                told = read_introspection_answer(answer)
                ends = told.expires_at if told.active else None
            except (OrgUnreachable, CoreError):
                ends = None
        if ends is None:
            return DEFAULT_SESSION
        return max(datetime.fromtimestamp(ends, UTC) - received_at, SHORTEST_SESSION)


def _identity_url(response: TokenResponse) -> IdentityUrl:
    try:
        return read_identity_url(response.identity_url or "")
    except CoreError as error:
        raise GrantRefused("unexpected_answer", "identity URL") from error


def _check_signature(client: Client, response: TokenResponse) -> None:
    """Check `signature` where it is present; JWT bearer and public clients lack it."""
    if response.signature is None or client.consumer_secret is None:
        return
    if not verify_signature(
        consumer_secret=client.consumer_secret,
        identity_url=response.identity_url or "",
        issued_at=response.issued_at or "",
        signature=response.signature,
    ):
        raise GrantRefused("unexpected_answer", "signature")


def _scopes(
    response: TokenResponse, needed: frozenset[Scope], *, refreshed: bool
) -> frozenset[Scope]:
    """Return the granted scopes; `refreshed` says that a refresh token has to be among them."""
    granted = needed if response.scopes is None else response.scopes
    missing = missing_scopes(needed, granted if refreshed else granted | {_REFRESH_TOKEN})
    if refreshed and response.refresh_token is None:
        missing |= {_REFRESH_TOKEN}
    if missing:
        raise GrantRefused("scopes_missing", " ".join(sorted(missing)))
    return granted


def _environment(
    asked: GrantAsked, instance_url: Origin, organization: Organization | None
) -> Environment:
    """Return the org's environment: its host's word, its own, or the login host chosen."""
    of_host = environment_of(instance_url)
    if of_host is not None:
        return of_host
    if organization is not None:
        return Environment.SANDBOX if organization.is_sandbox else Environment.PRODUCTION
    return asked.environment or Environment.PRODUCTION
