"""An incident for tests, and what became of its grants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service.tests.support.fakes import refused
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    START,
)

from keyturn_service.domain.ids import IncidentId
from keyturn_service.domain.incident import Because, Incident, IncidentOutcome, Progress, Scope
from keyturn_service.use_cases.revoke_all import RevokeAll

INCIDENT = Incident(id=IncidentId("inc_one"), scope=Scope(), reason="a leak", opened_at=START)

UNKNOWN = refused("invalid_token")


def rounds_of(replica: Replica, **changes: Any) -> RevokeAll:
    """Return the round of one replica."""
    world = replica.world
    made = RevokeAll(
        incidents=replica.stores.incidents,
        store=replica.stores.tokens,
        revocations=replica.stores.revocations,
        leases=replica.stores.leases,
        endpoint=world.org,
        audit=world.audit,
        clock=world.clock,
    )
    return replace(made, **changes)


async def opened(replica: Replica) -> int:
    """Open the incident; return how many grants are listed."""
    return await replica.stores.incidents.open(INCIDENT)


async def outcome(replica: Replica) -> tuple[IncidentOutcome | None, Because | None, bool]:
    """Return what became of the connection's grant."""
    [grant] = await replica.stores.incidents.grants(INCIDENT.id, after=None, limit=9)
    return grant.outcome, grant.because, grant.access_token_ended


async def progress(replica: Replica) -> tuple[int, int, int, int]:
    """Return waiting, failed, revoked and admin."""
    found: Progress = await replica.stores.incidents.progress(INCIDENT.id)
    return found.waiting, found.failed, found.revoked, found.admin


def presented(world: World) -> list[str]:
    """Return the tokens that were presented to be revoked."""
    return [form["token"] for _, path, form in world.org.posted if path.endswith("/revoke")]
