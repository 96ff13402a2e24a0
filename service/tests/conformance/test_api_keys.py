"""`ports.ApiKeys` and `ports.ProxySessions`: secrets known by their hash."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    API_KEY,
    HOUR,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    api_key,
    hash_of,
    proxy_session,
)
from sqlalchemy.exc import IntegrityError

from keyturn_service.domain.api_key import Right
from keyturn_service.domain.ids import ApiKeyId, ProxySessionId
from keyturn_service.ports import StoreUnavailable


async def test_a_key_is_found_by_its_hash(base: Base) -> None:
    """As it was kept; no other hash finds it."""
    limited = api_key(
        id=ApiKeyId("key_two"),
        name="читатель",
        hash=hash_of("two"),
        rights=frozenset({Right.TOKENS_READ}),
        expires_at=START + timedelta(microseconds=1),
    )
    await base.stores.api_keys.add(api_key())
    await base.stores.api_keys.add(limited)

    assert await base.stores.api_keys.by_hash(hash_of("key")) == api_key()
    assert await base.stores.api_keys.by_hash(hash_of("two")) == limited
    assert await base.stores.api_keys.by_hash(hash_of("three")) is None


async def test_two_keys_have_two_hashes(base: Base) -> None:
    """A secret opens as one key."""
    await base.stores.api_keys.add(api_key())

    with pytest.raises(IntegrityError):
        await base.stores.api_keys.add(api_key(id=ApiKeyId("key_two")))


async def test_the_keys_of_a_workspace_are_listed(base: Base) -> None:
    """Oldest first, those that expired too, deleted ones not."""
    keys = base.stores.api_keys
    old = api_key(
        id=ApiKeyId("key_old"),
        hash=hash_of("old"),
        created_at=START - HOUR,
        expires_at=START - HOUR,
    )
    others = api_key(id=ApiKeyId("key_other"), hash=hash_of("other"), workspace_id=OTHER_WORKSPACE)
    gone = api_key(id=ApiKeyId("key_gone"), hash=hash_of("gone"))
    for key in (api_key(), old, others, gone):
        await keys.add(key)
    await keys.delete(WORKSPACE, gone.id, at=START)

    assert list(await keys.list(WORKSPACE)) == [old, api_key()]
    assert list(await keys.list(OTHER_WORKSPACE)) == [others]


async def test_a_deleted_key_is_still_known_as_deleted(base: Base) -> None:
    """It is found by its hash, with the time of its end, so that it can be refused."""
    await base.stores.api_keys.add(api_key())

    assert await base.stores.api_keys.delete(WORKSPACE, API_KEY, at=START + HOUR)

    found = await base.stores.api_keys.by_hash(hash_of("key"))
    assert found == api_key(deleted_at=START + HOUR)


async def test_a_key_is_deleted_once_and_in_its_workspace(base: Base) -> None:
    """Elsewhere, or a second time, there is none."""
    keys = base.stores.api_keys
    await keys.add(api_key())

    assert not await keys.delete(OTHER_WORKSPACE, API_KEY, at=START)
    assert not await keys.delete(WORKSPACE, ApiKeyId("key_none"), at=START)
    assert await keys.by_hash(hash_of("key")) == api_key()

    assert await keys.delete(WORKSPACE, API_KEY, at=START)
    assert not await keys.delete(WORKSPACE, API_KEY, at=START + HOUR)
    assert await keys.by_hash(hash_of("key")) == api_key(deleted_at=START)


async def test_a_key_takes_its_proxy_sessions_along(base: Base) -> None:
    """Those opened with other keys stay."""
    await base.with_connection()
    other = ApiKeyId("key_two")
    await base.stores.api_keys.add(api_key())
    await base.stores.api_keys.add(api_key(id=other, hash=hash_of("two")))
    stays = proxy_session(id=ProxySessionId("ps_two"), hash=hash_of("p2"), api_key_id=other)
    await base.stores.proxy_sessions.add(proxy_session())
    await base.stores.proxy_sessions.add(stays)

    await base.stores.api_keys.delete(WORKSPACE, API_KEY, at=START)

    assert await base.stores.proxy_sessions.by_hash(hash_of("proxy")) is None
    assert await base.stores.proxy_sessions.by_hash(hash_of("p2")) == stays


async def test_a_key_and_its_sessions_end_together_or_not_at_all(base: Base) -> None:
    """Where the sessions cannot be ended, the key still stands."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.proxy_sessions.add(proxy_session())
    await base.refuse("DELETE", "proxy_sessions")

    with pytest.raises(IntegrityError):
        await base.stores.api_keys.delete(WORKSPACE, API_KEY, at=START)

    await base.allow("proxy_sessions")
    assert await base.stores.api_keys.by_hash(hash_of("key")) == api_key()


async def test_a_session_of_a_deleted_key_opens_nothing(base: Base) -> None:
    """Even one that was added in the moment after the key's end."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    await base.stores.api_keys.delete(WORKSPACE, API_KEY, at=START)

    await base.stores.proxy_sessions.add(proxy_session())

    assert await base.stores.proxy_sessions.by_hash(hash_of("proxy")) is None


async def test_a_session_comes_back_as_it_was_kept(base: Base) -> None:
    """By its hash alone, also where it is over: time is not the store's to judge."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    kept = proxy_session(unsafe=True, expires_at=START - HOUR)
    await base.stores.proxy_sessions.add(kept)

    assert await base.stores.proxy_sessions.by_hash(hash_of("proxy")) == kept
    assert await base.stores.proxy_sessions.by_hash(hash_of("another")) is None


async def test_only_sessions_that_are_over_are_forgotten(base: Base) -> None:
    """From the moment of their end; the count is told."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    sessions = base.stores.proxy_sessions
    ends = proxy_session(expires_at=START + HOUR)
    stays = proxy_session(
        id=ProxySessionId("ps_two"),
        hash=hash_of("p2"),
        expires_at=START + HOUR + timedelta(microseconds=1),
    )
    await sessions.add(ends)
    await sessions.add(stays)

    assert await sessions.purge(START + HOUR - timedelta(microseconds=1)) == 0
    assert await sessions.purge(START + HOUR) == 1
    assert await sessions.by_hash(hash_of("proxy")) is None
    assert await sessions.by_hash(hash_of("p2")) == stays


async def test_a_silent_database_is_told_apart_from_no_key(base: Base) -> None:
    """A caller is not refused because nobody could look."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await base.stores.api_keys.by_hash(hash_of("key"))
    with pytest.raises(StoreUnavailable):
        await base.stores.proxy_sessions.by_hash(hash_of("proxy"))
