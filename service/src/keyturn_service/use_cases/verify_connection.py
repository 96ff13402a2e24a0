"""Prove that a connection works, or say which step is missing, whose it is and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keyturn_core.errors import CoreError
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import (
    Connection,
    ConnectionInUse,
    ConnectionState,
    Renewal,
    TokenInForce,
    TokenSet,
)
from keyturn_service.domain.errors import ConnectionCannotServe, NotFound
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.domain.signing_key import SigningKey, active_key
from keyturn_service.ports import (
    AccessTokenRefused,
    Apps,
    AuditLog,
    Clock,
    Connections,
    OrgDirectory,
    OrgUnreachable,
    RefreshLeases,
    Seals,
    SigningKeys,
    TokenStore,
    Waiting,
)
from keyturn_service.use_cases.renew_by_assertion import RenewByAssertion
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded
from keyturn_service.use_cases.take_lease import take_lease


class Step(StrEnum):
    """What has to hold, in the order in which it is looked at."""

    APP = "app"  # Salesforce knows the app's consumer key
    SIGNING_KEY = "signing_key"  # the app has an active one
    HOST = "host"  # the org's host answers, and names the connection's org
    CERTIFICATE = "certificate"  # Salesforce has the signing key's certificate
    USER = "user"  # the user is let in
    TOKEN = "token"  # noqa: S105 - a word: an access token serves
    IDENTITY = "identity"  # it is the connection's user in the connection's org


BY_ASSERTION: Final = (
    Step.APP,
    Step.SIGNING_KEY,
    Step.HOST,
    Step.CERTIFICATE,
    Step.USER,
    Step.IDENTITY,
)
BY_REFRESH: Final = (Step.APP, Step.HOST, Step.TOKEN, Step.IDENTITY)

# code -> the step that it stands against; every other one stands against the user
_STEP_OF: Final = {
    "consumer_credentials_missing": Step.APP,
    "client_unknown": Step.APP,
    "flow_disabled": Step.APP,
    "refresh_scope_missing": Step.APP,
    "signing_key_missing": Step.SIGNING_KEY,
    "certificate_refused": Step.CERTIFICATE,
    "assertion_invalid": Step.CERTIFICATE,
    "audience_invalid": Step.HOST,
    "domain_not_supported": Step.HOST,
    "salesforce_unavailable": Step.HOST,
    "org_mismatch": Step.IDENTITY,
    "user_mismatch": Step.IDENTITY,
    "unexpected_answer": Step.IDENTITY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was found. `missing` is the first step that does not hold, `problem` its code.

    `way_out` says of a connection with a refresh token whether an assertion would stand in for it;
    None where the app has no signing key. `warnings` are codes too.
    """

    connection: Connection
    steps: Sequence[Step]
    missing: Step | None
    problem: str | None
    way_out: bool | None
    warnings: Sequence[str]


class _Missing(Exception):
    def __init__(self, step: Step, code: str) -> None:
        self.step = step
        self.code = code
        super().__init__(code)


class _Refused(_Missing):
    """The org does not take the access token; another one may do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyConnection:
    """Go the whole way once: from the app's credentials to the user's identity at the org.

    A connection that is renewed by assertions gets a new token set by it, and is active again
    where it was not.
    """

    apps: Apps
    keys: SigningKeys
    connections: Connections
    store: TokenStore
    leases: RefreshLeases
    seals: Seals
    by_assertion: RenewByAssertion
    renew_if_needed: RenewIfNeeded
    directory: OrgDirectory
    audit: AuditLog
    clock: Clock
    waiting: Waiting

    async def __call__(
        self, workspace_id: WorkspaceId, connection_id: ConnectionId, actor: str
    ) -> Verification:
        """Return what was found.

        Raises:
            NotFound: there is no such connection in the workspace.
            ConnectionCannotServe: it was ended, or is not confirmed yet; or the service is sealed.
            Conflict: it is being refreshed, for longer than a caller waits.
        """
        connection = await self.connections.get(workspace_id, connection_id)
        if connection is None:
            raise NotFound("connection")
        if connection.state is ConnectionState.REVOKED:
            raise ConnectionCannotServe("connection_revoked")
        if connection.state is ConnectionState.PENDING:
            raise ConnectionCannotServe("connection_pending")
        if await self.seals.current() is not None:
            raise ConnectionCannotServe("sealed")
        # Before any of its tokens is used: without a record none is.
        await self._record("connection.verify_begun", connection, actor)
        by_assertion = connection.renewal is Renewal.JWT_BEARER
        missing, problem, refused = None, None, None
        key = active_key(await self.keys.list(connection.workspace_id, connection.app_id))
        try:
            await self._app(connection)
            if by_assertion:
                await self._by_assertion(connection, key)
            else:
                await self._by_refresh(connection)
        except _Missing as found:
            missing, problem = found.step, found.code
        if key is not None and not by_assertion:
            refused = await self._refusal_of_way_out(connection)
        works = problem is None
        await self._record("connection.verified", connection, actor, works=works, problem=problem)
        stands = await self.connections.get(workspace_id, connection_id)
        of_age = None if key is None else key.problem(self.clock.now())
        return Verification(
            connection=stands or connection,
            steps=BY_ASSERTION if by_assertion else BY_REFRESH,
            missing=missing,
            problem=problem,
            way_out=None if key is None or by_assertion else refused is None,
            warnings=[code for code in (of_age, refused) if code is not None],
        )

    async def _by_assertion(self, connection: Connection, key: SigningKey | None) -> None:
        if key is None:
            raise _Missing(Step.SIGNING_KEY, "signing_key_missing")
        await self._host(connection)
        held, tokens = await self._asserted(connection)
        await self._identity(held.in_use(), tokens)

    async def _by_refresh(self, connection: Connection) -> None:
        """Look at the identity by the token in force, and where that is refused by a new one."""
        await self._host(connection)
        held, tokens = await self._refreshed(connection.in_use(), rejected=None)
        try:
            await self._identity(held, tokens)
        except _Refused:
            await self._identity(*await self._refreshed(held, rejected=tokens.generation))

    async def _refusal_of_way_out(self, connection: Connection) -> str | None:
        loaded = await self.store.load(connection.id)
        if loaded is None:
            return "connection_pending"
        return await self.by_assertion.try_out(*loaded)

    async def _app(self, connection: Connection) -> None:
        if await self.apps.client(connection.workspace_id, connection.app_id) is None:
            raise _Missing(Step.APP, "consumer_credentials_missing")

    async def _host(self, connection: Connection) -> None:
        try:
            named = await self.directory.auth_configuration(connection.instance_url)
        except (OrgUnreachable, CoreError) as error:
            raise _Missing(Step.HOST, "salesforce_unavailable") from error
        if named.org_id != connection.org_id:
            raise _Missing(Step.HOST, "org_mismatch")

    async def _asserted(self, connection: Connection) -> tuple[Connection, TokenSet]:
        lease = await take_lease(
            connection.id, leases=self.leases, clock=self.clock, waiting=self.waiting
        )
        try:
            return await self.by_assertion(lease, *await self._loaded(connection), asked_for=True)
        except ConnectionCannotServe as refused:
            code = refused.reason or refused.code
            raise _Missing(_STEP_OF.get(code, Step.USER), code) from refused
        finally:
            await self.leases.release(lease)

    async def _loaded(self, connection: Connection) -> tuple[Connection, TokenSet]:
        loaded = await self.store.load(connection.id)
        if loaded is None:
            raise ConnectionCannotServe("connection_revoked")
        return loaded

    async def _refreshed(
        self, connection: ConnectionInUse, *, rejected: int | None
    ) -> tuple[ConnectionInUse, TokenInForce]:
        loaded = await self.store.load(connection.id)
        try:
            return await self.renew_if_needed(
                connection,
                None if loaded is None else loaded[1],
                ending=False,
                rejected_generation=rejected,
            )
        except ConnectionCannotServe as refused:
            raise _Missing(Step.TOKEN, refused.reason or refused.code) from refused

    async def _identity(self, connection: ConnectionInUse, tokens: TokenInForce) -> None:
        path = f"/id/{connection.org_id}/{connection.user_id}"
        try:
            identity = await self.directory.identity(
                connection.instance_url, path, tokens.access_token
            )
        except AccessTokenRefused as error:
            raise _Refused(Step.IDENTITY, "salesforce_unavailable") from error
        except OrgUnreachable as error:
            raise _Missing(Step.IDENTITY, "salesforce_unavailable") from error
        except CoreError as error:
            raise _Missing(Step.IDENTITY, "unexpected_answer") from error
        if identity.org_id != connection.org_id:
            raise _Missing(Step.IDENTITY, "org_mismatch")
        if identity.user_id != connection.user_id:
            raise _Missing(Step.IDENTITY, "user_mismatch")

    async def _record(
        self, type_: str, connection: Connection, actor: str, **detail: str | bool | None
    ) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=connection.workspace_id,
                actor=actor,
                connection_id=connection.id,
                detail=detail,
            )
        )
