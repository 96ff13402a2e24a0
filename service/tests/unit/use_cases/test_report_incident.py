"""`use_cases.report_incident`: what became of each grant, links, and the chains of the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.audit_chains import MemoryAuditChains, a_chain, end_of
from service.tests.support.replicas import Replica, World, parameters
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    FACE,
    RETURN_URL,
    START,
    WORKSPACE,
    app,
)

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.domain.audit import AuditRecord
from keyturn_service.domain.checkpoint import Checkpoint
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId, CustomerId, IncidentId
from keyturn_service.domain.incident import Incident, IncidentOutcome, Scope
from keyturn_service.ports import AuditUnavailable, ChainUnreadable, StoreUnavailable
from keyturn_service.use_cases.report_incident import ReportedGrant, ReportIncident
from keyturn_service.use_cases.revoke_all import RevokeAll

ACTOR = "operator"
OTHER = ConnectionId("con_two")
INCIDENT = Incident(id=IncidentId("inc_one"), scope=Scope(), reason="a leak", opened_at=START)


def reporting(
    replica: Replica, chains: Mapping[str, Sequence[AuditRecord | None]] | None = None
) -> ReportIncident:
    """Return the use case."""
    stores = replica.stores
    return ReportIncident(
        incidents=stores.incidents,
        connections=stores.connections,
        apps=stores.apps,
        chains=MemoryAuditChains(dict(chains or {})),
        begin=replica.connect.begin_session,
        audit=replica.world.audit,
        clock=replica.world.clock,
        origin=Origin(FACE),
    )


async def ended(replica: Replica) -> None:
    """Open the incident, and end what it lists."""
    await replica.stores.incidents.open(INCIDENT)
    await revoked(replica)


async def revoked(replica: Replica) -> None:
    """End what is listed."""
    world = replica.world
    await RevokeAll(
        incidents=replica.stores.incidents,
        store=replica.stores.tokens,
        revocations=replica.stores.revocations,
        leases=replica.stores.leases,
        endpoint=world.org,
        audit=world.audit,
        clock=world.clock,
    )()


async def grants(report: ReportIncident) -> list[ReportedGrant]:
    """Return all that is reported."""
    return [one async for one in report.grants(INCIDENT)]


async def test_a_grant_is_reported_with_connection_and_app(replica: Replica) -> None:
    """As they are now; while it is not ended nobody needs a link."""
    report = reporting(replica)
    await replica.stores.incidents.open(INCIDENT)
    [waiting] = await grants(report)
    assert not waiting.waits_for_customer

    await revoked(replica)
    [found] = await grants(report)

    assert found.grant.outcome is IncidentOutcome.REVOKED
    assert found.connection == await replica.world.connection()
    assert found.app.id == app().id
    assert found.waits_for_customer


@pytest.mark.parametrize(
    "changed",
    ["renewal = 'jwt_bearer'", "state = 'active'", "problem = 'grant_revoked'"],
)
async def test_a_link_is_for_who_waits_because_of_the_incident(
    replica: Replica, world: World, changed: str
) -> None:
    """Not what assertions renew, what serves again, or what ended otherwise since."""
    await ended(replica)
    await world.base.execute(f"UPDATE connections SET {changed}")  # noqa: S608 - ours

    [found] = await grants(reporting(replica))

    assert not found.waits_for_customer


async def test_what_somebody_took_from_the_database_is_left_out(
    replica: Replica, world: World
) -> None:
    """The others are reported."""
    await replica.stores.incidents.open(INCIDENT)
    await world.base.execute("UPDATE incident_grants SET connection_id = 'con_gone'")
    report = reporting(replica)

    assert await grants(report) == []
    assert report.left_out == ["con_gone"]


async def test_what_cannot_be_read_is_left_out_and_named(replica: Replica, world: World) -> None:
    """One odd row is not the others; a database that is silent is something else."""
    await world.base.with_connection(id=OTHER, customer_id=CustomerId("initech"))
    await replica.stores.incidents.open(INCIDENT)
    await world.base.execute("UPDATE connections SET scopes = 'odd' WHERE id = 'con_one'")
    report = reporting(replica)

    assert [one.connection.id for one in await grants(report)] == [OTHER]
    assert report.left_out == [CONNECTION]

    class Away:
        """Connections that nobody can look at."""

        async def get(self, *_given: Any) -> None:
            raise StoreUnavailable

    away: Any = Away()
    report.connections = away
    with pytest.raises(StoreUnavailable):
        await grants(report)


async def test_a_grant_that_cannot_be_read_is_left_out_and_named(
    replica: Replica, world: World
) -> None:
    """Also where it is the last of a page; those behind it are reported."""
    await world.base.with_connection(id=OTHER, customer_id=CustomerId("initech"))
    await replica.stores.incidents.open(INCIDENT)
    await world.base.execute(
        "UPDATE incident_grants SET outcome = 'odd' WHERE connection_id = 'con_one'"
    )
    report = reporting(replica)

    assert [one.connection.id for one in await grants(report)] == [OTHER]
    assert report.left_out == [CONNECTION]


async def test_one_whose_app_is_gone_is_left_out(replica: Replica, world: World) -> None:
    """It cannot be said whose it was."""
    await replica.stores.incidents.open(INCIDENT)
    await world.base.execute("PRAGMA foreign_keys=OFF")
    await world.base.execute("UPDATE apps SET workspace_id = 'ws_two'")

    assert await grants(reporting(replica)) == []


@pytest.mark.parametrize(
    ("return_url", "expected"), [(None, "https://app.acme.example/"), (RETURN_URL, RETURN_URL)]
)
async def test_a_link_reauthorizes_its_connection_for_seven_days(
    replica: Replica, world: World, return_url: str | None, expected: str
) -> None:
    """Browsers come back to the page that is named, or to the app's first return origin."""
    await ended(replica)
    report = reporting(replica)

    [link] = await report.links(await grants(report), ACTOR, return_url=return_url)

    assert link.problem is None
    assert link.expires_at == START + timedelta(days=7)
    secret = (link.url or "").removeprefix(f"{FACE}/connect/")
    [row] = await world.base.rows("SELECT id FROM connect_sessions WHERE status = 'open'")
    session = await replica.stores.connect_sessions.get(WORKSPACE, row[0])
    assert session is not None
    assert (session.reauthorizes, session.return_url) == (CONNECTION, expected)
    assert len(secret) >= 43


async def test_a_link_serves_days_later(replica: Replica, world: World) -> None:
    """And the connection is the same as before."""
    await ended(replica)
    report = reporting(replica)
    [link] = await report.links(await grants(report), ACTOR, return_url=RETURN_URL)
    world.clock.advance(days=6)
    [row] = await world.base.rows("SELECT id FROM connect_sessions WHERE status = 'open'")

    asked = await replica.connect.pressed((link.url or "").rsplit("/", 1)[1])
    done = await replica.connect.returned(asked["state"])
    connection = await replica.connect.confirm(
        WORKSPACE,
        row[0],
        API_KEY,
        confirmation_code=parameters(done.redirect_url)["confirmation_code"],
        org_id=None,
    )

    assert (connection.id, connection.state) == (CONNECTION, ConnectionState.ACTIVE)


@pytest.mark.parametrize("origins", [("https://elsewhere.example",), ()])
async def test_a_link_that_is_refused_says_why(replica: Replica, origins: tuple[str, ...]) -> None:
    """The page is of no registered origin, or the app has none."""
    await ended(replica)
    await replica.stores.apps.replace(app(return_origins=origins))
    report = reporting(replica)

    [link] = await report.links(
        await grants(report), ACTOR, return_url=RETURN_URL if origins else None
    )

    assert (link.url, link.expires_at, link.problem) == (None, None, "return_url_refused")


async def test_reading_the_evidence_is_on_record_first(replica: Replica, world: World) -> None:
    """With who read it, and whether links were made."""
    report = reporting(replica)
    await report.note(INCIDENT, ACTOR, links=True)
    [event] = world.audit.of("incident.reported")
    assert (event.actor, event.detail) == (ACTOR, {"incident_id": INCIDENT.id, "links": True})

    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await report.note(INCIDENT, ACTOR, links=False)


async def test_records_lead_up_to_the_checkpoint_and_not_beyond(bare: Replica) -> None:
    """Chain after chain; what came after the checkpoint is left out."""
    one, two = a_chain("run_one", 4), a_chain("run_two", 3)
    checkpoint = Checkpoint(made_at=START, chains=[end_of(one[:3]), end_of(two)])
    report = reporting(bare, {"run_one": one, "run_two": two})

    found = [record async for record in report.records(INCIDENT, checkpoint)]

    assert found == [*one[:3], *two]


async def test_a_row_that_is_no_record_is_named(bare: Replica) -> None:
    """Evidence with a hole in it is none."""
    chain = a_chain("run_one", 3)
    checkpoint = Checkpoint(made_at=START, chains=[end_of(chain)])
    report = reporting(bare, {"run_one": [chain[0], None, chain[2]]})

    with pytest.raises(ChainUnreadable, match="run_one"):
        [record async for record in report.records(INCIDENT, checkpoint)]
