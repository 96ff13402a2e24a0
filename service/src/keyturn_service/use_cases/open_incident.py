"""Open an incident: stop use, and have every grant ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import (
    ID_BYTES,
    AppId,
    IncidentId,
    WorkspaceId,
    new_id,
)
from keyturn_service.domain.incident import Incident, Scope
from keyturn_service.ports import (
    Apps,
    AuditLog,
    Clock,
    ConnectSessions,
    Incidents,
    Randomness,
    Workspaces,
)
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.seal_service import SealService


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The incident; `new` is False where one of that scope was under way already."""

    incident: Incident
    new: bool
    listed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """Stop use first, then list what is to be ended; the rounds of all replicas end it.

    One of the whole service seals it. One of a workspace or an app stops its own connections
    alone. Grants that wait for their confirmation are ended as well.
    """

    incidents: Incidents
    workspaces: Workspaces
    apps: Apps
    sessions: ConnectSessions
    seal: SealService
    drop_unconfirmed: DropUnconfirmed
    audit: AuditLog
    clock: Clock
    randomness: Randomness

    async def scope(self, workspace_id: WorkspaceId | None, app_id: AppId | None) -> Scope:
        """Return the scope that is meant.

        Raises:
            NotFound: there is no such workspace, or no such app in it.
        """
        known = [one.id for one in await self.workspaces.all()]
        if workspace_id is not None and workspace_id not in known:
            raise NotFound("workspace")
        if app_id is None:
            return Scope(workspace_id=workspace_id)
        for one in known if workspace_id is None else [workspace_id]:
            if await self.apps.get(one, app_id) is not None:
                return Scope(workspace_id=one, app_id=app_id)
        raise NotFound("app")

    async def count(self, scope: Scope) -> int:
        """Return how many grants would be listed; nothing is changed."""
        return await self.incidents.count(scope)

    async def __call__(self, actor: str, *, reason: str, scope: Scope) -> Opened:
        """Return the incident; one of that scope that is under way goes on instead.

        Raises:
            AuditUnavailable: it could not be recorded: no grant is listed; the whole service
                is sealed all the same.
        """
        if scope.is_whole:
            await self.seal.put_on(actor, reason)
        under_way = await self.incidents.under_way(scope)
        if under_way is not None:
            return Opened(incident=under_way, new=False, listed=0)
        incident = Incident(
            id=IncidentId(new_id("inc", self.randomness.token_bytes(ID_BYTES))),
            scope=scope,
            reason=reason,
            opened_at=self.clock.now(),
        )
        await self._note(incident, actor, "incident.opened", reason=reason)
        for session in await self.sessions.awaiting(scope.workspace_id, scope.app_id):
            await self.drop_unconfirmed(session)  # one confirmed in this moment is listed
        listed = await self.incidents.open(incident)
        await self._note(incident, actor, "incident.grants_listed", grants=listed)
        return Opened(incident=incident, new=True, listed=listed)

    async def _note(self, incident: Incident, actor: str, type_: str, **detail: str | int) -> None:
        scope = incident.scope
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=scope.workspace_id,
                actor=actor,
                detail={
                    "incident_id": incident.id,
                    **({} if scope.app_id is None else {"app_id": scope.app_id}),
                    **detail,
                },
            )
        )


def latest(incidents: Sequence[Incident], incident_id: IncidentId | None) -> Incident | None:
    """Return the incident of that id, the latest where none is named; None where there is none."""
    for one in incidents:
        if incident_id is None or one.id == incident_id:
            return one
    return None
