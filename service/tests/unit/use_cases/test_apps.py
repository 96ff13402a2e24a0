"""`use_cases.register_app`, `change_app`, `put_consumer_credentials` and `set_keep_alive`."""

from __future__ import annotations

import pytest
from service.tests.support.fakes import CountedRandomness
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    APP,
    CALLBACK,
    CONNECTION,
    OTHER_WORKSPACE,
    SCOPES,
    WORKSPACE,
    app,
    consumer_secret,
)

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_service.domain.app import App
from keyturn_service.domain.errors import NotFound
from keyturn_service.ports import AuditUnavailable
from keyturn_service.use_cases.change_app import ChangeApp
from keyturn_service.use_cases.put_consumer_credentials import PutConsumerCredentials
from keyturn_service.use_cases.register_app import RegisterApp
from keyturn_service.use_cases.set_keep_alive import SetKeepAlive

ACTOR = "api_key:key_1"
START = "https://app.acme.example/salesforce"
SANDBOX = {Environment.SANDBOX: Origin("https://uat.my.salesforce.com")}


def _register(world: World) -> RegisterApp:
    return RegisterApp(
        apps=world.base.stores.apps,
        audit=world.audit,
        clock=world.clock,
        randomness=CountedRandomness(),
    )


def _change(world: World) -> ChangeApp:
    return ChangeApp(apps=world.base.stores.apps, audit=world.audit, clock=world.clock)


def _put(world: World) -> PutConsumerCredentials:
    return PutConsumerCredentials(apps=world.base.stores.apps, audit=world.audit, clock=world.clock)


def _set_keep_alive(world: World) -> SetKeepAlive:
    return SetKeepAlive(
        connections=world.base.stores.connections, audit=world.audit, clock=world.clock
    )


async def _kept(world: World, made: App) -> App | None:
    return await world.base.stores.apps.get(WORKSPACE, made.id)


async def test_an_app_is_kept_as_it_was_registered(bare: Replica) -> None:
    """Hosts that are not named are Salesforce's; a consumer key comes later."""
    made = await _register(bare.world)(
        WORKSPACE,
        ACTOR,
        name="Acme",
        namespace=None,
        callback_urls=[CALLBACK],
        return_origins=["https://app.acme.example"],
        scopes=SCOPES,
        login_hosts=SANDBOX,
        start_url=START,
    )

    assert await _kept(bare.world, made) == made
    assert made.start_url == START
    assert made.login_hosts == {**LOGIN_HOSTS, **SANDBOX}
    assert (made.consumer_key, made.install_urls, made.allow_same_org) == (None, {}, False)
    (event,) = bare.world.audit.of("app.registered")
    assert (event.actor, event.detail) == (ACTOR, {"app_id": made.id, "name": "Acme"})


async def test_a_change_leaves_what_it_does_not_name(bare: Replica) -> None:
    """One login host is another's neighbour; the trail names the fields."""
    before = await bare.world.base.stores.apps.get(WORKSPACE, APP)
    assert before is not None

    changed = await _change(bare.world)(
        WORKSPACE, APP, ACTOR, login_hosts=SANDBOX, allow_same_org=True
    )

    hosts = {**before.login_hosts, **SANDBOX}
    assert changed == app(consumer_key=before.consumer_key, login_hosts=hosts, allow_same_org=True)
    assert await _kept(bare.world, changed) == changed
    (event,) = bare.world.audit.of("app.changed")
    assert event.detail == {"app_id": APP, "fields": "allow_same_org login_hosts"}


async def test_every_field_of_an_app_can_be_changed(bare: Replica) -> None:
    """To nothing, too, where nothing is a value."""
    changed = await _change(bare.world)(
        WORKSPACE,
        APP,
        ACTOR,
        name="New",
        namespace="newer",
        callback_urls=[f"{CALLBACK}/2"],
        return_origins=[],
        scopes=frozenset(),
        install_urls={},
        allow_same_org=False,
        start_url=START,
    )

    assert (changed.name, changed.namespace, changed.start_url) == ("New", "newer", START)
    assert (changed.callback_urls, changed.return_origins) == ((f"{CALLBACK}/2",), ())
    assert changed.scopes == frozenset()
    assert await _kept(bare.world, changed) == changed


async def test_another_workspace_has_no_such_app(bare: Replica) -> None:
    """Neither to change nor to give credentials to; nothing is audited."""
    with pytest.raises(NotFound):
        await _change(bare.world)(OTHER_WORKSPACE, APP, ACTOR, name="Mine")
    with pytest.raises(NotFound):
        await _put(bare.world)(
            OTHER_WORKSPACE, APP, ACTOR, consumer_key="key", consumer_secret=consumer_secret()
        )

    assert bare.world.audit.types == []


async def test_credentials_are_replaced_and_never_in_the_trail(bare: Replica) -> None:
    """The trail says whether there were some before."""
    for key in ("3MVG9.one", "3MVG9.two"):
        await _put(bare.world)(
            WORKSPACE, APP, ACTOR, consumer_key=key, consumer_secret=consumer_secret()
        )

    kept = await bare.world.base.stores.apps.get(WORKSPACE, APP)
    assert kept is not None
    assert kept.consumer_key == "3MVG9.two"
    events = bare.world.audit.of("app.consumer_credentials_put")
    assert events[-1].detail == {"app_id": APP, "replaced": True}
    assert consumer_secret().reveal() not in repr(events)


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_a_connection_is_kept_alive_or_not(replica: Replica, *, keep_alive: bool) -> None:
    """As the vendor says, and the trail says who."""
    answer = await _set_keep_alive(replica.world)(
        WORKSPACE, CONNECTION, ACTOR, keep_alive=keep_alive
    )

    assert answer == await replica.world.connection()
    assert answer.keep_alive is keep_alive
    (event,) = replica.world.audit.of("connection.keep_alive_set")
    assert (event.connection_id, event.detail) == (CONNECTION, {"keep_alive": keep_alive})


async def test_another_workspace_cannot_let_a_connection_die(replica: Replica) -> None:
    """It has no such connection."""
    with pytest.raises(NotFound):
        await _set_keep_alive(replica.world)(OTHER_WORKSPACE, CONNECTION, ACTOR, keep_alive=False)


async def test_without_audit_nothing_changes(replica: Replica) -> None:
    """Neither the app nor the connection."""
    before = await replica.world.connection()
    replica.world.audit.down = True

    with pytest.raises(AuditUnavailable):
        await _change(replica.world)(WORKSPACE, APP, ACTOR, name="Unseen")
    with pytest.raises(AuditUnavailable):
        await _set_keep_alive(replica.world)(
            WORKSPACE, CONNECTION, ACTOR, keep_alive=not before.keep_alive
        )

    assert await replica.world.connection() == before
    kept = await replica.world.base.stores.apps.get(WORKSPACE, APP)
    assert kept is not None
    assert kept.name == app().name
