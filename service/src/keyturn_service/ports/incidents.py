"""Incidents, and the grants that they end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.domain.ids import ConnectionId, IncidentId
from keyturn_service.domain.incident import (
    GrantToEnd,
    Incident,
    IncidentGrant,
    Progress,
    Scope,
    Verdict,
)


class Incidents(Protocol):
    """Incidents, each with its list of grants to end, and how far that is."""

    async def open(self, incident: Incident) -> int:
        """Keep the incident, list every grant of its scope and stop their use: all or nothing.

        What is listed serves no more from now on. Not listed: what has no tokens, what is being
        ended already, and what an earlier incident is at work on. Returns how many were listed.
        """
        ...

    async def count(self, scope: Scope) -> int:
        """Return how many `open` would list."""
        ...

    async def under_way(self, scope: Scope) -> Incident | None:
        """Return the latest incident of exactly that scope that still has grants to end."""
        ...

    async def under_way_since(self) -> datetime | None:
        """Return when the oldest incident was opened that still has grants to end."""
        ...

    async def newest_first(self) -> Sequence[Incident]:
        """Return all incidents."""
        ...

    async def progress(self, incident_id: IncidentId) -> Progress:
        """Return how far an incident is."""
        ...

    async def grants(
        self, incident_id: IncidentId, *, after: ConnectionId | None, limit: int
    ) -> Sequence[IncidentGrant | ConnectionId]:
        """Return grants in order of their connections' ids; of one that cannot be read its id."""
        ...

    async def claim_due(self, now: datetime, *, ttl: timedelta, limit: int) -> Sequence[GrantToEnd]:
        """Return grants that are to be ended now, claimed for `ttl` by the database's clock.

        Nobody else gets one meanwhile; one whose claimer dies is given to another after it.
        """
        ...

    async def leave(self, grant: GrantToEnd, *, due_at: datetime) -> None:
        """Give a claim back of which nothing was tried."""
        ...

    async def presenting(self, grant: GrantToEnd) -> None:
        """Keep that its refresh token is presented now; until `answered`, `unanswered` says so."""
        ...

    async def answered(self, grant: GrantToEnd) -> None:
        """Keep that the latest presentation, known by `presenting`, has ended nothing."""
        ...

    async def postpone(self, grant: GrantToEnd, *, due_at: datetime, tried_with: str) -> None:
        """Keep that a try failed by `tried_with`, a short word, and when the next one is due."""
        ...

    async def put_off_host(self, login_url: Origin, *, until: datetime) -> None:
        """Leave a login host alone until then: none of its grants is due before."""
        ...

    async def ended(
        self, grant: GrantToEnd, verdict: Verdict, *, generation: int | None, at: datetime
    ) -> None:
        """Keep what became of a grant, and forget the tokens of that generation.

        Nothing happens to a connection in which another generation is in force, nor where
        `generation` is None. What is renewed by assertions keeps its place without a token.
        """
        ...
