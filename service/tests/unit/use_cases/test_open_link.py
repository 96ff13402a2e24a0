"""`use_cases.open_link` and `use_cases.find_connect_session`: looking uses nothing up."""

from __future__ import annotations

import pytest
from service.tests.support.replicas import Replica, World
from service.tests.support.values import OTHER_WORKSPACE, SESSION, WORKSPACE, app

from keyturn_service.domain.connect_session import SessionStatus
from keyturn_service.domain.errors import ConnectRefused, NotFound


async def test_a_link_may_be_opened_as_often_as_one_likes(bare: Replica) -> None:
    """Mail scanners open links: only pressing Connect binds the session."""
    session, secret = await bare.connect.asked()

    for _ in range(3):
        opened, of = await bare.connect.open_link(secret)
        assert opened == session
        assert of == app(consumer_key="3MVG9.acme")


async def test_a_link_can_be_opened_while_its_browser_is_away(bare: Replica) -> None:
    """Whoever comes back from Salesforce may look at the page again."""
    _, secret = await bare.connect.asked()
    await bare.connect.pressed(secret)

    opened, _ = await bare.connect.open_link(secret)

    assert opened.status is SessionStatus.AUTHORIZING


async def test_a_link_that_names_nothing_is_not_found(bare: Replica) -> None:
    """One secret, one session."""
    await bare.connect.asked()

    with pytest.raises(NotFound):
        await bare.connect.open_link("another-secret")


async def test_a_link_that_was_used_opens_nothing(bare: Replica) -> None:
    """After the browser came back, and after the end."""
    session, secret = await bare.connect.asked()
    asked = await bare.connect.pressed(secret)
    await bare.connect.returned(asked["state"])

    with pytest.raises(ConnectRefused) as refusal:
        await bare.connect.open_link(secret)

    assert refusal.value.code == "session_expired"
    found = await bare.connect.find(WORKSPACE, session.id)
    assert found.status is SessionStatus.AWAITING_CONFIRMATION


@pytest.mark.parametrize("minutes", [30, 60 * 24])
async def test_a_link_whose_time_is_over_opens_nothing(
    bare: Replica, world: World, minutes: int
) -> None:
    """Whether its end was kept or not."""
    _, secret = await bare.connect.asked()
    world.clock.advance(minutes=minutes)

    with pytest.raises(ConnectRefused) as refusal:
        await bare.connect.open_link(secret)

    assert refusal.value.code == "session_expired"


async def test_a_link_of_an_app_that_is_gone_is_not_found(bare: Replica, world: World) -> None:
    """There is nobody to connect to."""
    _, secret = await bare.connect.asked()
    await world.base.execute("UPDATE apps SET workspace_id = 'ws_two'")

    with pytest.raises(NotFound):
        await bare.connect.open_link(secret)


async def test_a_session_is_followed_in_its_workspace_only(bare: Replica) -> None:
    """Another workspace's is not there."""
    session, _ = await bare.connect.asked()

    assert await bare.connect.find(WORKSPACE, session.id) == session
    with pytest.raises(NotFound):
        await bare.connect.find(OTHER_WORKSPACE, session.id)
    with pytest.raises(NotFound):
        await bare.connect.find(WORKSPACE, SESSION)


async def test_a_taken_link_that_is_opened_elsewhere_is_on_record(
    bare: Replica, world: World
) -> None:
    """Who it was forwarded to leaves a trace with the session."""
    session, _ = await bare.connect.asked()

    await bare.connect.open_link.note_taken(session)

    [event] = world.audit.of("connect_session.refused")
    assert event.workspace_id == WORKSPACE
    assert event.detail == {
        "connect_session_id": session.id,
        "about": "another browser opened the link",
    }
