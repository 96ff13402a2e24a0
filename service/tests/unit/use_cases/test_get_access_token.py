"""`use_cases.get_access_token`: who may have a token, and when there is one to be had."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import BASIS, RememberingReads, refused
from service.tests.support.replicas import Replica
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

from keyturn_core.oauth.token_answer import OutcomeUnknown, TokenAnswer
from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.sql.stores import Stores
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.errors import (
    ConnectionCannotServe,
    Forbidden,
    NotFound,
    ServiceError,
    Unauthorized,
)
from keyturn_service.domain.ids import ConnectionId, IncidentId
from keyturn_service.domain.incident import Incident, Scope
from keyturn_service.ports import AuditUnavailable, ServiceSeal
from keyturn_service.use_cases.get_access_token import GetAccessToken

KEY = hash_of("key")
INCIDENT = Incident(
    id=IncidentId("inc_one"), scope=Scope(workspace_id=WORKSPACE), reason="a test", opened_at=START
)


def remembering(replica: Replica, **changes: Any) -> tuple[GetAccessToken, RememberingReads]:
    """Return the use case over reads that remember."""
    reads = RememberingReads(replica.get_access_token.reads, **changes)
    return replace(replica.get_access_token, reads=reads), reads


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


@pytest.mark.parametrize(
    "host", ["https://evil.example", "https://else.my.site.com", "http://127.0.0.1:9999"]
)
async def test_no_token_leaves_for_a_host_that_somebody_wrote(replica: Replica, host: str) -> None:
    """Its reader would send it there; one of a development world is named in the settings."""
    await replica.world.base.stores.api_keys.add(api_key())
    await replica.world.base.execute("UPDATE connections SET instance_url = :new", new=host)

    with pytest.raises(ConnectionCannotServe, match="org_unavailable"):
        await replica.get_access_token(CONNECTION, key_hash=KEY)

    assert replica.world.audit.types == ["token.host_refused"]
    in_a_dev_world = replace(replica.get_access_token, loopback=frozenset({Origin(host)}))
    assert await in_a_dev_world(CONNECTION, key_hash=KEY)


async def test_what_is_remembered_does_not_leave_for_such_a_host_either(replica: Replica) -> None:
    """A replica may have read it before it looked like that."""
    planted = replace(connection().in_use(), instance_url=Origin("https://evil.example"))
    get_access_token, _ = remembering(replica, connection=planted)
    replica.world.audit.standing.add(BASIS)

    with pytest.raises(ConnectionCannotServe, match="org_unavailable"):
        await get_access_token(CONNECTION, key_hash=KEY)

    assert replica.world.audit.types == ["token.host_refused"]


async def test_a_token_that_is_remembered_is_handed_out_without_a_look(replica: Replica) -> None:
    """Where the record of the read finds that it stands."""
    get_access_token, reads = remembering(replica)
    replica.world.audit.standing.add(BASIS)

    served = await get_access_token(CONNECTION, key_hash=KEY)

    assert served.tokens == in_force()
    assert reads.looks == 0
    assert replica.world.audit.types == ["token.read"]


async def test_what_does_not_stand_any_more_is_withheld_and_read_again(replica: Replica) -> None:
    """The trail says that the first one never left."""
    await replica.world.base.stores.api_keys.add(api_key())
    get_access_token, reads = remembering(replica)

    await get_access_token(CONNECTION, key_hash=KEY)

    assert reads.looks == 1
    assert replica.world.audit.types == ["token.read", "token.withheld", "token.read"]


@pytest.mark.parametrize(
    "changes",
    [{"tokens": None}, {"basis": None}, {"tokens": in_force(expires_at=START)}],
    ids=["no token", "no basis", "expired"],
)
async def test_what_cannot_serve_is_not_taken_from_memory(
    replica: Replica, changes: dict[str, Any]
) -> None:
    """It is read, and renewed where need be."""
    await replica.world.base.stores.api_keys.add(api_key())
    get_access_token, reads = remembering(replica, **changes)

    await get_access_token(CONNECTION, key_hash=KEY)

    assert reads.looks == 1
    assert "token.withheld" not in replica.world.audit.types


async def test_who_says_that_a_token_was_refused_is_not_served_from_memory(
    replica: Replica,
) -> None:
    """A newer one is asked for."""
    await replica.world.base.stores.api_keys.add(api_key())
    get_access_token, reads = remembering(replica)
    replica.world.audit.standing.add(BASIS)

    served = await get_access_token(CONNECTION, key_hash=KEY, rejected_generation=1)

    assert reads.looks == 2, "the second look is after the renewal"
    assert served.tokens.generation > 1


async def test_a_read_is_recorded_at_the_time_when_the_token_goes_out(replica: Replica) -> None:
    """Behind the records of the renewal that it waited for, also for who follows by time."""
    world = replica.world
    await world.base.stores.api_keys.add(api_key())

    async def slow(form: Any) -> TokenAnswer:
        world.clock.advance(seconds=4)
        return world.org.process(form)

    world.org.next.append(slow)
    await replica.get_access_token(CONNECTION, key_hash=KEY, rejected_generation=1)

    (read,) = world.audit.of("token.read")
    (stored,) = world.audit.of("token.stored")
    assert read.at >= stored.at


async def put_the_seal_on(stores: Stores) -> None:
    """Stop the whole service."""
    assert await stores.seals.put_on(ServiceSeal(sealed_at=START, reason="a test"))


async def open_an_incident(stores: Stores) -> None:
    """Stop the workspace."""
    assert await stores.incidents.open(INCIDENT)


async def delete_the_key(stores: Stores) -> None:
    """End what the caller has."""
    assert await stores.api_keys.delete(WORKSPACE, API_KEY, at=START)


@pytest.mark.parametrize(
    ("stop", "code"),
    [
        (put_the_seal_on, "sealed"),
        (open_an_incident, "reauthorization_required"),
        (delete_the_key, "unauthorized"),
    ],
)
@pytest.mark.parametrize("says", ["new tokens", "a refusal", "nothing"])
async def test_what_is_stopped_during_a_renewal_gets_nothing_of_it(
    replica: Replica, stop: Callable[[Stores], Awaitable[None]], code: str, says: str
) -> None:
    """Whatever Salesforce answers, to who waits for it and to who asks afterwards."""
    world, begun, go_on = replica.world, asyncio.Event(), asyncio.Event()
    await world.base.stores.api_keys.add(api_key())

    async def hold(form: Any) -> TokenAnswer:
        begun.set()
        await go_on.wait()
        if says == "nothing":
            raise OutcomeUnknown
        return world.org.process(form) if says == "new tokens" else refused("server_error")

    world.org.next.append(hold)
    asking = asyncio.create_task(
        replica.get_access_token(CONNECTION, key_hash=KEY, rejected_generation=1)
    )
    await begun.wait()
    await stop(world.base.stores)
    go_on.set()

    with pytest.raises(ServiceError) as met:
        await asking
    if says == "new tokens":
        assert met.value.code == code
    with pytest.raises(ServiceError) as afterwards:
        await replica.get_access_token(CONNECTION, key_hash=KEY)
    assert afterwards.value.code == code
    assert "token.read" not in world.audit.types
