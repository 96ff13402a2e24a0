"""Connect sessions whose rows no program of ours wrote: told by their ids, and ended."""

from __future__ import annotations

import pytest
from service.tests.conformance.test_connect_sessions import SECOND as OTHER
from service.tests.conformance.test_connect_sessions import unconfirmed, waiting_session
from service.tests.support.databases import Base
from service.tests.support.values import HOUR, ODD_DOCUMENTS, SESSION, START, hash_of, session


@pytest.mark.parametrize("odd", ODD_DOCUMENTS)
async def test_a_session_that_cannot_be_read_stands_in_nobodys_way(base: Base, odd: str) -> None:
    """Its id is told in its place, wherever sessions are looked for; its grant opens."""
    await waiting_session(base)
    sessions = base.stores.connect_sessions
    other = session(id=OTHER, link_hash=hash_of("two"))
    await sessions.add(other)
    await base.execute(
        "UPDATE connect_sessions SET document = :odd WHERE id = :id", odd=odd, id=SESSION
    )

    assert list(await sessions.awaiting(None, None)) == [SESSION]
    overdue = await sessions.overdue(START + 10 * HOUR, after=None, limit=9)
    assert {SESSION, other} == set(overdue)
    assert await sessions.pending_grant(SESSION) is not None


async def test_a_session_that_cannot_be_read_is_ended_with_its_grant(base: Base) -> None:
    """Once; its pending connection ends too, and the rest of it stays to be looked at."""
    await waiting_session(base)
    sessions = base.stores.connect_sessions
    await base.execute("UPDATE connect_sessions SET document = '{}'")

    assert await sessions.abandon(SESSION, unconfirmed=unconfirmed())
    assert not await sessions.abandon(SESSION, unconfirmed=unconfirmed("rev_two"))

    assert await sessions.pending_grant(SESSION) is None
    assert list(await sessions.overdue(START + 10 * HOUR, after=None, limit=9)) == []
    assert await base.rows("SELECT status, document FROM connect_sessions") == [("expired", "{}")]
    assert await base.rows("SELECT state FROM connections") == [("revoked",)]
    assert len(await base.rows("SELECT id FROM revocations")) == 1


async def test_a_session_that_cannot_be_read_is_ended_though_it_has_no_grant(base: Base) -> None:
    """Nothing is revoked."""
    await base.stores.connect_sessions.add(session())
    await base.execute("UPDATE connect_sessions SET document = '{}'")

    assert await base.stores.connect_sessions.abandon(SESSION, unconfirmed=None)

    assert (
        list(await base.stores.connect_sessions.overdue(START + 10 * HOUR, after=None, limit=9))
        == []
    )
