"""Open an incident: stop use, and have every grant ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import structlog

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connect_session import ConnectSession
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import (
    ID_BYTES,
    AppId,
    ConnectSessionId,
    IncidentId,
    WorkspaceId,
    new_id,
)
from keyturn_service.domain.incident import Incident, Scope
from keyturn_service.ports import (
    Apps,
    AuditLog,
    AuditUnavailable,
    Clock,
    ConnectSessions,
    Incidents,
    Randomness,
    Workspaces,
)
from keyturn_service.use_cases.drop_unconfirmed import DropUnconfirmed
from keyturn_service.use_cases.seal_service import SealService

_Found: TypeAlias = ConnectSession | ConnectSessionId
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The incident; `new` is False where one of that scope was under way already.

    `left` are the connect sessions that wait for their confirmation and could not be ended: the
    clean-up tries again. `recorded` is False where the audit does not say that it was listed.
    """

    incident: Incident
    new: bool
    listed: int
    left: Sequence[ConnectSessionId] = ()
    recorded: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIncident:
    """Stop use first, then list what is to be ended; the rounds of all replicas end it.

    One of the whole service seals it. One of a workspace or an app stops its own connections
    alone. Grants that wait for their confirmation are ended as well: from before the list is
    made nobody can confirm one, and what is in the way of ending one stops nothing else.
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
        if workspace_id is None and app_id is None:
            return Scope()
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
            AuditUnavailable: it could not be recorded: nothing is listed or ended by this; the
                whole service is sealed all the same.
            StoreUnavailable: the database does not answer; whether it is opened is not known.
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
        waiting = [
            stopped
            for session in await self.sessions.awaiting(scope.workspace_id, scope.app_id)
            if (stopped := await self._cut_short(session)) is not None
        ]  # one confirmed in this moment is listed
        listed = await self.incidents.open(incident)
        left = [_id(session) for session in waiting if not await self._is_dropped(session)]
        recorded = True
        try:
            await self._note(incident, actor, "incident.grants_listed", grants=listed)
        except AuditUnavailable:
            recorded = False  # they are listed: there is no way back
        return Opened(incident=incident, new=True, listed=listed, left=left, recorded=recorded)

    async def _cut_short(self, session: _Found) -> _Found | None:
        """Leave nobody time to confirm a session; None where somebody was first.

        No key is needed for it. What cannot be read cannot be confirmed.
        """
        if not isinstance(session, ConnectSession):
            return session
        cut = session.cut_short()
        try:
            if not await self.sessions.replace(cut):
                return None
        except Exception as error:  # noqa: BLE001 - whatever it is, grants are to be listed
            _tell(session, error)
            return session
        return replace(cut, version=cut.version + 1)

    async def _is_dropped(self, session: _Found) -> bool:
        """End a session, if nobody else has."""
        try:
            if isinstance(session, ConnectSession):
                await self.drop_unconfirmed(session)
            else:
                await self.drop_unconfirmed.unreadable(session)
        except Exception as error:  # noqa: BLE001 - as above; the clean-up tries again
            _tell(session, error)
            return False
        return True

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


def _id(session: _Found) -> ConnectSessionId:
    return session.id if isinstance(session, ConnectSession) else session


def _tell(session: _Found, error: Exception) -> None:
    _log.error(
        "connect_session_not_ended",
        connect_session_id=_id(session),
        error=type(error).__name__,
    )


def latest(incidents: Sequence[Incident], incident_id: IncidentId | None) -> Incident | None:
    """Return the incident of that id, the latest where none is named; None where there is none."""
    for one in incidents:
        if incident_id is None or one.id == incident_id:
            return one
    return None
