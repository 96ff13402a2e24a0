"""`use_cases.get_access_token`: who may have a token, and when there is one to be had."""

from __future__ import annotations

import pytest
from service.tests.support.replicas import Replica
from service.tests.support.values import CONNECTION, OTHER_WORKSPACE, START, api_key, hash_of

from keyturn_service.domain.api_key import Right
from keyturn_service.domain.errors import Forbidden, NotFound, Unauthorized
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import AuditUnavailable

KEY = hash_of("key")


async def test_a_key_gets_the_token_that_is_in_force(replica: Replica) -> None:
    """Nothing is presented for it, and the read is in the trail."""
    await replica.world.base.stores.api_keys.add(api_key())

    await replica.get_access_token(CONNECTION, key_hash=KEY)

    assert await replica.world.attempts() == []
    assert "token.read" in replica.world.audit.types


async def test_an_unknown_key_gets_nothing(replica: Replica) -> None:
    """Not even whether there is such a connection."""
    with pytest.raises(Unauthorized):
        await replica.get_access_token(CONNECTION, key_hash=KEY)


async def test_an_expired_key_gets_nothing(replica: Replica) -> None:
    """From the moment of its end."""
    await replica.world.base.stores.api_keys.add(api_key(expires_at=START))

    with pytest.raises(Unauthorized):
        await replica.get_access_token(CONNECTION, key_hash=KEY)


async def test_a_key_without_the_right_gets_nothing(replica: Replica) -> None:
    """Every other right does not make up for it."""
    rights = frozenset(Right) - {Right.TOKENS_READ}
    await replica.world.base.stores.api_keys.add(api_key(rights=rights))

    with pytest.raises(Forbidden):
        await replica.get_access_token(CONNECTION, key_hash=KEY)


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (api_key(workspace_id=OTHER_WORKSPACE), CONNECTION),
        (api_key(), ConnectionId("con_unknown")),
    ],
)
async def test_another_workspace_s_connection_is_as_unknown_as_none(
    replica: Replica, key, asked: ConnectionId
) -> None:
    """The answer does not tell them apart."""
    await replica.world.base.stores.api_keys.add(key)

    with pytest.raises(NotFound):
        await replica.get_access_token(asked, key_hash=KEY)


async def test_without_audit_no_token_leaves(replica: Replica) -> None:
    """Though it is in force and the key is right."""
    await replica.world.base.stores.api_keys.add(api_key())
    replica.world.audit.down = True

    with pytest.raises(AuditUnavailable):
        await replica.get_access_token(CONNECTION, key_hash=KEY)
