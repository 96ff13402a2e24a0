"""`ports.TokenStore`: token sets that no attempt was noted for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    APP,
    CONNECTION,
    HOUR,
    OTHER_ORG,
    OTHER_USER,
    START,
    WORKSPACE,
    app,
    connection,
    revocation,
    tokens,
    user,
)
from sqlalchemy.exc import IntegrityError

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken
from keyturn_service.domain.connection import ConnectionState, Renewal
from keyturn_service.domain.ids import ConnectionId, CustomerId
from keyturn_service.ports import OrgTaken, RevocationReason, ToRevoke

MADE = connection(
    renewal=Renewal.JWT_BEARER, audience="https://login.salesforce.com", taken_over_at=START
)
BARE = tokens(refresh_token=None)
NEXT = replace(
    MADE,
    generation=2,
    state=ConnectionState.ACTIVE,
    problem="refresh_token_lost",
    last_refreshed_at=START + HOUR,
    audience="https://test.salesforce.com",
    taken_over_at=START + HOUR,
)
NEW = tokens(generation=2, access_token=AccessToken("next"), refresh_token=None)


async def fence(base: Base) -> int:
    """Take the lease, and return its fence."""
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(0))
    assert lease is not None
    return lease.fence


async def test_a_new_connection_is_kept_with_its_token_set(base: Base) -> None:
    """Whole, and found by the hot read too."""
    assert await base.stores.tokens.add(MADE, BARE)

    assert await base.stores.tokens.load(CONNECTION) == (MADE, BARE)
    serving = await base.stores.serving.read(CONNECTION, key_hash=b"")
    assert (serving.connection, serving.ending) == (MADE.in_use(), False)
    assert serving.tokens is not None
    assert serving.tokens.access_token == BARE.access_token


async def test_a_customer_has_an_org_once(base: Base) -> None:
    """Until it is revoked; another org or app is another matter."""
    add = base.stores.tokens.add
    assert await add(MADE, BARE)
    assert not await add(replace(MADE, id=ConnectionId("con_2")), BARE)

    assert await add(replace(MADE, id=ConnectionId("con_3"), org_id=OTHER_ORG), BARE)
    await base.execute("UPDATE connections SET state = 'revoked' WHERE id = 'con_one'")
    assert await add(replace(MADE, id=ConnectionId("con_5")), BARE)


async def test_an_org_has_one_customer_unless_the_app_says_so(base: Base) -> None:
    """Until it is revoked."""
    add = base.stores.tokens.add
    initech = replace(MADE, id=ConnectionId("con_4"), customer_id=CustomerId("initech"))
    assert await add(MADE, BARE)
    with pytest.raises(OrgTaken):
        await add(initech, BARE)

    await base.stores.apps.replace(app(allow_same_org=True))
    assert await add(initech, BARE)
    await base.stores.apps.replace(app())
    await base.execute("UPDATE connections SET state = 'revoked'")
    assert await add(replace(initech, id=ConnectionId("con_5")), BARE)


async def test_a_connection_that_waits_for_its_confirmation_does_not_count(base: Base) -> None:
    """Nobody may ever confirm it."""
    assert await base.stores.tokens.add(replace(MADE, generation=0), BARE)

    assert await base.stores.tokens.add(replace(MADE, id=ConnectionId("con_2")), BARE)


async def test_of_two_at_once_one_is_kept(base: Base) -> None:
    """Whichever was first."""
    async with base.replica("spool_two") as other:
        kept = await asyncio.gather(
            base.stores.tokens.add(MADE, BARE),
            other.tokens.add(replace(MADE, id=ConnectionId("con_2")), BARE),
        )

    assert sorted(kept) == [False, True]
    found = await base.stores.connections.of_org(APP, MADE.org_id)
    assert len(found) == 1


async def test_a_new_connection_is_all_or_nothing(base: Base) -> None:
    """Without its token set it is not there."""
    await base.refuse("INSERT", "token_sets")
    try:
        with pytest.raises(IntegrityError):
            await base.stores.tokens.add(MADE, BARE)
    finally:
        await base.allow("token_sets")

    assert await base.stores.connections.get(WORKSPACE, CONNECTION) is None


async def test_a_renewal_puts_the_new_token_set_in_force(base: Base) -> None:
    """How it is renewed and for which audience is kept; what others change is left."""
    await base.stores.tokens.add(MADE, BARE)
    await base.stores.connections.set_keep_alive(CONNECTION, keep_alive=False, now=START)
    held = await fence(base)
    elsewhere = replace(NEXT, instance_url=Origin("https://x.my.salesforce.com"), user=user())

    assert await base.stores.tokens.renew(elsewhere, NEW, instead_of=1, fence=held)

    assert await base.stores.tokens.load(CONNECTION) == (replace(NEXT, keep_alive=False), NEW)


async def test_a_renewal_leaves_the_time_at_which_it_is_looked_at(base: Base) -> None:
    """It hangs on a certificate; where none was known, it is looked at again."""
    connections = base.stores.connections
    later = START + timedelta(days=60)

    async def due(at: datetime) -> bool:
        return bool(await connections.claim_due(at, ttl=timedelta(0), limit=1))

    await base.stores.tokens.add(MADE, BARE)
    first = MADE.due_at()
    assert first is not None
    await connections.looked_after(MADE, claim=first, due_at=later)
    assert await base.stores.tokens.renew(NEXT, NEW, instead_of=1, fence=await fence(base))
    assert not await due(later - HOUR)
    [(looked, claim)] = await connections.claim_due(later, ttl=timedelta(0), limit=1)

    await connections.looked_after(looked, claim=claim, due_at=None)
    third, newer = replace(NEXT, generation=3), replace(NEW, generation=3)
    assert await base.stores.tokens.renew(third, newer, instead_of=2, fence=await fence(base))
    assert await due(START + HOUR)


async def test_a_renewal_by_a_grant_of_its_own_keeps_whose_it_is(base: Base) -> None:
    """User, hosts, scopes and what was learned, all as they are now."""
    await base.stores.tokens.add(MADE, BARE)
    anew = replace(
        NEXT,
        environment=Environment.SANDBOX,
        org_name="Globex, new",
        instance_url=Origin("https://globex--x.sandbox.my.salesforce.com"),
        login_url=LOGIN_HOSTS[Environment.SANDBOX],
        user=user(id=OTHER_USER, username="iris@globex.example", email=None),
        scopes=frozenset({Scope("api")}),
        session_life=HOUR,
        authorized_at=START + HOUR,
        taken_over_at=None,
    )

    assert await base.stores.tokens.renew(
        anew, NEW, instead_of=1, fence=await fence(base), anew=True
    )

    assert await base.stores.tokens.load(CONNECTION) == (anew, NEW)


async def test_a_grant_given_anew_is_kept_with_what_it_supersedes(base: Base) -> None:
    """All or nothing; who comes too late keeps no job either."""
    await base.stores.tokens.add(MADE, BARE)
    held = await fence(base)
    job = ToRevoke(
        revocation=revocation(ends_connection=False, reason=RevocationReason.SUPERSEDED),
        tokens=[BARE.access_token],
    )
    renew = partial(base.stores.tokens.renew, NEXT, NEW, fence=held, anew=True, superseded=job)

    assert not await renew(instead_of=2)
    assert await base.stores.revocations.open(job.revocation.id) is None
    await base.refuse("INSERT", "revocations")
    with pytest.raises(IntegrityError):
        await renew(instead_of=1)
    await base.allow("revocations")
    assert await base.stores.tokens.load(CONNECTION) == (MADE, BARE)

    assert await renew(instead_of=1)
    assert await base.stores.revocations.open(job.revocation.id) == (job.revocation, job.tokens)


@pytest.mark.parametrize("anew", [True, False])
async def test_a_late_renewal_changes_nothing(base: Base, *, anew: bool) -> None:
    """Under an older fence, for another generation, or while the connection ends."""
    await base.stores.tokens.add(MADE, BARE)
    old, held = await fence(base), await fence(base)
    renew = base.stores.tokens.renew

    assert not await renew(NEXT, NEW, instead_of=1, fence=old, anew=anew)
    assert not await renew(NEXT, NEW, instead_of=2, fence=held, anew=anew)
    await base.stores.revocations.add(revocation(), [BARE.access_token])
    assert not await renew(NEXT, NEW, instead_of=1, fence=held, anew=anew)

    assert await base.stores.tokens.load(CONNECTION) == (MADE, BARE)


async def test_a_lost_row_of_tokens_is_written_anew(base: Base) -> None:
    """The generation is the connection's."""
    await base.stores.tokens.add(MADE, BARE)
    await base.execute("DELETE FROM token_sets")

    assert await base.stores.tokens.renew(NEXT, NEW, instead_of=1, fence=await fence(base))

    assert await base.stores.tokens.load(CONNECTION) == (NEXT, NEW)
