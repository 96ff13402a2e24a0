"""`use_cases.refresh_tokens`: an org whose answers lose their access token, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from service.tests.support.replicas import Kitchen, Replica, World
from service.tests.support.values import CONNECTION

from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.use_cases.refresh_tokens import RefreshTokens
from keyturn_service.use_cases.settle_attempt import LOST_AGAIN


@pytest.fixture(autouse=True)
def cutting(world: World) -> None:
    """Have something on the way cut each answer off behind its refresh token."""

    async def cut(form: Mapping[str, str]) -> TokenAnswer:
        answer = world.org.process(form)
        world.org.next.append(cut)
        said = f'{{"refresh_token": "{world.org.refresh_token}", "access_token": "cut of'
        return TokenAnswer(status=answer.status, body=said.encode(), complete=False)

    world.org.next.append(cut)


async def wait_told(refresh: RefreshTokens, *, refused: int) -> int | None:
    """Return for how long a caller is told to wait."""
    with pytest.raises(ConnectionCannotServe) as refusal:
        await refresh(CONNECTION, refused=refused)
    assert (refusal.value.code, refusal.value.reason) == ("org_unavailable", None)
    return refusal.value.retry_after


async def test_one_caller_has_it_renewed_once_more(replica: Replica, world: World) -> None:
    """Then it is told to wait; the connection is sound."""
    assert await wait_told(replica.refresh, refused=1) == LOST_AGAIN

    assert len(world.org.presented) == 2
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert (await world.tokens()).generation == 3


async def test_the_next_callers_are_held_off_on_all_replicas(
    kitchen: Kitchen, replica: Replica, world: World
) -> None:
    """Whichever replica lost them; a restart forgets nothing."""
    await wait_told(replica.refresh, refused=1)
    world.clock.advance(seconds=4)

    for one in (replica, await kitchen.replica("spool_two")):
        assert await wait_told(one.refresh, refused=3) == LOST_AGAIN - 4

    assert len(world.org.presented) == 2


async def test_the_org_is_asked_less_and_less(replica: Replica, world: World) -> None:
    """Once after each wait, and each is longer than the one before, up to a minute."""
    wait = await wait_told(replica.refresh, refused=1)
    waits = []
    for generation in range(3, 8):
        world.clock.advance(seconds=wait or 0)
        wait = await wait_told(replica.refresh, refused=generation)
        waits.append(wait)

    assert len(world.org.presented) == 7
    assert LOST_AGAIN < waits[0] <= 2 * LOST_AGAIN  # type: ignore[operator]
    assert 45 <= waits[-1] <= 60  # type: ignore[operator]


async def test_a_whole_answer_ends_it(replica: Replica, world: World) -> None:
    """The next token set serves, and one whose access token is lost later is renewed at once."""
    await wait_told(replica.refresh, refused=1)
    [cut] = world.org.next
    world.org.next.clear()
    world.clock.advance(seconds=LOST_AGAIN)
    _, whole = await replica.refresh(CONNECTION, refused=3)
    assert (whole.generation, whole.expires_at is None) == (4, False)

    world.org.next.append(cut)
    world.org.next.append(cut)
    await wait_told(replica.refresh, refused=4)

    assert (await world.tokens()).generation == 6


async def test_the_guardian_goes_on(replica: Replica, world: World) -> None:
    """One such org does not keep it; what it stored has a time of its own."""
    world.clock.advance(days=24)

    assert await replica.guard() == 1

    assert len(world.org.presented) == 2
    assert await replica.guard() == 0
