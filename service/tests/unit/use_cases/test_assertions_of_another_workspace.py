"""Who writes the database, and has a key of another workspace, signs with no key of this one.

`ws_one` has `app_one` with a signing key; `ws_two` is another product of the installation. A
signing key stands for every customer who let its app in.
"""

from __future__ import annotations

import contextlib

from service.tests.support import values
from service.tests.support.replicas import Replica, World
from service.tests.support.values import APP, CUSTOMER, OTHER_WORKSPACE, app

from keyturn_core.secrets import ConsumerSecret
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.connection import Connection
from keyturn_service.domain.errors import ServiceError
from keyturn_service.domain.ids import ApiKeyId, AppId

TWO = AppId("app_two")


async def _with_own_app(replica: Replica, *, consumer_key: str) -> None:
    """Do what a key of `ws_two` may do by the API: an app, and consumer credentials for it."""
    own = app(id=TWO, workspace_id=OTHER_WORKSPACE)
    await replica.stores.apps.add(own)
    await replica.stores.apps.put_consumer_credentials(
        own, consumer_key=consumer_key, consumer_secret=ConsumerSecret("dummy")
    )


async def _connect(replica: Replica, app_id: AppId) -> Connection:
    connection, _ = await replica.connect_by_assertion(
        OTHER_WORKSPACE,
        "key_two",
        customer_id=CUSTOMER,
        username="ada@globex.example",
        app_id=app_id,
        environment=None,
        my_domain=None,
        org_id=None,
    )
    return connection


async def test_a_signing_key_moved_to_an_app_of_theirs_signs_nothing(
    bare: Replica, world: World
) -> None:
    """The consumer key of the app stands open in the database; the signing key is what counts."""
    await bare.with_signing_key()
    await _with_own_app(bare, consumer_key="3MVG9.acme")
    await world.base.execute("UPDATE signing_keys SET app_id = 'app_two'")

    with contextlib.suppress(ServiceError):
        await _connect(bare, TWO)

    assert world.org.presented == []


async def test_an_app_moved_to_their_workspace_signs_nothing(bare: Replica, world: World) -> None:
    """Its consumer credentials can be put anew by the API, its signing key cannot."""
    await bare.with_signing_key()
    await world.base.execute("UPDATE apps SET workspace_id = 'ws_two'")
    await bare.stores.apps.put_consumer_credentials(
        app(workspace_id=OTHER_WORKSPACE),
        consumer_key="3MVG9.acme",
        consumer_secret=ConsumerSecret("dummy"),
    )

    with contextlib.suppress(ServiceError):
        await _connect(bare, APP)

    assert world.org.presented == []


async def test_a_connection_of_theirs_that_names_the_app_is_not_renewed(
    bare: Replica, world: World
) -> None:
    """Their own connection server to server, whose row was changed."""
    await bare.with_signing_key()
    await _with_own_app(bare, consumer_key="3MVG9.theirs")
    await bare.stores.signing_keys.add(
        values.signing_key(id="sk_two", workspace_id=OTHER_WORKSPACE, app_id=TWO),
        values.private_key(),
    )
    connection = await _connect(bare, TWO)
    before = len(world.org.presented)
    await world.base.execute("UPDATE connections SET app_id = 'app_one'")
    world.clock.advance(hours=3)
    key = values.api_key(
        id=ApiKeyId("key_two"),
        workspace_id=OTHER_WORKSPACE,
        hash=values.hash_of("two"),
        rights=frozenset({Right.TOKENS_READ}),
    )
    await bare.stores.api_keys.add(key)

    with contextlib.suppress(ServiceError):
        await bare.get_access_token(connection.id, key_hash=key.hash)

    assert world.org.presented[before:] == []
