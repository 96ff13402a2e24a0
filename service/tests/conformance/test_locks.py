"""Rows of PostgreSQL that two lock at once: both in one order, or one of the two fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from service.tests.support.databases import Base
from service.tests.support.incidents import INCIDENT
from service.tests.support.values import CONNECTION, HOUR, START, private_key, signing_key
from sqlalchemy import text

from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.adapters.sql.types import to_micros
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId, CustomerId
from keyturn_service.domain.incident import Because, IncidentOutcome, Verdict
from keyturn_service.domain.signing_key import SigningKeyState

pytestmark = pytest.mark.parametrize("base", ["postgresql"], indirect=True)
IDS = [ConnectionId(f"con_{name}") for name in "abZ"]  # a language has Z behind b, Python has not

REVOKED = Verdict(
    outcome=IncidentOutcome.REVOKED, because=Because.REFRESH_TOKEN, access_token_ended=True
)


async def waiting(base: Base, count: int) -> None:
    """Wait until so many wait for a row."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while await base.rows(asked) != [(count,)]:
            pass  # each look takes a while


async def beside_uses(base: Base, change: Callable[[Stores], Awaitable[object]]) -> None:
    """Have connections changed while their uses are kept: both meet at the first one."""
    first, *_ = sorted(IDS)
    used = dict.fromkeys(IDS, START + HOUR)
    async with base.replica("spool_two") as other:
        async with base.database.write() as holding:
            locking = text("SELECT id FROM connections WHERE id = :id FOR UPDATE")
            await holding.execute(locking, {"id": first})
            using = asyncio.create_task(base.stores.connections.touch_used(used))
            await waiting(base, 1)
            changing = asyncio.ensure_future(change(other))
            await waiting(base, 2)
        await asyncio.gather(using, changing)

    kept = await base.rows("SELECT count(DISTINCT last_used_at), count(*) FROM connections")
    assert kept == [(1, len(IDS))]


@pytest.fixture(autouse=True)
async def connected(base: Base) -> None:
    """Connect customers; the table has the last id first."""
    for one in sorted(IDS, reverse=True):
        await base.with_connection(id=one, customer_id=CustomerId(f"customer-{one}"))


async def test_an_incident_is_opened_while_uses_are_kept(base: Base) -> None:
    """All of its grants are listed, and no use is lost."""
    await beside_uses(base, lambda other: other.incidents.open(INCIDENT))

    assert await base.rows("SELECT count(*) FROM incident_grants") == [(len(IDS),)]


async def test_a_signing_key_is_activated_while_uses_are_kept(base: Base) -> None:
    """The guardian looks at all of the app's connections then, and no use is lost."""
    await base.execute("UPDATE connections SET renewal = 'jwt_bearer'")
    key = signing_key(state=SigningKeyState.STAGED)
    assert await base.stores.signing_keys.add(key, private_key())

    await beside_uses(base, lambda other: other.signing_keys.activate(key, at=START))

    assert await base.rows("SELECT DISTINCT due_at FROM connections") == [(to_micros(START),)]


async def test_a_grant_is_ended_while_its_state_is_kept(base: Base) -> None:
    """An attempt that was under way as the incident was opened ends beside the incident's own."""
    await base.with_connection()
    intent = await base.begun()
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    due = await incidents.claim_due(START, ttl=HOUR, limit=9)
    [grant] = [one for one in due if one.connection_id == CONNECTION]
    async with base.replica("spool_two") as other:
        async with base.database.write() as holding:
            locking = "SELECT 1 FROM incident_grants WHERE connection_id = :id FOR UPDATE"
            await holding.execute(text(locking), {"id": CONNECTION})
            ending = asyncio.create_task(incidents.ended(grant, REVOKED, generation=1, at=START))
            await waiting(base, 1)
            keeping = asyncio.create_task(
                other.tokens.end_attempt(
                    intent,
                    AttemptOutcome.REFUSED,
                    at=START,
                    spool_answered=True,
                    state=ConnectionState.ACTIVE,
                )
            )
            await waiting(base, 2)
        await asyncio.gather(ending, keeping)

    assert (await incidents.progress(INCIDENT.id)).revoked == 1
