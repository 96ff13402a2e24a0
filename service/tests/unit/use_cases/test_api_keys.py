"""`use_cases.create_api_key`, `delete_api_key` and `authenticate`: a key's whole life."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from service.tests.support.fakes import CountedRandomness, fake_hash
from service.tests.support.replicas import World
from service.tests.support.values import OTHER_WORKSPACE, START, WORKSPACE

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.errors import Forbidden, NotFound, Unauthorized
from keyturn_service.ports import AuditUnavailable
from keyturn_service.use_cases.authenticate import Authenticate
from keyturn_service.use_cases.create_api_key import CreateApiKey
from keyturn_service.use_cases.delete_api_key import DeleteApiKey
from keyturn_service.use_cases.end_keys_again import EndKeysAgain

pytestmark = pytest.mark.usefixtures("bare")
ACTOR = "api_key:key_1"
RIGHT, OTHER_RIGHT = sorted(Right)[:2]


async def _create(world: World, *, lasts: timedelta | None = None) -> tuple[ApiKey, str]:
    create = CreateApiKey(
        keys=world.base.stores.api_keys,
        audit=world.audit,
        hashes=fake_hash,
        clock=world.clock,
        randomness=CountedRandomness(),
    )
    return await create(
        WORKSPACE,
        ACTOR,
        name="backend",
        rights=frozenset({RIGHT}),
        expires_at=None if lasts is None else START + lasts,
    )


def _authenticate(world: World) -> Authenticate:
    return Authenticate(keys=world.base.stores.api_keys, hashes=fake_hash, clock=world.clock)


def _delete(world: World) -> DeleteApiKey:
    return DeleteApiKey(keys=world.base.stores.api_keys, audit=world.audit, clock=world.clock)


async def test_a_key_is_known_by_its_secret_alone(world: World) -> None:
    """The secret says what it is for; what is kept is its hash."""
    key, secret = await _create(world)

    assert secret.startswith("kt_live_")
    assert key.hash == fake_hash("api_key", secret)
    assert await _authenticate(world)(secret, RIGHT) == key


async def test_creating_a_key_is_audited_before_it_is_kept(world: World) -> None:
    """Who made it, and what it may; never its secret."""
    key, secret = await _create(world)

    (event,) = world.audit.of("api_key.created")
    assert (event.workspace_id, event.actor) == (WORKSPACE, ACTOR)
    assert event.detail == {"api_key_id": key.id, "rights": RIGHT}
    assert secret not in repr(event)


async def test_without_audit_there_is_no_key(world: World) -> None:
    """Nothing that opens a door is made unseen."""
    world.audit.down = True

    with pytest.raises(AuditUnavailable):
        await _create(world)

    assert await world.base.rows("SELECT id FROM api_keys") == []


@pytest.mark.parametrize("shown", [None, "", "kt_live_unknown"])
async def test_who_shows_no_key_that_is_known_is_a_stranger(
    world: World, shown: str | None
) -> None:
    """Whatever keys there are."""
    await _create(world)

    with pytest.raises(Unauthorized):
        await _authenticate(world)(shown, RIGHT)


async def test_a_key_opens_what_it_has_the_right_to(world: World) -> None:
    """A right that was not given is refused by name."""
    _, secret = await _create(world)

    with pytest.raises(Forbidden):
        await _authenticate(world)(secret, OTHER_RIGHT)


async def test_an_expired_key_opens_nothing(world: World) -> None:
    """From the very moment at which it expires."""
    _, secret = await _create(world, lasts=timedelta(hours=1))
    world.clock.advance(hours=1)

    with pytest.raises(Unauthorized):
        await _authenticate(world)(secret, RIGHT)


async def test_a_deleted_key_opens_nothing(world: World) -> None:
    """Its end is audited under who asked for it."""
    key, secret = await _create(world)

    await _delete(world)(WORKSPACE, key.id, ACTOR)

    with pytest.raises(Unauthorized):
        await _authenticate(world)(secret, RIGHT)
    (event,) = world.audit.of("api_key.deleted")
    assert (event.actor, event.detail) == (ACTOR, {"api_key_id": key.id})


async def test_a_key_can_be_deleted_once_and_from_its_own_workspace(world: World) -> None:
    """The second time, and from elsewhere, there is none; neither is audited."""
    key, secret = await _create(world)

    with pytest.raises(NotFound):
        await _delete(world)(OTHER_WORKSPACE, key.id, ACTOR)
    assert await _authenticate(world)(secret, RIGHT) == key
    await _delete(world)(WORKSPACE, key.id, ACTOR)
    with pytest.raises(NotFound):
        await _delete(world)(WORKSPACE, key.id, ACTOR)

    assert len(world.audit.of("api_key.deleted")) == 1


async def test_a_key_that_was_put_back_is_ended_and_recorded(world: World) -> None:
    """Its deletion is on record, so nobody can have it but who copied the row."""
    key, secret = await _create(world)
    keys, audit = world.base.stores.api_keys, world.base.audit_log()
    await DeleteApiKey(keys=keys, audit=audit, clock=world.clock)(WORKSPACE, key.id, ACTOR)
    await world.base.execute("DELETE FROM api_keys")
    await keys.add(key)
    assert await _authenticate(world)(secret, RIGHT) == key
    again = EndKeysAgain(keys=keys, audit=world.audit, clock=world.clock)

    assert await again() == 1

    with pytest.raises(Unauthorized):
        await _authenticate(world)(secret, RIGHT)
    (event,) = world.audit.of("api_key.brought_back")
    assert (event.workspace_id, event.actor) == (WORKSPACE, "system")
    assert event.detail == {"api_key_id": key.id, "because": "its row was put back"}
    assert await again() == 0
    assert len(world.audit.of("api_key.brought_back")) == 1


async def test_without_audit_a_key_that_was_put_back_is_ended_later(world: World) -> None:
    """Nothing is handed out without the audit anyway, and no end goes unrecorded."""
    key, secret = await _create(world)
    keys = world.base.stores.api_keys
    await DeleteApiKey(keys=keys, audit=world.base.audit_log(), clock=world.clock)(
        WORKSPACE, key.id, ACTOR
    )
    await world.base.execute("DELETE FROM api_keys")
    await keys.add(key)
    again = EndKeysAgain(keys=keys, audit=world.audit, clock=world.clock)
    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await again()

    world.audit.down = False
    assert await again() == 1

    assert len(world.audit.of("api_key.brought_back")) == 1
    with pytest.raises(Unauthorized):
        await _authenticate(world)(secret, RIGHT)


async def test_a_deletion_whose_record_was_lost_is_recorded(world: World) -> None:
    """The caller who comes again finds no key any more; it is recorded all the same, once."""
    key, _ = await _create(world)
    world.audit.down = True
    with pytest.raises(AuditUnavailable):
        await _delete(world)(WORKSPACE, key.id, ACTOR)
    world.audit.down = False
    audit = world.base.audit_log()
    again = EndKeysAgain(keys=world.base.stores.api_keys, audit=audit, clock=world.clock)
    asked = "SELECT actor, detail FROM audit_events WHERE type = 'api_key.deleted'"

    await again()  # who deleted it may be recording that at this moment
    assert await world.base.rows(asked) == []
    world.clock.advance(seconds=61)
    await again()
    await again()

    [(actor, detail)] = await world.base.rows(asked)
    assert actor == "system"
    assert json.loads(detail) == {"api_key_id": key.id, "because": "its record is missing"}
