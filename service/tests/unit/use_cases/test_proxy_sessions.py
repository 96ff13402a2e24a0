"""`use_cases.open_proxy_session` and `find_proxy_session`: ids for other people's clients."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from service.tests.support.fakes import CountedRandomness, fake_hash
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    OTHER_WORKSPACE,
    START,
    api_key,
)

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe, NotFound, Unauthorized
from keyturn_service.ports import AuditUnavailable, ProxySession
from keyturn_service.use_cases.find_proxy_session import FindProxySession
from keyturn_service.use_cases.open_proxy_session import DEFAULT, LONGEST, OpenProxySession

ORIGIN = "https://connect.acme.example"


async def _open(
    world: World, *, key: ApiKey | None = None, ttl: timedelta | None = None, mark: str = ""
) -> tuple[ProxySession, str, str]:
    open_session = OpenProxySession(
        connections=world.base.stores.connections,
        sessions=world.base.stores.proxy_sessions,
        audit=world.audit,
        hashes=fake_hash,
        clock=world.clock,
        randomness=CountedRandomness(),
        mark=mark,
    )
    return await open_session(key or api_key(), CONNECTION, ttl=ttl, origin=ORIGIN)


def _find(world: World) -> FindProxySession:
    return FindProxySession(
        sessions=world.base.stores.proxy_sessions, hashes=fake_hash, clock=world.clock
    )


@pytest.fixture
async def opened(replica: Replica) -> tuple[ProxySession, str, str]:
    """Return a session of a key that is kept."""
    await replica.world.base.stores.api_keys.add(api_key())
    return await _open(replica.world)


async def test_a_session_id_looks_like_salesforce_s(replica: Replica, opened, world: World) -> None:
    """The org's 15 characters, and a secret; only its hash is kept, and the trail lacks it."""
    session, origin, secret = opened

    assert re.fullmatch(r"00D[A-Za-z0-9]{12}![A-Za-z0-9_.]{43}", secret)
    assert secret.startswith((await replica.world.connection()).org_id[:15])
    assert origin == ORIGIN
    assert session.hash == fake_hash("proxy_session", secret)
    (event,) = world.audit.of("proxy_session.opened")
    assert secret not in repr(event)


async def test_a_session_is_found_by_its_secret(opened, world: World) -> None:
    """As it was opened."""
    session, _, secret = opened

    assert await _find(world)(secret) == session


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("shown", [None, "", "00D!short", f"00Dxx0000000001!{'a' * 43}"])
async def test_what_names_no_session_opens_nothing(world: World, shown: str | None) -> None:
    """None, out of shape, or unknown."""
    with pytest.raises(Unauthorized):
        await _find(world)(shown)


@pytest.mark.parametrize(
    ("asked", "lasts"),
    [(None, DEFAULT), (HOUR, HOUR), (LONGEST, LONGEST), (LONGEST + HOUR, LONGEST)],
)
async def test_a_session_lasts_as_long_as_asked_for_within_bounds(
    replica: Replica, asked: timedelta | None, lasts: timedelta
) -> None:
    """And opens nothing from the moment of its end."""
    await replica.world.base.stores.api_keys.add(api_key())

    session, _, secret = await _open(replica.world, ttl=asked)

    assert session.expires_at == START + lasts
    replica.world.clock.advance(seconds=lasts.total_seconds())
    with pytest.raises(Unauthorized):
        await _find(replica.world)(secret)


async def test_a_session_ends_with_its_key(replica: Replica) -> None:
    """The key ends first."""
    key = api_key(expires_at=START + timedelta(minutes=5))
    await replica.world.base.stores.api_keys.add(key)

    session, _, _ = await _open(replica.world, key=key)

    assert session.expires_at == key.expires_at


@pytest.mark.parametrize(
    ("rights", "unsafe"),
    [(frozenset(Right), True), (frozenset(Right) - {Right.PROXY_UNSAFE}, False)],
)
async def test_a_session_may_no_more_than_its_key(
    replica: Replica, rights: frozenset[Right], *, unsafe: bool
) -> None:
    """Unsafe calls are for keys that have the right to them."""
    key = api_key(rights=rights)
    await replica.world.base.stores.api_keys.add(key)

    session, _, _ = await _open(replica.world, key=key)

    assert session.unsafe is unsafe


async def test_a_development_world_marks_its_secrets(replica: Replica) -> None:
    """The mark stands inside the secret, whose length stays."""
    await replica.world.base.stores.api_keys.add(api_key())

    _, _, secret = await _open(replica.world, mark="CANARY")

    assert "!CANARY" in secret
    assert len(secret) == 15 + 1 + 43


async def test_a_key_of_another_workspace_opens_nothing(replica: Replica) -> None:
    """It has no such connection."""
    with pytest.raises(NotFound):
        await _open(replica.world, key=api_key(workspace_id=OTHER_WORKSPACE))


async def test_a_connection_that_was_ended_has_no_sessions(replica: Replica) -> None:
    """Its revocation is done."""
    await replica.world.base.execute("UPDATE connections SET state = 'revoked'")
    assert (await replica.world.connection()).state is ConnectionState.REVOKED

    with pytest.raises(ConnectionCannotServe) as refusal:
        await _open(replica.world)

    assert refusal.value.code == "connection_revoked"


async def test_without_audit_there_is_no_session(replica: Replica) -> None:
    """Nothing that opens a door is made unseen."""
    replica.world.audit.down = True

    with pytest.raises(AuditUnavailable):
        await _open(replica.world)

    assert await replica.world.base.rows("SELECT id FROM proxy_sessions") == []
    assert replica.world.audit.types == []
