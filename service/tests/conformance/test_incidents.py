"""`ports.Incidents`: every grant of a scope is listed, and claimed by one replica at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    ACCESS,
    APP,
    CONNECTION,
    HOUR,
    LOGIN_URL,
    NO_MOMENT,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    api_key,
    connection,
    hash_of,
    revocation,
    tokens,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.incidents import SqlIncidents
from keyturn_service.adapters.sql.types import to_micros
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import AppId, ConnectionId, CustomerId, IncidentId
from keyturn_service.domain.incident import (
    AT_ONCE,
    Because,
    GrantToEnd,
    Incident,
    IncidentGrant,
    IncidentOutcome,
    Progress,
    Scope,
    Verdict,
)
from keyturn_service.ports import StoreUnavailable

CLAIM = timedelta(seconds=30)
INCIDENT = Incident(id=IncidentId("inc_one"), scope=Scope(), reason="a leak", opened_at=START)
REVOKED = Verdict(
    outcome=IncidentOutcome.REVOKED, because=Because.REFRESH_TOKEN, access_token_ended=True
)
ADMIN = Verdict(
    outcome=IncidentOutcome.ADMIN, because=Because.TOKEN_UNKNOWN, access_token_ended=False
)

MINUTE = timedelta(minutes=1)


async def connect(base: Base, count: int) -> list[str]:
    """Connect so many customers; return the connections' ids, in order."""
    names = [f"con_{number:02}" for number in range(count)]
    for number, name in enumerate(names):
        await base.with_connection(
            id=ConnectionId(name), customer_id=CustomerId(f"customer-{number}")
        )
    return names


def named(grant: IncidentGrant | ConnectionId) -> ConnectionId:
    """Return the connection of a grant that could be read."""
    assert isinstance(grant, IncidentGrant)
    return grant.connection_id


async def claim(base: Base, *, limit: int = 9) -> Sequence[GrantToEnd]:
    """Claim what is due at the start."""
    return await base.stores.incidents.claim_due(START, ttl=CLAIM, limit=limit)


async def test_what_is_listed_serves_no_more_from_that_moment(base: Base) -> None:
    """Also what was read before; and it says of each how it was."""
    await base.with_connection()
    await base.stores.api_keys.add(api_key())
    before = await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    assert before.tokens is not None

    assert await base.stores.incidents.open(INCIDENT) == 1

    after = await base.stores.serving.read(CONNECTION, key_hash=hash_of("key"))
    assert after.connection is not None
    assert after.connection.state is ConnectionState.REAUTHORIZATION_REQUIRED
    assert after.connection.problem == "revoked_in_incident"
    assert before.basis is None or before.basis != after.basis
    [grant] = await base.stores.incidents.grants(INCIDENT.id, after=None, limit=9)
    assert (grant.was, grant.problem, grant.outcome) == (ConnectionState.ACTIVE, None, None)
    assert (grant.due_at, grant.attempts) == (AT_ONCE, 0)


class Slow(Database):
    """A database whose transactions take a while to commit."""

    def __init__(self, base: Base) -> None:
        super().__init__(base.database.url)
        self.written, self.go_on = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def write(self, *, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a transaction, and wait before its commit."""
        async with super().write(patient=patient) as connection:
            yield connection
            self.written.set()
            await self.go_on.wait()


@pytest.mark.parametrize("brings", ["tokens", "a refusal"])
async def test_what_is_kept_while_an_incident_is_opened_brings_nothing_back(
    base: Base, brings: str
) -> None:
    """It waits for the row, and then goes by what the incident says, not by what was before."""
    if base.database.is_sqlite:
        pytest.skip("one writes at a time")
    await base.with_connection()
    intent = await base.begun()
    slow = Slow(base)
    opening = asyncio.create_task(SqlIncidents(slow).open(INCIDENT))
    await slow.written.wait()
    store = base.stores.tokens
    keeping: Coroutine[Any, Any, object] = (
        store.replace(connection(generation=2), tokens(generation=2), attempt=intent)
        if brings == "tokens"
        else store.end_attempt(
            intent,
            AttemptOutcome.REFUSED,
            at=START,
            spool_answered=True,
            state=ConnectionState.ACTIVE,
            problem="login_rate_exceeded",
        )
    )
    kept = asyncio.create_task(keeping)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while await base.rows(waiting) == [(0,)]:
            pass  # each look takes a while
    slow.go_on.set()
    await asyncio.gather(opening, kept)
    await slow.close()

    found = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert found is not None
    assert (found.state, found.problem, found.generation) == (
        ConnectionState.REAUTHORIZATION_REQUIRED,
        "revoked_in_incident",
        2 if brings == "tokens" else 1,
    )


async def test_a_grant_given_anew_keeps_no_refresh_token_that_an_incident_is_to_end(
    base: Base,
) -> None:
    """Nobody would revoke it: by the new grant's time the incident has nothing to do."""
    await base.with_connection()
    lease = await base.stores.leases.acquire(CONNECTION, ttl=timedelta(minutes=1))
    assert lease is not None
    await base.stores.incidents.open(INCIDENT)
    new = connection(generation=2, authorized_at=START + HOUR)

    assert not await base.stores.tokens.renew(
        new, tokens(generation=2), instead_of=1, fence=lease.fence, anew=True
    )
    without = tokens(generation=2, refresh_token=None)
    assert await base.stores.tokens.renew(new, without, instead_of=1, fence=lease.fence, anew=True)


async def test_what_has_nothing_to_revoke_is_not_listed(base: Base) -> None:
    """No tokens, being ended already, ended, waiting for its confirmation, or listed before."""
    names = await connect(base, 5)
    await base.execute("DELETE FROM token_sets WHERE connection_id = 'con_00'")
    job = revocation(connection_id=ConnectionId("con_01"))
    await base.stores.revocations.add(job, [AccessToken(ACCESS)])
    await base.execute("UPDATE connections SET state = 'revoked' WHERE id = 'con_02'")
    await base.execute("UPDATE connections SET state = 'pending' WHERE id = 'con_03'")
    assert await base.stores.incidents.count(Scope()) == 1

    assert await base.stores.incidents.open(INCIDENT) == 1
    other = replace(INCIDENT, id=IncidentId("inc_two"))
    assert await base.stores.incidents.open(other) == 0

    [grant] = await base.stores.incidents.grants(INCIDENT.id, after=None, limit=9)
    assert grant.connection_id == names[4]


async def test_a_grant_given_anew_is_listed_though_the_one_before_is_worked_on(base: Base) -> None:
    """What an earlier incident waits for is another grant, and this one may have got out too."""
    await base.with_connection()
    assert await base.stores.incidents.open(INCIDENT) == 1
    await base.execute(
        "UPDATE connections SET state = 'active', problem = NULL, authorized_at = authorized_at + 1"
    )

    other = replace(INCIDENT, id=IncidentId("inc_two"))
    assert await base.stores.incidents.open(other) == 1

    assert sorted(one.incident_id for one in await claim(base)) == ["inc_one", "inc_two"]


@pytest.mark.parametrize(
    ("scope", "listed"),
    [
        (Scope(), 1),
        (Scope(workspace_id=WORKSPACE), 1),
        (Scope(workspace_id=WORKSPACE, app_id=APP), 1),
        (Scope(workspace_id=OTHER_WORKSPACE), 0),
        (Scope(workspace_id=WORKSPACE, app_id=AppId("app_two")), 0),
    ],
)
async def test_an_incident_lists_what_is_of_its_scope(
    base: Base, scope: Scope, listed: int
) -> None:
    """And is found by that scope alone, while it has grants to end."""
    await base.with_connection()
    incident = replace(INCIDENT, scope=scope)

    assert await base.stores.incidents.open(incident) == listed

    assert list(await base.stores.incidents.newest_first()) == [incident]
    found = await base.stores.incidents.under_way(scope)
    assert found == (incident if listed else None)
    assert await base.stores.incidents.under_way(Scope(app_id=AppId("app_none"))) is None


async def test_an_incident_and_its_list_are_kept_together(base: Base) -> None:
    """Where the connections cannot be stopped, there is no incident either."""
    await base.with_connection()
    await base.refuse("UPDATE", "connections")
    with pytest.raises(IntegrityError):
        await base.stores.incidents.open(INCIDENT)
    await base.allow("connections")

    assert list(await base.stores.incidents.newest_first()) == []
    assert await base.stores.incidents.open(INCIDENT) == 1


async def test_replicas_that_claim_at_once_get_different_grants(base: Base) -> None:
    """Each grant goes to one of them, and none is left."""
    names = await connect(base, 12)
    await base.stores.incidents.open(INCIDENT)
    claimed: list[str] = []

    async with base.replica("spool_two") as other:
        while True:
            taken = await asyncio.gather(
                *(
                    stores.incidents.claim_due(START, ttl=CLAIM, limit=2)
                    for stores in (base.stores, other, base.stores, other)
                )
            )
            claimed += [one.connection_id for some in taken for one in some]
            if not any(taken):
                break

    assert sorted(claimed) == names


async def test_a_grant_whose_claimer_died_is_claimed_again(base: Base) -> None:
    """When the claim is over; a claim alone says nothing of a presentation."""
    await base.with_connection()
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    [first] = await incidents.claim_due(START, ttl=timedelta(0), limit=9)
    assert (first.login_url, first.was) == (LOGIN_URL, ConnectionState.ACTIVE)
    [second] = await claim(base)
    assert second == first
    assert not second.unanswered
    assert list(await claim(base)) == []

    await incidents.leave(second, due_at=START)
    assert await claim(base) == [first]


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=1000)])
async def test_a_claim_ends_by_the_databases_clock(base: Base, ahead: timedelta) -> None:
    """A replica whose clock is ahead neither ends one early nor makes one that lasts."""
    await base.with_connection()
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    [grant] = await claim(base)
    assert list(await incidents.claim_due(START + ahead, ttl=CLAIM, limit=9)) == []

    await incidents.leave(grant, due_at=START)
    assert await incidents.claim_due(START + ahead, ttl=timedelta(0), limit=9) == [grant]
    assert await claim(base) == [grant]


async def test_the_database_says_how_long_a_claim_lasts(base: Base) -> None:
    """The asked time from the database's now on, and not from ours."""
    await base.with_connection()
    await base.stores.incidents.open(INCIDENT)
    await claim(base)
    now = (
        "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
        if base.database.is_sqlite
        else "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
    )

    [(left,)] = await base.rows(f"SELECT claimed_until - {now} FROM incident_grants")  # noqa: S608 - ours

    assert CLAIM / 2 < timedelta(microseconds=left) <= CLAIM


async def test_a_claim_that_is_longer_than_any_holds_nobody_off(base: Base) -> None:
    """The database's clock was put back since, or it is another database."""
    await base.with_connection()
    await base.stores.incidents.open(INCIDENT)
    assert len(await base.stores.incidents.claim_due(START, ttl=HOUR, limit=9)) == 1

    assert len(await claim(base)) == 1


async def test_a_presentation_is_on_record_until_its_answer_is_known(base: Base) -> None:
    """Of each try: that a later one was answered says nothing of the one before."""
    await base.with_connection()
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)

    async def tried(*, answered: bool) -> GrantToEnd:
        [grant] = await claim(base)
        await incidents.presenting(grant)
        if answered:
            await incidents.answered(grant)
        await incidents.postpone(grant, due_at=START, tried_with="http_503")
        return grant

    found = [await tried(answered=told) for told in (True, False, True, True)]

    assert [grant.unanswered for grant in found] == [False, False, True, True]
    assert [grant.attempts for grant in found] == [0, 1, 2, 3]


async def test_a_host_that_is_left_alone_has_nothing_due(base: Base) -> None:
    """None of its grants; other hosts go on, and what is later anyway stays so."""
    await connect(base, 3)
    await base.execute("UPDATE connections SET login_url = 'https://x' WHERE id = 'con_02'")
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    await base.execute(
        "UPDATE incident_grants SET due_at = :later WHERE connection_id = 'con_01'",
        later=to_micros(START + HOUR) + 1,
    )

    await incidents.put_off_host(LOGIN_URL, until=START + HOUR)

    assert [one.connection_id for one in await claim(base)] == ["con_02"]
    later = await incidents.claim_due(START + HOUR, ttl=CLAIM, limit=9)
    assert sorted(one.connection_id for one in later) == ["con_00"]


async def test_an_incident_of_a_machine_nine_minutes_ahead_is_begun_at_once(base: Base) -> None:
    """Clocks may be ten minutes apart, and what is listed is due by all of them."""
    await base.with_connection()

    assert await base.stores.incidents.open(replace(INCIDENT, opened_at=START + 9 * MINUTE)) == 1

    assert len(await claim(base)) == 1


@pytest.mark.parametrize(
    ("ahead", "is_due"), [(HOUR + 10 * MINUTE, False), (HOUR + 11 * MINUTE, True)]
)
async def test_what_is_put_off_for_longer_than_any_pause_is_due(
    base: Base, *, ahead: timedelta, is_due: bool
) -> None:
    """A clock did it that was put right since; a host asks for an hour at most."""
    await base.with_connection()
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    [grant] = await claim(base)

    await incidents.postpone(grant, due_at=START + ahead, tried_with="http_503")

    assert bool(await claim(base)) is is_due


async def test_what_ended_is_counted_and_its_tokens_are_gone(base: Base) -> None:
    """It is due no more; nothing that comes late changes it."""
    names = await connect(base, 3)
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    one, two, three = sorted(await claim(base), key=lambda grant: grant.connection_id)

    await incidents.ended(one, REVOKED, generation=1, at=START)
    await incidents.ended(two, ADMIN, generation=None, at=START + HOUR)
    await incidents.postpone(three, due_at=START, tried_with="no_answer")
    await incidents.ended(one, ADMIN, generation=1, at=START + HOUR)
    await incidents.postpone(one, due_at=START, tried_with="late")

    assert await incidents.progress(INCIDENT.id) == Progress(
        waiting=0, failed=1, revoked=1, admin=1, last_ended_at=START + HOUR
    )
    assert await base.stores.tokens.load(ConnectionId(names[0])) is None
    assert await base.stores.tokens.load(ConnectionId(names[1])) is not None
    listed = await incidents.grants(INCIDENT.id, after=None, limit=2)
    assert [(grant.outcome, grant.because) for grant in listed] == [
        (IncidentOutcome.REVOKED, Because.REFRESH_TOKEN),
        (IncidentOutcome.ADMIN, Because.TOKEN_UNKNOWN),
    ]
    rest = await incidents.grants(INCIDENT.id, after=ConnectionId(names[1]), limit=2)
    assert [grant.tried_with for grant in rest] == ["no_answer"]


@pytest.mark.parametrize("changed", ["generation = 2", "state = 'revoked'"])
async def test_a_connection_that_went_on_meanwhile_is_left_alone(base: Base, changed: str) -> None:
    """Another generation is in force, or somebody ended it."""
    await base.with_connection()
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    [grant] = await claim(base)
    await base.execute(f"UPDATE connections SET problem = NULL, {changed}")  # noqa: S608 - ours

    await incidents.ended(grant, REVOKED, generation=1, at=START)

    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept is not None
    assert kept.problem is None
    assert await base.rows("SELECT count(*) FROM token_sets") == [(1,)]


async def test_what_assertions_renew_keeps_its_place_without_a_token(base: Base) -> None:
    """It can be verified again once somebody has seen to the key."""
    await base.with_connection()
    await base.execute("UPDATE connections SET renewal = 'jwt_bearer'")
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    [grant] = await claim(base)

    await incidents.ended(grant, ADMIN, generation=1, at=START)

    loaded = await base.stores.tokens.load(CONNECTION)
    assert loaded is not None
    assert (loaded[1].expires_at, loaded[1].refresh_token) == (None, None)


async def test_a_grant_that_cannot_be_read_keeps_no_other_from_being_ended(base: Base) -> None:
    """It is listed like all others, and goes on waiting; the others are claimed."""
    names = await connect(base, 3)
    await base.execute(f"UPDATE connections SET authorized_at = {NO_MOMENT} WHERE id = 'con_01'")  # noqa: S608 - ours
    incidents = base.stores.incidents

    assert await incidents.open(INCIDENT) == 3

    assert sorted(one.connection_id for one in await claim(base)) == ["con_00", "con_02"]
    listed = await incidents.grants(INCIDENT.id, after=None, limit=9)
    assert [named(one) for one in listed] == names
    assert (await incidents.progress(INCIDENT.id)).waiting == 3


@pytest.mark.parametrize(
    "change",
    [
        "outcome = 'odd'",
        "because = 'odd'",
        "was = 'odd'",
        f"due_at = {NO_MOMENT}",
        f"ended_at = {NO_MOMENT}",
        f"ended_at = -{NO_MOMENT}",
    ],
)
async def test_a_grant_that_cannot_be_read_hides_no_other(base: Base, change: str) -> None:
    """Its connection is named in its place, and how far the incident is can be told."""
    await connect(base, 3)
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    await base.execute(f"UPDATE incident_grants SET {change} WHERE connection_id = 'con_01'")  # noqa: S608 - ours

    first, odd, last = await incidents.grants(INCIDENT.id, after=None, limit=9)

    assert (named(first), odd, named(last)) == ("con_00", "con_01", "con_02")
    assert (await incidents.progress(INCIDENT.id)).last_ended_at is None


async def test_an_incident_that_cannot_be_read_hides_no_other(base: Base) -> None:
    """It is not gone on with, and what is there besides is told."""
    await base.with_connection()
    incidents = base.stores.incidents
    await incidents.open(INCIDENT)
    await base.execute(f"UPDATE incidents SET opened_at = {NO_MOMENT}")  # noqa: S608 - ours
    assert await incidents.under_way(INCIDENT.scope) is None

    other = replace(INCIDENT, id=IncidentId("inc_two"))
    await incidents.open(other)

    assert list(await incidents.newest_first()) == [other]


async def test_a_silent_database_is_told_apart_from_nothing_to_do(base: Base) -> None:
    """Nobody is told that all is ended because nobody could look."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await claim(base)
    with pytest.raises(StoreUnavailable):
        await base.stores.incidents.progress(INCIDENT.id)
