"""Incidents, and the grants that they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    case,
    false,
    func,
    insert,
    literal,
    null,
    select,
    tuple_,
    type_coerce,
    update,
)

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.sql.claims import FREE, claim_end, is_free
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.order import change_in_order, in_order
from keyturn_service.adapters.sql.rows import ODD_ROW
from keyturn_service.adapters.sql.standing import hold_connection
from keyturn_service.adapters.sql.tables import (
    connections,
    incident_grants,
    incidents,
    token_sets,
)
from keyturn_service.adapters.sql.types import Moment, from_micros
from keyturn_service.domain.connection import ConnectionState, Renewal
from keyturn_service.domain.ids import AppId, ConnectionId, IncidentId, WorkspaceId
from keyturn_service.domain.incident import (
    AT_ONCE,
    PROBLEM,
    Because,
    GrantToEnd,
    Incident,
    IncidentGrant,
    IncidentOutcome,
    Progress,
    Scope,
    Verdict,
)

_T = TypeVar("_T")
_log = structlog.get_logger()
_GRANTED = (
    ConnectionState.ACTIVE,
    ConnectionState.UNCERTAIN,
    ConnectionState.REAUTHORIZATION_REQUIRED,
)
_FURTHEST: Final = timedelta(hours=1, minutes=10)
"""The longest pause that a host can ask for, by a clock that is as far ahead as one may be.

What is due after that was put off by a clock that was further ahead.
"""
_grant = incident_grants.c
_MOMENTS: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class SqlIncidents:
    """`ports.Incidents`."""

    database: Database

    async def open(self, incident: Incident) -> int:
        """Keep the incident, list every grant of its scope and stop their use: all or nothing."""
        listed = (
            _of_scope(incident.scope)
            .add_columns(
                literal(incident.id),
                literal(AT_ONCE, Moment),
                literal(FREE),
                literal(0),
                literal(0),
                false(),
            )
            .with_for_update(of=connections)
        )
        names = ["connection_id", "workspace_id", "login_url", "was", "problem", "authorized_at"]
        names += ["incident_id", "due_at", "claimed_until", "unanswered", "attempts"]
        names += ["access_token_ended"]
        theirs = select(_grant.connection_id).where(_grant.incident_id == incident.id)
        async with self.database.write(patient=True) as writing:
            await writing.execute(
                insert(incidents).values(
                    id=incident.id,
                    workspace_id=incident.scope.workspace_id,
                    app_id=incident.scope.app_id,
                    reason=incident.reason,
                    opened_at=incident.opened_at,
                )
            )
            listed = listed.order_by(in_order(writing, connections.c.id))
            await writing.execute(insert(incident_grants).from_select(names, listed))
            stopped = await writing.execute(
                update(connections)
                .where(connections.c.id.in_(theirs))
                .values(state=ConnectionState.REAUTHORIZATION_REQUIRED, problem=PROBLEM)
            )
        return stopped.rowcount

    async def count(self, scope: Scope) -> int:
        """Return how many `open` would list."""
        counted = select(func.count()).select_from(_of_scope(scope).subquery())
        async with self.database.read(patient=True) as reading:
            return int((await reading.execute(counted)).scalar_one())

    async def under_way(self, scope: Scope) -> Incident | None:
        """Return the latest incident of exactly that scope that still has grants to end."""
        left = select(1).where(_grant.incident_id == incidents.c.id, _grant.due_at.is_not(None))
        asked = _newest.where(
            incidents.c.workspace_id.is_not_distinct_from(scope.workspace_id),
            incidents.c.app_id.is_not_distinct_from(scope.app_id),
            left.exists(),
        )
        return next(iter(await self._each(asked)), None)

    async def under_way_since(self) -> datetime | None:
        """Return when the oldest incident was opened that still has grants to end."""
        left = select(1).where(_grant.incident_id == incidents.c.id, _grant.due_at.is_not(None))
        asked = select(func.min(incidents.c.opened_at)).where(left.exists())
        async with self.database.read(patient=True) as reading:
            opened_at: datetime | None = (await reading.execute(asked)).scalar()
        return opened_at

    async def newest_first(self) -> Sequence[Incident]:
        """Return all incidents."""
        return await self._each(_newest)

    async def progress(self, incident_id: IncidentId) -> Progress:
        """Return how far an incident is."""
        due = _grant.due_at.is_not(None)
        asked = select(
            _counted(due & (_grant.attempts == 0)).label("waiting"),
            _counted(due & (_grant.attempts > 0)).label("failed"),
            _counted(_grant.outcome == IncidentOutcome.REVOKED).label("revoked"),
            _counted(_grant.outcome == IncidentOutcome.ADMIN).label("admin"),
            func.max(case((_grant.ended_at.between(*_MOMENTS), _grant.ended_at))).label(
                "last_ended_at"
            ),
        ).where(_grant.incident_id == incident_id)
        async with self.database.read(patient=True) as reading:
            row = (await reading.execute(asked)).one()
        return Progress(
            waiting=row.waiting,
            failed=row.failed,
            revoked=row.revoked,
            admin=row.admin,
            last_ended_at=row.last_ended_at,
        )

    async def grants(
        self, incident_id: IncidentId, *, after: ConnectionId | None, limit: int
    ) -> Sequence[IncidentGrant | ConnectionId]:
        """Return grants in order of their connections' ids; of one that cannot be read its id."""
        asked = (
            select(*_LISTED)
            .where(_grant.incident_id == incident_id, _grant.connection_id > (after or ""))
            .order_by(_grant.connection_id)
            .limit(limit)
        )
        async with self.database.read() as reading:
            rows = (await reading.execute(asked)).all()
        return [_readable(_listed, row) or ConnectionId(row.connection_id) for row in rows]

    async def claim_due(self, now: datetime, *, ttl: timedelta, limit: int) -> Sequence[GrantToEnd]:
        """Return grants that are to be ended now, claimed for `ttl`."""
        free = is_free(self.database, _grant.claimed_until, ttl=ttl)
        asked = (
            select(_grant.incident_id, _grant.connection_id)
            .where((_grant.due_at <= now) | (_grant.due_at > now + _FURTHEST), free)
            .order_by(_grant.due_at)
            .limit(limit)
        )
        async with self.database.read() as reading:
            if (await reading.execute(asked.limit(1))).first() is None:
                return []  # nothing is due: nothing is written
        theirs = tuple_(_grant.incident_id, _grant.connection_id)
        claimed = (
            update(incident_grants)
            .where(theirs.in_(asked.with_for_update(skip_locked=True)))
            .values(claimed_until=claim_end(self.database, ttl))
            .returning(*_CLAIMED)
        )
        async with self.database.write() as writing:
            rows = (await writing.execute(claimed)).all()
        return [grant for row in rows if (grant := _readable(_claimed, row)) is not None]

    async def leave(self, grant: GrantToEnd, *, due_at: datetime) -> None:
        """Give a claim back of which nothing was tried."""
        await self._change(grant, due_at=due_at, claimed_until=FREE)

    async def presenting(self, grant: GrantToEnd) -> None:
        """Keep that its refresh token is presented now."""
        await self._change(grant, unanswered=_grant.unanswered + 1)

    async def answered(self, grant: GrantToEnd) -> None:
        """Keep that the latest presentation has ended nothing."""
        await self._change(grant, unanswered=_grant.unanswered - 1)

    async def postpone(self, grant: GrantToEnd, *, due_at: datetime, tried_with: str) -> None:
        """Keep that a try failed by `tried_with`, and when the next one is due."""
        await self._change(
            grant,
            due_at=due_at,
            claimed_until=FREE,
            attempts=grant.attempts + 1,
            tried_with=tried_with,
        )

    async def put_off_host(self, login_url: Origin, *, until: datetime) -> None:
        """Leave a login host alone until then: none of its grants is due before."""
        putting_off = (
            update(incident_grants)
            .where(_grant.login_url == login_url, _grant.due_at < until)
            .values(due_at=until)
        )
        async with self.database.write(patient=True) as writing:
            await change_in_order(writing, putting_off, by="connection_id")

    async def ended(
        self, grant: GrantToEnd, verdict: Verdict, *, generation: int | None, at: datetime
    ) -> None:
        """Keep what became of a grant, and forget the tokens of that generation."""
        done = (
            update(incident_grants)
            .where(*_is(grant))
            .values(
                due_at=None,
                claimed_until=FREE,
                unanswered=0,
                tried_with=None,
                outcome=verdict.outcome,
                because=verdict.because,
                access_token_ended=verdict.access_token_ended,
                ended_at=at,
            )
        )
        stopped = (
            update(connections)
            .where(
                connections.c.id == grant.connection_id,
                connections.c.generation == generation,
                connections.c.state != ConnectionState.REVOKED,
            )
            .values(state=ConnectionState.REAUTHORIZATION_REQUIRED, problem=PROBLEM)
            .returning(connections.c.renewal)
        )
        theirs = token_sets.c.connection_id == grant.connection_id
        async with self.database.write() as writing:
            await hold_connection(writing, grant.connection_id)  # first, as who keeps a state does
            await writing.execute(done)
            if generation is None:
                return
            renewal = (await writing.execute(stopped)).scalar()
            if renewal == Renewal.JWT_BEARER:
                emptied = {"expires_at": None, "refresh_token": None}
                await writing.execute(update(token_sets).where(theirs).values(**emptied))
            elif renewal is not None:
                await writing.execute(token_sets.delete().where(theirs))

    async def _each(self, asked: Select[Any]) -> Sequence[Incident]:
        """Return the incidents; an odd row stands in nobody's way."""
        asked = asked.with_only_columns(*_INCIDENT)
        async with self.database.read(patient=True) as reading:
            rows = (await reading.execute(asked)).all()
        return [one for row in rows if (one := _readable(_incident_of, row)) is not None]

    async def _change(self, grant: GrantToEnd, **values: Any) -> None:
        async with self.database.write() as writing:
            await writing.execute(update(incident_grants).where(*_is(grant)).values(**values))


_LISTED: Final = (
    _grant.connection_id,
    _grant.workspace_id,
    _grant.was,
    _grant.problem,
    type_coerce(_grant.due_at, BigInteger).label("due_at"),
    _grant.attempts,
    _grant.tried_with,
    _grant.outcome,
    _grant.because,
    _grant.access_token_ended,
    type_coerce(_grant.ended_at, BigInteger).label("ended_at"),
)
_CLAIMED: Final = (
    _grant.incident_id,
    _grant.connection_id,
    _grant.workspace_id,
    _grant.login_url,
    _grant.was,
    _grant.problem,
    type_coerce(_grant.authorized_at, BigInteger).label("authorized_at"),
    _grant.attempts,
    _grant.unanswered,
)
_INCIDENT: Final = (
    incidents.c.id,
    incidents.c.workspace_id,
    incidents.c.app_id,
    incidents.c.reason,
    type_coerce(incidents.c.opened_at, BigInteger).label("opened_at"),
)
"""As they are kept: which moments are none is seen row by row."""
_newest = select(incidents).order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())


def _of_scope(scope: Scope) -> Select[Any]:
    """Return what is to be listed of connections that have something to revoke."""
    tokens = select(1).where(token_sets.c.connection_id == connections.c.id)
    at_work = select(1).where(
        _grant.connection_id == connections.c.id,
        _grant.authorized_at == connections.c.authorized_at,
        _grant.due_at.is_not(None),
    )
    asked = select(
        connections.c.id,
        connections.c.workspace_id,
        connections.c.login_url,
        connections.c.state,
        connections.c.problem,
        connections.c.authorized_at,
    ).where(
        connections.c.state.in_(_GRANTED),
        connections.c.ending.is_(False),
        tokens.exists(),
        ~at_work.exists(),
    )
    if scope.workspace_id is not None:
        asked = asked.where(connections.c.workspace_id == scope.workspace_id)
    if scope.app_id is not None:
        asked = asked.where(connections.c.app_id == scope.app_id)
    return asked


def _counted(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1), else_=null()))


def _is(grant: GrantToEnd) -> tuple[ColumnElement[bool], ...]:
    """Match a grant that is not done."""
    return (
        _grant.incident_id == grant.incident_id,
        _grant.connection_id == grant.connection_id,
        _grant.due_at.is_not(None),
    )


def _readable(read: Callable[[Any], _T], row: Any) -> _T | None:
    """Read a row; None, and its name in the log, where no program of ours wrote it."""
    try:
        return read(row)
    except ODD_ROW as error:
        name = getattr(row, "connection_id", None) or row.id
        _log.error("incident_row_not_read", name=name, error=type(error).__name__)
        return None


def _incident_of(row: Any) -> Incident:
    return Incident(
        id=IncidentId(row.id),
        scope=Scope(
            workspace_id=None if row.workspace_id is None else WorkspaceId(row.workspace_id),
            app_id=None if row.app_id is None else AppId(row.app_id),
        ),
        reason=row.reason,
        opened_at=from_micros(row.opened_at),
    )


def _claimed(row: Any) -> GrantToEnd:
    return GrantToEnd(
        incident_id=IncidentId(row.incident_id),
        connection_id=ConnectionId(row.connection_id),
        workspace_id=WorkspaceId(row.workspace_id),
        login_url=Origin(row.login_url),
        was=ConnectionState(row.was),
        problem=row.problem,
        authorized_at=from_micros(row.authorized_at),
        attempts=row.attempts,
        unanswered=row.unanswered > 0,
    )


def _listed(row: Any) -> IncidentGrant:
    return IncidentGrant(
        connection_id=ConnectionId(row.connection_id),
        workspace_id=WorkspaceId(row.workspace_id),
        was=ConnectionState(row.was),
        problem=row.problem,
        due_at=_moment_of(row.due_at),
        attempts=row.attempts,
        tried_with=row.tried_with,
        outcome=None if row.outcome is None else IncidentOutcome(row.outcome),
        because=None if row.because is None else Because(row.because),
        access_token_ended=row.access_token_ended,
        ended_at=_moment_of(row.ended_at),
    )


def _moment_of(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
