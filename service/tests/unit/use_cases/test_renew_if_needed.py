"""`use_cases.renew_if_needed`: what serves is served, what does not is renewed or refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.replicas import Replica, World
from service.tests.support.values import CONNECTION, START, connection, in_force

from keyturn_core.oauth.token_answer import OutcomeUnknown
from keyturn_service.domain.connection import (
    SESSION_MARGIN,
    ConnectionInUse,
    ConnectionState,
    TokenInForce,
)
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.use_cases.renew_if_needed import in_force as in_force_now

LIFE = timedelta(hours=2)


async def renewed(
    replica: Replica,
    tokens: TokenInForce | None,
    *,
    ending: bool = False,
    rejected: int | None = None,
    **changes: Any,
) -> tuple[ConnectionInUse, TokenInForce]:
    """Ask for what serves, as a read found the connection."""
    found = connection(**changes).in_use()
    return await replica.renew(found, tokens, ending=ending, rejected_generation=rejected)


@pytest.mark.parametrize("state", [ConnectionState.ACTIVE, ConnectionState.UNCERTAIN])
async def test_a_token_inside_its_life_is_served_as_it_is(
    replica: Replica, world: World, state: ConnectionState
) -> None:
    """Nothing is asked of Salesforce; also where nobody knows what became of the refresh token."""
    world.clock.advance(seconds=(LIFE - SESSION_MARGIN).total_seconds() - 1)

    served = await renewed(replica, in_force(), state=state)

    assert served == (connection(state=state).in_use(), in_force())
    assert world.journal == []


async def test_a_token_too_near_to_its_end_is_renewed(replica: Replica, world: World) -> None:
    """It could be dead before the caller has used it."""
    world.clock.advance(seconds=(LIFE - SESSION_MARGIN).total_seconds())

    served, tokens = await renewed(replica, in_force())

    assert (served.id, tokens.generation) == (CONNECTION, 2)
    assert len(world.org.presented) == 1


@pytest.mark.parametrize(
    ("found", "code", "reason"),
    [
        ({"ending": True}, "connection_revoked", None),
        ({"state": ConnectionState.REVOKED}, "connection_revoked", None),
        ({"state": ConnectionState.PENDING}, "connection_pending", None),
        ({"tokens": None}, "connection_pending", None),
        (
            {
                "state": ConnectionState.REAUTHORIZATION_REQUIRED,
                "problem": "refresh_token_expired",
            },
            "reauthorization_required",
            "refresh_token_expired",
        ),
    ],
    ids=["being ended", "revoked", "pending", "no token", "given up"],
)
async def test_a_connection_that_is_not_in_force_serves_nothing(
    replica: Replica, world: World, found: dict[str, Any], code: str, reason: str | None
) -> None:
    """Though its token may still work: the code says what it is, and nothing is presented."""
    asked: dict[str, Any] = {"tokens": in_force()} | found

    with pytest.raises(ConnectionCannotServe) as refusal:
        await renewed(replica, **asked)

    assert (refusal.value.code, refusal.value.reason) == (code, reason)
    assert world.journal == []


async def test_a_token_that_was_refused_is_renewed_inside_its_life(
    replica: Replica, world: World
) -> None:
    """Salesforce's word counts more than what was learned of its sessions."""
    _, tokens = await renewed(replica, in_force(), rejected=1)

    assert tokens.generation == 2
    assert len(world.org.presented) == 1


@pytest.mark.parametrize(
    ("age", "learned"), [(timedelta(minutes=40), timedelta(minutes=40)), (timedelta(0), LIFE)]
)
async def test_a_refusal_is_known_to_all_before_anything_is_presented(
    replica: Replica, world: World, age: timedelta, learned: timedelta
) -> None:
    """Nobody is served it again; its age teaches the length of sessions, if it had one."""
    world.clock.advance(seconds=age.total_seconds())
    world.org.next.append(OutcomeUnknown("no status came"))

    with pytest.raises(ConnectionCannotServe):
        await renewed(replica, in_force(), rejected=1)

    kept = await world.tokens()
    assert (kept.generation, kept.expires_at) == (1, None)
    assert (await world.connection()).session_life == learned


async def test_a_refusal_that_is_known_teaches_nothing_more(replica: Replica, world: World) -> None:
    """A token stays refused, however late somebody finds out: its age is not the session's."""
    await replica.store.reject_access_token(CONNECTION, generation=1, session_life=LIFE)
    world.clock.advance(minutes=40)

    _, tokens = await renewed(replica, in_force(expires_at=None), rejected=1)

    assert tokens.generation == 2
    assert (await world.connection()).session_life == LIFE


async def test_a_refusal_of_an_older_token_does_not_touch_the_newer_one(
    replica: Replica, world: World
) -> None:
    """Whoever was refused before the last refresh gets what that brought."""
    newer = in_force(generation=2, expires_at=START + LIFE)

    _, tokens = await renewed(replica, newer, rejected=1, generation=2)

    assert tokens == newer
    assert world.journal == []


def test_what_is_older_than_what_came_is_not_handed_out() -> None:
    """The database was exchanged while it came."""
    found = connection().in_use()

    assert in_force_now(found, in_force(), ending=False, at_least=1) == in_force()
    with pytest.raises(ConnectionCannotServe, match="org_unavailable"):
        in_force_now(found, in_force(), ending=False, at_least=2)
