"""`ports.TokenStore`: Salesforce refuses an access token while another takes its place."""

from __future__ import annotations

import asyncio

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import CONNECTION, HOUR, WORKSPACE, connection
from sqlalchemy import update

from keyturn_service.adapters.sql.standing import hold_connection
from keyturn_service.adapters.sql.tables import connections, token_sets


async def test_a_refusal_and_the_answer_that_replaces_the_token_do_not_stop_each_other(
    base: Base,
) -> None:
    """Who has the connection gets its token set, too: the refusal waits, and changes nothing."""
    if base.database.is_sqlite:
        pytest.skip("one writes at a time")
    await base.with_connection()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    async with base.database.write() as writing:  # in the order of all that put tokens in force
        await hold_connection(writing, CONNECTION)
        refusing = asyncio.create_task(
            base.stores.tokens.reject_access_token(CONNECTION, generation=1, session_life=HOUR)
        )
        async with asyncio.timeout(10):
            while await base.rows(waiting) == [(0,)]:
                pass  # each look takes a while
        for table in (connections, token_sets):
            await writing.execute(update(table).values(generation=2))
    await refusing

    rows = "SELECT generation, expires_at IS NULL FROM token_sets"
    assert await base.rows(rows) == [(2, False)]
    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == connection(generation=2)
