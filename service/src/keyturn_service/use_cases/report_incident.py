"""Gather the evidence of an incident: what became of each connection, and links to reconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.domain.app import App
from keyturn_service.domain.audit import AuditEvent, AuditRecord
from keyturn_service.domain.checkpoint import Checkpoint
from keyturn_service.domain.connect_session import Delivery
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal
from keyturn_service.domain.errors import ServiceError
from keyturn_service.domain.ids import AppId, ConnectionId
from keyturn_service.domain.incident import LINKS_LIVE, PROBLEM, Incident, IncidentGrant
from keyturn_service.ports import (
    Apps,
    AuditChains,
    AuditLog,
    ChainUnreadable,
    Clock,
    Connections,
    Incidents,
    StoreUnavailable,
)
from keyturn_service.use_cases.begin_connect_session import BeginConnectSession

_log = structlog.get_logger()
_PAGE: Final = 200
_AT_ONCE: Final = 16
_BEFORE: Final = timedelta(minutes=10)  # what led to it, and clocks that differ


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedGrant:
    """What became of a grant, with its connection and app as they are now."""

    grant: IncidentGrant
    connection: Connection
    app: App

    @property
    def waits_for_customer(self) -> bool:
        """Whether it serves again once its customer has followed a link."""
        return (
            self.grant.outcome is not None
            and self.connection.renewal is Renewal.REFRESH_TOKEN
            and self.connection.state is ConnectionState.REAUTHORIZATION_REQUIRED
            and self.connection.problem == PROBLEM
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReauthorizationLink:
    """A link by which one customer grants access again; whoever has it can begin that.

    `url` is None where none could be made, and `problem` says why.
    """

    reported: ReportedGrant
    url: str | None
    expires_at: datetime | None
    problem: str | None


@dataclass(kw_only=True)
class ReportIncident:
    """Read what an incident did, page by page; nothing of it holds a token.

    `left_out` are the connections of grants that could not be told of: their rows, or their
    grants' or apps', are gone or are none that a program of ours wrote.
    """

    incidents: Incidents
    connections: Connections
    apps: Apps
    chains: AuditChains
    begin: BeginConnectSession
    audit: AuditLog
    clock: Clock
    origin: Origin
    left_out: list[ConnectionId] = field(default_factory=list, init=False)
    _apps: dict[AppId, App | None] = field(default_factory=dict, init=False)

    async def note(self, incident: Incident, actor: str, *, links: bool) -> None:
        """Record that the evidence is read, before it is.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        await self.audit.record(
            AuditEvent(
                type="incident.reported",
                at=self.clock.now(),
                workspace_id=incident.scope.workspace_id,
                actor=actor,
                detail={"incident_id": incident.id, "links": links},
            )
        )

    async def grants(self, incident: Incident) -> AsyncIterator[ReportedGrant]:
        """Give every grant of the incident, in order of its connection's id."""
        after = None
        while page := await self.incidents.grants(incident.id, after=after, limit=_PAGE):
            for grant in page:
                if isinstance(grant, IncidentGrant):
                    after, reported = grant.connection_id, await self._reported(grant)
                else:
                    after, reported = grant, None
                if reported is not None:
                    yield reported
                else:  # a hand in the database
                    self.left_out.append(after)

    async def _reported(self, grant: IncidentGrant) -> ReportedGrant | None:
        try:
            connection = await self.connections.get(grant.workspace_id, grant.connection_id)
            app = None if connection is None else await self._app(connection)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - an odd row; the others are to be told of
            _log.error(
                "connection_not_read",
                connection_id=grant.connection_id,
                error=type(error).__name__,
            )
            return None
        if connection is None or app is None:
            return None
        return ReportedGrant(grant=grant, connection=connection, app=app)

    async def _app(self, connection: Connection) -> App | None:
        app_id = connection.app_id
        if app_id not in self._apps:
            self._apps[app_id] = await self.apps.get(connection.workspace_id, app_id)
        return self._apps[app_id]

    async def links(
        self, reported: Sequence[ReportedGrant], actor: str, *, return_url: str | None
    ) -> Sequence[ReauthorizationLink]:
        """Make a link for each of them, all new. They live for seven days.

        Browsers go back to `return_url`, to the app's first return origin where that is None.
        """
        turns = asyncio.Semaphore(_AT_ONCE)

        async def made(one: ReportedGrant) -> ReauthorizationLink:
            async with turns:
                return await self._link(one, actor, return_url)

        return await asyncio.gather(*(made(one) for one in reported))

    async def _link(
        self, reported: ReportedGrant, actor: str, return_url: str | None
    ) -> ReauthorizationLink:
        connection, app = reported.connection, reported.app
        if return_url is None:
            return_url = next((f"{origin}/" for origin in app.return_origins), "")
        try:
            session, url = await self.begin(
                connection.workspace_id,
                actor,
                customer_id=connection.customer_id,
                return_url=return_url,
                app_id=app.id,
                environment=connection.environment,
                my_domain=None,
                delivery=Delivery.OWN,
                connection_id=connection.id,
                origin=self.origin,
                life=LINKS_LIVE,
            )
        except ServiceError as refused:
            return ReauthorizationLink(
                reported=reported, url=None, expires_at=None, problem=refused.code
            )
        return ReauthorizationLink(
            reported=reported, url=url, expires_at=session.expires_at, problem=None
        )

    async def records(
        self, incident: Incident, checkpoint: Checkpoint
    ) -> AsyncIterator[AuditRecord]:
        """Give what was recorded from ten minutes before the incident up to the checkpoint.

        Chain after chain, each without a gap, so that the last record of each is the one whose
        hash the checkpoint has.

        Raises:
            ChainUnreadable: a row of a chain is no record.
        """
        since = incident.opened_at - _BEFORE
        for end in checkpoint.chains:
            async for record in self.chains.records(end.writer, since=since):
                if record is None:
                    raise ChainUnreadable(end.writer)
                if record.sequence > end.length:
                    break
                yield record
