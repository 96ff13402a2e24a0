"""`ports.ServingReads` and `ports.Uses`: the hot read, and what it leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    START,
    WORKSPACE,
    api_key,
    attempt,
    awaiting,
    connection,
    event,
    grant,
    hash_of,
    in_force,
    pending,
    revocation,
    tokens,
    user,
)

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ApiKeyId, ConnectionId
from keyturn_service.ports import Serving, StoreUnavailable
from keyturn_service.vault.errors import CannotOpen

KEY_HASH = hash_of("key")


async def test_one_look_brings_key_connection_and_tokens(base: Base) -> None:
    """As the other ports have them, opened."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())

    found = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)

    assert found == Serving(
        api_key=api_key(), connection=connection().in_use(), tokens=in_force(), ending=False
    )


async def test_every_field_comes_back(base: Base) -> None:
    """Also the unusual ones: this read spells the columns out for itself."""
    made = connection(
        org_name="東京 🦊",
        user=user(username="ådå@example.org", email=None),
        keep_alive=False,
        session_life=timedelta(seconds=61, microseconds=1),
        authorized_at=START + HOUR,
        last_used_at=START,
        last_refreshed_at=None,
        problem="connection_uncertain",
    )
    await base.with_connection(
        org_name="東京 🦊",
        user=made.user,
        keep_alive=False,
        session_life=made.session_life,
        authorized_at=made.authorized_at,
        last_used_at=START,
        last_refreshed_at=None,
        problem="connection_uncertain",
    )
    key = api_key(rights=frozenset({Right.PROXY}), expires_at=START + HOUR, deleted_at=START + HOUR)
    await base.stores.api_keys.add(key)

    found = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)

    assert (found.connection, found.api_key) == (made.in_use(), key)


async def test_what_is_not_kept_is_left_out(base: Base) -> None:
    """Each by itself."""
    nothing = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)
    assert nothing == Serving(api_key=None, connection=None, tokens=None, ending=False)

    await base.stores.connect_sessions.add(awaiting())
    await base.stores.connect_sessions.await_confirmation(
        awaiting(), grant(), new_connection=pending()
    )
    waiting = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)
    assert waiting == Serving(
        api_key=None, connection=pending().in_use(), tokens=None, ending=False
    )


async def test_a_token_set_may_lack_parts(base: Base) -> None:
    """No refresh token, and an access token that was refused."""
    await base.with_connection()
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1))
    assert lease is not None
    bare = tokens(generation=2, refresh_token=None, expires_at=None)
    await base.stores.tokens.replace(connection(generation=2), bare, attempt=attempt())

    found = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)

    assert found.tokens == in_force(generation=2, expires_at=None)


async def test_no_copy_is_older_than_the_question(base: Base) -> None:
    """What another replica has just changed is seen by the next read."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)

    async with base.replica("spool_two") as other:
        await other.api_keys.delete(WORKSPACE, ApiKeyId("key_one"), at=START)
        await other.revocations.add(revocation(), [tokens().access_token])
        found = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)
        assert found.api_key is not None
        assert found.api_key.deleted_at == START
        assert found.ending

        await other.revocations.done(revocation(), problem=None)
        gone = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)
        assert gone.tokens is None
        assert not gone.ending


async def remembered(base: Base) -> Serving | None:
    """Return what the stores remember of a connection and a key that were read once."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)
    return base.stores.serving.recall(CONNECTION, key_hash=KEY_HASH)


async def stands(base: Base, serving: Serving | None) -> bool:
    """Record a read on what is remembered; tell whether that still stood."""
    if serving is None or serving.basis is None:
        return False
    log = base.audit_log()
    await log.open()
    try:
        return await log.record_on(event(), serving.basis)
    finally:
        await log.close()


async def test_what_was_read_is_remembered_with_what_it_rests_on(base: Base) -> None:
    """On PostgreSQL; SQLite remembers nothing. It is the same as a read brings."""
    found = await remembered(base)

    if base.database.is_sqlite:
        assert found is None
        return
    assert found is not None
    again = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)
    assert replace(found, basis=None) == again
    assert await stands(base, found)


async def refresh(base: Base, stores: Stores) -> None:
    """Store the next generation."""
    del base
    assert await stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1)) is not None
    new = tokens(generation=2, access_token=AccessToken("new"))
    assert await stores.tokens.replace(connection(generation=2), new, attempt=attempt())


async def reject(base: Base, stores: Stores) -> None:
    """Note that Salesforce refused the access token."""
    del base
    await stores.tokens.reject_access_token(CONNECTION, generation=1, session_life=HOUR)


async def delete_key(base: Base, stores: Stores) -> None:
    """End the API key."""
    del base
    assert await stores.api_keys.delete(WORKSPACE, ApiKeyId("key_one"), at=START)


async def disconnect(base: Base, stores: Stores) -> None:
    """Begin to end the grant."""
    del base
    await stores.revocations.add(revocation(), [tokens().access_token])


async def ask_to_reauthorize(base: Base, stores: Stores) -> None:
    """Keep that the grant is dead."""
    del base
    state = ConnectionState.REAUTHORIZATION_REQUIRED
    assert await stores.tokens.set_state(CONNECTION, generation=1, state=state, problem=None)


async def move(base: Base, stores: Stores) -> None:
    """Keep another API origin."""
    del base
    await stores.connections.set_instance_url(CONNECTION, Origin("https://moved.my.salesforce.com"))


async def take_rights(base: Base, stores: Stores) -> None:
    """Change the key's rights behind everybody's back."""
    del stores
    await base.execute("UPDATE api_keys SET rights = '[]'")


async def bring_key_back(base: Base, stores: Stores) -> None:
    """End the API key, and have somebody who writes the database clear that."""
    await delete_key(base, stores)
    await base.execute("UPDATE api_keys SET deleted_at = NULL")


@pytest.mark.parametrize(
    "change",
    [
        refresh,
        reject,
        delete_key,
        bring_key_back,
        disconnect,
        ask_to_reauthorize,
        move,
        take_rights,
    ],
)
async def test_what_another_replica_changed_does_not_stand(
    base: Base, change: Callable[[Base, Stores], Awaitable[None]]
) -> None:
    """However little it was: the record of the read sees it, in the same look."""
    found = await remembered(base)

    async with base.replica("spool_two") as other:
        await change(base, other)

    assert not await stands(base, found)


async def test_a_noted_use_changes_nothing_that_is_remembered(base: Base) -> None:
    """Else each use would cost the next one a second look."""
    found = await remembered(base)

    await base.stores.connections.touch_used({CONNECTION: START + HOUR})

    assert await stands(base, found) is not base.database.is_sqlite


async def test_what_cannot_be_served_is_not_remembered(base: Base) -> None:
    """A read that finds a connection on its way out forgets what was remembered of it."""
    await remembered(base)
    await base.stores.revocations.add(revocation(), [tokens().access_token])

    await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)

    assert base.stores.serving.recall(CONNECTION, key_hash=KEY_HASH) is None


async def test_another_replicas_data_key_is_fetched(base: Base) -> None:
    """A process that has sealed nothing yet opens what is there."""
    await base.with_connection()

    async with base.replica("spool_two") as other:
        found = await other.serving.read(CONNECTION, key_hash=KEY_HASH)

    assert found.tokens == in_force()


async def test_many_at_once_each_get_their_own(base: Base) -> None:
    """Gathered into few queries or not, nobody gets what another one asked for."""
    names = [ConnectionId(f"con_{number}") for number in range(7)]
    for name in names:
        await base.with_connection(id=name)
    keys = [api_key(id=ApiKeyId(f"key_{n}"), hash=hash_of(f"key {n}")) for n in range(5)]
    for key in keys:
        await base.stores.api_keys.add(key)
    asked = [(names[n % 7], keys[n % 5]) for n in range(200)]

    found = await asyncio.gather(
        *(base.stores.serving.read(name, key_hash=key.hash) for name, key in asked)
    )

    for (name, key), one in zip(asked, found, strict=True):
        assert one.connection is not None
        assert (one.connection.id, one.api_key) == (name, key)
        assert one.tokens == in_force()


async def test_more_than_one_query_can_take_are_all_answered(base: Base) -> None:
    """However many different connections are asked for at once."""
    await base.with_connection()
    names = [CONNECTION, *(ConnectionId(f"con_{number}") for number in range(700))]

    found = await asyncio.gather(
        *(base.stores.serving.read(name, key_hash=KEY_HASH) for name in names)
    )

    assert [one.connection is not None for one in found] == [True] + [False] * 700


async def test_a_caller_that_leaves_does_not_take_others_along(base: Base) -> None:
    """Those that share its query still get their answers."""
    await base.with_connection()
    leaving = asyncio.create_task(base.stores.serving.read(CONNECTION, key_hash=KEY_HASH))
    staying = asyncio.create_task(base.stores.serving.read(CONNECTION, key_hash=KEY_HASH))
    await asyncio.sleep(0)

    leaving.cancel()

    assert (await staying).tokens == in_force()
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_token_set_of_another_connection_does_not_open(base: Base) -> None:
    """Also not by the hot read: a moved row is refused, never served."""
    await base.with_connection()
    await base.with_connection(id=ConnectionId("con_two"))
    await base.execute(
        "UPDATE token_sets SET access_token ="
        " (SELECT access_token FROM token_sets WHERE connection_id = 'con_two')"
        " WHERE connection_id = 'con_one'"
    )

    with pytest.raises(CannotOpen):
        await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)


async def test_a_silent_database_serves_nobody(base: Base) -> None:
    """Every caller is told so; afterwards the same reader serves again."""
    await base.with_connection()
    async with base.replica("spool_two") as fresh:
        await base.break_it()
        told = await asyncio.gather(
            *(fresh.serving.read(CONNECTION, key_hash=KEY_HASH) for _ in range(3)),
            return_exceptions=True,
        )
        assert [type(one) for one in told] == [StoreUnavailable] * 3

        await base.mend_it()

        found = await fresh.serving.read(CONNECTION, key_hash=KEY_HASH)
        assert found.tokens == in_force()


async def test_noted_uses_are_kept_together(base: Base) -> None:
    """The latest of each connection; noting does not wait for a write."""
    await base.with_connection()
    await base.with_connection(id=ConnectionId("con_two"))
    uses = base.stores.uses
    uses.note(CONNECTION, START)
    uses.note(CONNECTION, START + HOUR)
    uses.note(CONNECTION, START + HOUR + timedelta(seconds=9))  # too soon to count by itself
    uses.note(ConnectionId("con_two"), START)

    before = await base.stores.connections.get(WORKSPACE, CONNECTION)
    await uses.keep()
    await uses.keep()

    assert before is not None
    assert before.last_used_at is None
    one = await base.stores.connections.get(WORKSPACE, CONNECTION)
    two = await base.stores.connections.get(WORKSPACE, ConnectionId("con_two"))
    assert one is not None
    assert two is not None
    assert (one.last_used_at, two.last_used_at) == (START + HOUR, START)


async def test_uses_outlast_a_silent_database(base: Base) -> None:
    """What could not be kept is kept with the next ones, the later of two uses winning."""
    await base.with_connection()
    await base.with_connection(id=ConnectionId("con_two"))
    uses = base.stores.uses
    uses.note(CONNECTION, START)
    uses.note(ConnectionId("con_two"), START)
    await base.break_it()
    await uses.keep()
    uses.note(CONNECTION, START + HOUR)
    await base.mend_it()

    await uses.keep()

    one = await base.stores.connections.get(WORKSPACE, CONNECTION)
    two = await base.stores.connections.get(WORKSPACE, ConnectionId("con_two"))
    assert one is not None
    assert two is not None
    assert (one.last_used_at, two.last_used_at) == (START + HOUR, START)


async def test_uses_are_kept_by_themselves(base: Base) -> None:
    """Until whoever runs them stops."""
    await base.with_connection()
    base.stores.uses.note(CONNECTION, START)
    keeping = asyncio.create_task(base.stores.uses.keep_on())

    async def kept() -> bool:
        found = await base.stores.connections.get(WORKSPACE, CONNECTION)
        return found is not None and found.last_used_at == START

    async with asyncio.timeout(20):
        while not await kept():
            await asyncio.sleep(0)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_an_old_token_is_not_served_after_a_replacement(base: Base) -> None:
    """The generation and the token of one read belong together."""
    await base.with_connection()
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1))
    assert lease is not None
    changes = {"generation": 2, "access_token": AccessToken("new")}
    new, renewed = tokens(**changes), in_force(**changes)

    made = connection(generation=2)
    replacing = asyncio.create_task(base.stores.tokens.replace(made, new, attempt=attempt()))
    found = []
    while not replacing.done():
        found.append(await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH))
    assert await replacing

    for one in found:
        assert one.tokens in (renewed, in_force())
    last = await base.stores.serving.read(CONNECTION, key_hash=KEY_HASH)
    assert (last.connection, last.tokens) == (made.in_use(), renewed)
