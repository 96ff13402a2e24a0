"""`use_cases.token_for_proxy`: which token a proxied call goes out under, and for whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import BASIS, RememberingReads
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    API_KEY,
    CONNECTION,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    api_key,
    connection,
    hash_of,
    in_force,
)

from keyturn_service.domain.api_key import Right
from keyturn_service.domain.errors import ConnectionCannotServe, Forbidden, NotFound, Unauthorized
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.use_cases.proxied_answer import ProxyCaller
from keyturn_service.use_cases.token_for_proxy import TokenForProxy

KEY = hash_of("key")


def remembering(replica: Replica, **changes: Any) -> tuple[TokenForProxy, RememberingReads]:
    """Return the use case over reads that remember."""
    reads = RememberingReads(replica.token_for_proxy.reads, **changes)
    return replace(replica.token_for_proxy, reads=reads), reads


# --- for a proxy session -------------------------------------------------------------------


async def test_a_call_gets_the_token_in_force_and_counts_as_a_use(
    replica: Replica, world: World
) -> None:
    """The call's own record tells of it, so the trail has nothing else."""
    served, tokens = await replica.token_for_proxy(WORKSPACE, CONNECTION)

    assert (served, tokens) == (connection().in_use(), in_force())
    assert replica.uses.noted == [(CONNECTION, START)]
    assert world.audit.events == []


@pytest.mark.parametrize(
    ("workspace_id", "asked"),
    [(OTHER_WORKSPACE, CONNECTION), (WORKSPACE, ConnectionId("con_unknown"))],
)
async def test_another_workspace_s_connection_is_as_unknown_as_none(
    replica: Replica, workspace_id: WorkspaceId, asked: ConnectionId
) -> None:
    """The answer does not tell them apart, and nothing of it counts as a use."""
    with pytest.raises(NotFound):
        await replica.token_for_proxy(workspace_id, asked)

    assert replica.uses.noted == []


async def test_a_token_that_the_org_refused_is_renewed(replica: Replica, world: World) -> None:
    """The call that met the refusal goes out again under the next one."""
    _, tokens = await replica.token_for_proxy(WORKSPACE, CONNECTION, rejected_generation=1)

    assert tokens.generation == 2
    assert len(world.org.presented) == 1


async def test_a_connection_that_is_being_ended_serves_no_call(replica: Replica) -> None:
    """Nor does the attempt keep it alive."""
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)

    with pytest.raises(ConnectionCannotServe, match="connection_revoked"):
        await replica.token_for_proxy(WORKSPACE, CONNECTION)

    assert replica.uses.noted == []


# --- for an API key ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rights", "unsafe"),
    [({Right.PROXY}, False), ({Right.PROXY, Right.PROXY_UNSAFE}, True)],
)
async def test_a_key_is_admitted_with_what_it_may_do(
    replica: Replica, rights: set[Right], *, unsafe: bool
) -> None:
    """Who calls, for the trail, and whether by code of its own; it rests on no memory."""
    await replica.stores.api_keys.add(api_key(rights=frozenset(rights)))

    admission = await replica.token_for_proxy.admit(CONNECTION, key_hash=KEY, remembered=False)

    assert admission.caller == ProxyCaller(workspace_id=WORKSPACE, actor=API_KEY, unsafe=unsafe)
    assert (admission.connection, admission.tokens) == (connection().in_use(), in_force())
    assert (admission.ending, admission.basis) == (False, None)


async def test_an_unknown_key_opens_nothing(replica: Replica) -> None:
    """Not even whether there is such a connection."""
    with pytest.raises(Unauthorized):
        await replica.token_for_proxy.admit(CONNECTION, key_hash=KEY, remembered=True)


async def test_a_key_that_may_read_tokens_may_not_call_for_that(replica: Replica) -> None:
    """Every other right does not make up for that of the proxy."""
    rights = frozenset(Right) - {Right.PROXY}
    await replica.stores.api_keys.add(api_key(rights=rights))

    with pytest.raises(Forbidden):
        await replica.token_for_proxy.admit(CONNECTION, key_hash=KEY, remembered=True)


async def test_what_is_remembered_is_admitted_without_a_look(replica: Replica) -> None:
    """With the basis that the call's record has to confirm before a byte goes out."""
    token_for_proxy, reads = remembering(replica)

    admission = await token_for_proxy.admit(CONNECTION, key_hash=KEY, remembered=True)

    assert (admission.tokens, admission.basis) == (in_force(), BASIS)
    assert reads.looks == 0


@pytest.mark.parametrize(
    ("changes", "remembered"),
    [({}, False), ({"tokens": None}, True), ({"tokens": in_force(expires_at=START)}, True)],
    ids=["not asked for", "no token", "expired"],
)
async def test_what_cannot_serve_from_memory_is_read(
    replica: Replica, changes: dict[str, Any], *, remembered: bool
) -> None:
    """A call that was withheld once, and one whose token has to be renewed first."""
    await replica.stores.api_keys.add(api_key())
    token_for_proxy, reads = remembering(replica, **changes)

    admission = await token_for_proxy.admit(CONNECTION, key_hash=KEY, remembered=remembered)

    assert (admission.tokens, admission.basis) == (in_force(), None)
    assert reads.looks == 1


async def test_an_admission_is_served_and_counts_as_a_use(replica: Replica, world: World) -> None:
    """Its token is renewed where it has come too near to its end."""
    await replica.stores.api_keys.add(api_key())
    admission = await replica.token_for_proxy.admit(CONNECTION, key_hash=KEY, remembered=True)
    assert await replica.token_for_proxy.serving(admission) == (connection().in_use(), in_force())
    world.clock.advance(hours=2)

    _, tokens = await replica.token_for_proxy.serving(admission)

    assert tokens.generation == 2
    assert replica.uses.noted == [(CONNECTION, START), (CONNECTION, world.clock.now())]


async def test_an_admission_to_what_is_being_ended_serves_nothing(replica: Replica) -> None:
    """Admitted is who has the right; whether there is a token is found out afterwards."""
    await replica.stores.api_keys.add(api_key())
    await replica.disconnect(WORKSPACE, CONNECTION, API_KEY)
    admission = await replica.token_for_proxy.admit(CONNECTION, key_hash=KEY, remembered=True)

    with pytest.raises(ConnectionCannotServe, match="connection_revoked"):
        await replica.token_for_proxy.serving(admission)

    assert replica.uses.noted == []
