"""`use_cases.begin_connect_session`: a link that lets one browser connect one org, once."""

from __future__ import annotations

from typing import Any

import pytest
from service.tests.support.fakes import fake_hash
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    FACE,
    HOUR,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    app,
)

from keyturn_core.salesforce.hosts import Environment
from keyturn_service.domain.connect_session import LINK_LIFE, Delivery, SessionStatus
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import Conflict, ConnectRefused, NotFound, ServiceError
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId
from keyturn_service.ports import AuditUnavailable


async def test_a_session_is_kept_with_the_hash_of_its_link(bare: Replica) -> None:
    """The secret in the link is told once and kept nowhere."""
    session, secret = await bare.connect.asked(environment=Environment.SANDBOX)

    kept = await bare.stores.connect_sessions.by_link(fake_hash("connect_link", secret))
    assert kept == session
    assert (session.status, session.version) == (SessionStatus.OPEN, 1)
    assert session.expires_at == START + LINK_LIFE
    assert session.environment is Environment.SANDBOX
    assert len(secret) >= 43
    assert secret.encode() not in await bare.world.base.dump()


async def test_every_link_is_another_one(bare: Replica) -> None:
    """No two sessions share a secret or an id."""
    made = [await bare.connect.asked() for _ in range(5)]

    assert len({secret for _, secret in made}) == 5
    assert len({session.id for session, _ in made}) == 5


async def test_a_session_stays_on_the_face_it_was_asked_by(bare: Replica) -> None:
    """The link names the face's own origin."""
    session, _ = await bare.connect.asked(origin="http://localhost:8080")

    assert session.origin == "http://localhost:8080"


async def test_beginning_is_recorded_before_it_is_kept(bare: Replica, world: World) -> None:
    """Who asked, for which customer; where that cannot be written there is no session."""
    session, _ = await bare.connect.asked()
    [event] = world.audit.of("connect_session.created")
    assert event.actor == API_KEY
    assert event.detail == {"connect_session_id": session.id, "customer_id": "globex"}

    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await bare.connect.asked()
    assert await world.base.rows("SELECT count(*) FROM connect_sessions") == [(1,)]


@pytest.mark.parametrize(
    ("pasted", "login_url"),
    [
        ("globex", "https://globex.my.salesforce.com"),
        ("https://globex.lightning.force.com/lightning/page", "https://globex.my.salesforce.com"),
        ("globex--dev.sandbox.my.salesforce.com", "https://globex--dev.sandbox.my.salesforce.com"),
    ],
)
async def test_a_my_domain_may_be_given_beforehand(
    bare: Replica, pasted: str, login_url: str
) -> None:
    """As a user would paste it."""
    session, _ = await bare.connect.asked(my_domain=pasted)

    assert session.login_url == login_url


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"my_domain": "attacker.example"}, "host_refused"),
        ({"return_url": "https://attacker.example/"}, "return_url_refused"),
        ({"return_url": "javascript:alert(1)"}, "return_url_refused"),
        ({"return_url": "https://app.acme.example@attacker.example/"}, "return_url_refused"),
        ({"return_url": "https://app.acme.example/#fragment"}, "return_url_refused"),
    ],
)
async def test_a_host_that_is_not_registered_is_refused(
    bare: Replica, world: World, asked: dict[str, Any], code: str
) -> None:
    """Nothing is kept and no link is made, and who asked for it is on record."""
    with pytest.raises(ConnectRefused) as refusal:
        await bare.connect.asked(**asked)

    assert refusal.value.code == code
    assert world.journal == ["connect_session.refused"]
    assert world.audit.events[0].detail == {"about": "not begun", "problem": code}
    assert await world.base.rows("SELECT id FROM connect_sessions") == []


async def test_the_app_must_be_named_where_there_are_several(bare: Replica) -> None:
    """One app needs no name; of two nobody guesses."""
    other = AppId("app_two")
    await bare.stores.apps.add(app(id=other))

    with pytest.raises(Conflict) as refusal:
        await bare.connect.asked()
    assert refusal.value.code == "app_required"

    session, _ = await bare.connect.asked(app_id=other)
    assert session.app_id == other


async def test_an_app_of_another_workspace_is_not_there(bare: Replica, world: World) -> None:
    """Neither by name, nor where a workspace has none."""
    await bare.stores.apps.add(app(id=AppId("app_two"), workspace_id=OTHER_WORKSPACE))

    with pytest.raises(NotFound):
        await bare.connect.asked(app_id=AppId("app_two"))

    await world.base.execute("UPDATE apps SET workspace_id = 'ws_two'")
    with pytest.raises(NotFound):
        await bare.connect.asked()


async def test_a_connection_can_be_reauthorized_by_its_customer(replica: Replica) -> None:
    """The session names it; another delivery is kept too."""
    session, _ = await replica.connect.asked(connection_id=CONNECTION, delivery=Delivery.SHARED)

    assert session.reauthorizes == CONNECTION
    assert session.delivery is Delivery.SHARED


@pytest.mark.parametrize(
    ("changes", "asked", "code"),
    [
        ({}, {"customer_id": CustomerId("initech")}, "not_found"),
        ({}, {"connection_id": ConnectionId("con_none")}, "not_found"),
        ({"state": ConnectionState.PENDING}, {}, "connection_pending"),
        ({"state": ConnectionState.REVOKED}, {}, "connection_revoked"),
        ({"app_id": AppId("app_two")}, {"app_id": app().id}, "connection_pending"),
    ],
)
async def test_not_every_connection_can_be_reauthorized(
    bare: Replica, world: World, changes: dict[str, Any], asked: dict[str, Any], code: str
) -> None:
    """Not another customer's, none that never was in force, none that ended."""
    await bare.stores.apps.add(app(id=AppId("app_two")))
    await world.base.with_connection(**changes)

    with pytest.raises(ServiceError) as refusal:
        await bare.connect.asked(**{"app_id": app().id, "connection_id": CONNECTION} | asked)

    assert refusal.value.code == code
    assert world.audit.events == []


async def test_the_link_ends_after_half_an_hour(bare: Replica, world: World) -> None:
    """To the second; who looks then is told that it expired."""
    session, _ = await bare.connect.asked()
    world.clock.advance(seconds=LINK_LIFE.total_seconds() - 1)
    assert (await bare.connect.find(WORKSPACE, session.id)).status is SessionStatus.OPEN

    world.clock.advance(seconds=1)

    found = await bare.connect.find(WORKSPACE, session.id)
    assert (found.status, found.problem) == (SessionStatus.EXPIRED, "session_expired")
    assert START + LINK_LIFE < START + HOUR
    assert session.origin == FACE
