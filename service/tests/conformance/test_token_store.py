"""`ports.TokenStore`: token sets at rest, and the attempts to renew them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    CONNECTION,
    HOUR,
    SPOOL,
    START,
    WORKSPACE,
    attempt,
    awaiting,
    connection,
    grant,
    hash_of,
    pending,
    revocation,
    tokens,
    user,
)
from sqlalchemy.exc import IntegrityError

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connect_session import SessionStatus
from keyturn_service.domain.connection import Connection, ConnectionState, TokenSet
from keyturn_service.domain.ids import AttemptId, ConnectionId, ConnectSessionId, SpoolId
from keyturn_service.ports import StaleWrite, StoreUnavailable

LONG = timedelta(minutes=1)


def renewed(generation: int = 2) -> tuple[Connection, TokenSet]:
    """Return connection and tokens as a refresh leaves them."""
    later = START + HOUR
    return connection(generation=generation, last_refreshed_at=later), tokens(
        generation=generation,
        access_token=AccessToken(f"access-{generation}"),
        refresh_token=RefreshToken(f"refresh-{generation}"),
        received_at=later,
        expires_at=later + HOUR,
    )


async def test_what_was_put_in_force_is_loaded(base: Base) -> None:
    """Connection and token set come back as they were kept, opened."""
    await base.with_connection()

    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())


async def test_without_a_token_set_nothing_is_loaded(base: Base) -> None:
    """A connection that nobody confirmed has none; neither has one that is not there."""
    await base.stores.connect_sessions.add(awaiting())
    await base.stores.connect_sessions.await_confirmation(
        awaiting(), grant(), new_connection=pending()
    )

    assert await base.stores.tokens.load(CONNECTION) is None
    assert await base.stores.tokens.load(ConnectionId("con_nowhere")) is None


async def test_a_token_set_may_lack_a_refresh_token_and_an_end(base: Base) -> None:
    """What a token response leaves out stays left out."""
    await base.with_connection()
    intent = await base.begun()
    made, _ = renewed()
    bare = tokens(generation=2, refresh_token=None, expires_at=None)

    assert await base.stores.tokens.replace(made, bare, attempt=intent)

    loaded = await base.stores.tokens.load(CONNECTION)
    assert loaded is not None
    assert loaded[1] == bare


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_guardian_looks_soon_at_what_the_vendor_changed_while_it_was_refreshed(
    base: Base, *, wanted: bool
) -> None:
    """When something is due for it was reckoned from what the vendor wanted before."""
    await base.with_connection(keep_alive=not wanted)
    intent, now = await base.begun(), START + HOUR
    made, new = renewed()
    await base.stores.connections.set_keep_alive(CONNECTION, keep_alive=wanted, now=now)

    before = replace(made, keep_alive=not wanted)
    assert await base.stores.tokens.replace(before, new, attempt=intent)

    due = await base.stores.connections.claim_due(now, ttl=timedelta(0), limit=1)
    assert [one for one, _ in due] == [replace(made, keep_alive=wanted)]


async def test_an_intent_comes_back_as_it_was_committed(base: Base) -> None:
    """By its own name, as the open one of its connection, and as one of its spool's."""
    await base.with_connection()

    intent = await base.begun()

    assert await base.stores.tokens.attempt(intent.id) == intent
    assert await base.stores.tokens.open_attempt(CONNECTION) == intent
    assert await base.stores.tokens.open_attempts_of(SPOOL) == [intent]
    assert await base.stores.tokens.attempt(AttemptId("att_nowhere")) is None


async def test_an_intent_under_an_older_fence_is_refused(base: Base) -> None:
    """Whoever lost the lease may not present a token."""
    await base.with_connection()
    for _ in range(2):
        await base.stores.leases.acquire(CONNECTION, ttl=timedelta(0))

    with pytest.raises(StaleWrite):
        await base.stores.tokens.begin_attempt(attempt(fence=1))

    assert await base.stores.tokens.open_attempt(CONNECTION) is None


async def test_an_intent_without_any_lease_is_refused(base: Base) -> None:
    """No lease, no attempt."""
    await base.with_connection()

    with pytest.raises(StaleWrite):
        await base.stores.tokens.begin_attempt(attempt(fence=1))


@pytest.mark.parametrize("generation", [0, 2])
async def test_an_intent_at_another_generation_is_refused(base: Base, generation: int) -> None:
    """Only the token in force may be presented."""
    await base.with_connection()

    with pytest.raises(StaleWrite):
        await base.begun(generation=generation)

    assert await base.stores.tokens.open_attempts_of(SPOOL) == []


async def test_a_replacement_puts_the_new_token_set_in_force(base: Base) -> None:
    """Connection, token set and attempt change together."""
    await base.with_connection()
    intent = await base.begun()
    made, new = renewed()

    assert await base.stores.tokens.replace(made, new, attempt=intent)

    assert await base.stores.tokens.load(CONNECTION) == (made, new)
    kept = await base.stores.tokens.attempt(intent.id)
    assert kept is not None
    assert (kept.outcome, kept.spool_answered) == (AttemptOutcome.STORED, True)
    assert kept.ended_at == new.received_at
    assert await base.stores.tokens.open_attempt(CONNECTION) is None


async def test_a_replacement_under_an_older_fence_changes_nothing(base: Base) -> None:
    """A replica that slept through its lease cannot overwrite."""
    await base.with_connection()
    intent = await base.begun()
    await base.stores.leases.acquire(CONNECTION, ttl=LONG)
    made, new = renewed()

    assert not await base.stores.tokens.replace(made, new, attempt=intent)

    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())
    assert await base.stores.tokens.attempt(intent.id) == intent


async def test_a_replacement_of_an_older_generation_changes_nothing(base: Base) -> None:
    """The generation is compared and swapped."""
    await base.with_connection()
    intent = await base.begun()
    made, new = renewed()
    assert await base.stores.tokens.replace(made, new, attempt=intent)
    late, older = renewed()

    assert not await base.stores.tokens.replace(late, older, attempt=intent)

    assert await base.stores.tokens.load(CONNECTION) == (made, new)


async def test_of_two_replacements_at_once_one_is_kept(base: Base) -> None:
    """However the two meet, one generation follows."""
    await base.with_connection()
    intent = await base.begun()
    made, new = renewed()

    async with base.replica("spool_two") as other:
        kept = await asyncio.gather(
            base.stores.tokens.replace(made, new, attempt=intent),
            other.tokens.replace(made, new, attempt=intent),
        )

    assert sorted(kept) == [False, True]


async def test_a_replacement_leaves_what_others_change_meanwhile(base: Base) -> None:
    """Use, keep-alive and the org's place are not set back by a refresh that began earlier."""
    await base.with_connection()
    intent = await base.begun()
    moved = Origin("https://globex-two.my.salesforce.com")
    await base.stores.connections.touch_used({CONNECTION: START + HOUR})
    await base.stores.connections.set_keep_alive(CONNECTION, keep_alive=False, now=START)
    await base.stores.connections.set_instance_url(CONNECTION, moved)
    made, new = renewed()

    assert await base.stores.tokens.replace(made, new, attempt=intent)

    loaded = await base.stores.tokens.load(CONNECTION)
    assert loaded is not None
    assert loaded[0].last_used_at == START + HOUR
    assert loaded[0].keep_alive is False
    assert loaded[0].instance_url == moved


async def test_a_replacement_is_all_or_nothing(base: Base) -> None:
    """Where the second half fails, the first one is undone."""
    await base.with_connection()
    intent = await base.begun()
    made, new = renewed()
    await base.refuse("UPDATE", "attempts")

    with pytest.raises(IntegrityError):
        await base.stores.tokens.replace(made, new, attempt=intent)

    await base.allow("attempts")
    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())
    assert await base.stores.tokens.attempt(intent.id) == intent


async def test_a_confirmation_and_a_refresh_at_once_leave_one_generation(base: Base) -> None:
    """Whichever comes second changes nothing and is told so."""
    await base.with_connection()
    intent = await base.begun()
    made, new = renewed()
    again = awaiting(id=ConnectSessionId("cs_two"), link_hash=hash_of("two"), authorization=None)
    sessions = base.stores.connect_sessions
    await sessions.add(again)
    await sessions.await_confirmation(again, grant(session_id=again.id), new_connection=None)
    completed = awaiting(
        id=again.id,
        link_hash=hash_of("two"),
        authorization=None,
        version=2,
        status=SessionStatus.COMPLETED,
    )
    confirmed = connection(generation=2, authorized_at=START + HOUR)
    other_tokens = tokens(generation=2, access_token=AccessToken("of the confirmation"))

    refreshed, put_in_force = await asyncio.gather(
        base.stores.tokens.replace(made, new, attempt=intent),
        sessions.confirm(completed, confirmed, other_tokens, superseded=None),
        return_exceptions=True,
    )

    loaded = await base.stores.tokens.load(CONNECTION)
    if refreshed is True:
        assert isinstance(put_in_force, StaleWrite)
        assert loaded == (made, new)
        assert await sessions.pending_grant(again.id) is not None
    else:
        assert refreshed is False
        assert put_in_force is None
        assert loaded == (confirmed, other_tokens)


@pytest.mark.parametrize("outcome", [o for o in AttemptOutcome if o is not AttemptOutcome.STORED])
async def test_how_an_attempt_ended_is_kept(base: Base, outcome: AttemptOutcome) -> None:
    """Each outcome comes back, with its time and whether the spool spoke."""
    await base.with_connection()
    intent = await base.begun()

    await base.stores.tokens.end_attempt(intent, outcome, at=START + HOUR, spool_answered=False)

    kept = await base.stores.tokens.attempt(intent.id)
    assert kept is not None
    assert (kept.outcome, kept.ended_at, kept.spool_answered) == (outcome, START + HOUR, False)
    waiting = [kept] if outcome is AttemptOutcome.UNKNOWN else []  # another replica noted it
    assert await base.stores.tokens.open_attempts_of(SPOOL) == waiting
    loaded = await base.stores.tokens.load(CONNECTION)
    assert loaded == (connection(), tokens())


async def test_an_attempt_at_an_older_generation_is_not_the_latest(base: Base) -> None:
    """A refusal says nothing about the grant that came after."""
    await base.with_connection()
    intent = await base.begun()
    made, new = renewed()
    await base.stores.tokens.replace(made, new, attempt=intent)

    assert await base.stores.tokens.latest_attempt(CONNECTION) is None


async def test_the_end_of_an_attempt_may_change_its_connection(base: Base) -> None:
    """State and problem are kept with it, both or none."""
    await base.with_connection()
    intent = await base.begun()

    await base.stores.tokens.end_attempt(
        intent,
        AttemptOutcome.UNKNOWN,
        at=START,
        spool_answered=True,
        state=ConnectionState.UNCERTAIN,
        problem="connection_uncertain",
    )

    loaded = await base.stores.tokens.load(CONNECTION)
    assert loaded is not None
    assert loaded[0] == connection(state=ConnectionState.UNCERTAIN, problem="connection_uncertain")


async def test_the_end_of_an_old_attempt_changes_no_newer_connection(base: Base) -> None:
    """A late verdict on generation 1 says nothing about generation 2."""
    await base.with_connection()
    intent = await base.begun()
    made, new = renewed()
    await base.stores.tokens.replace(made, new, attempt=intent)

    await base.stores.tokens.end_attempt(
        intent,
        AttemptOutcome.REFUSED,
        at=START,
        spool_answered=True,
        state=ConnectionState.REAUTHORIZATION_REQUIRED,
        problem="grant_revoked",
    )

    assert await base.stores.tokens.load(CONNECTION) == (made, new)
    kept = await base.stores.tokens.attempt(intent.id)
    assert kept is not None
    assert kept.outcome is AttemptOutcome.STORED, "whoever says else was paused since"


async def test_the_end_of_an_attempt_is_all_or_nothing(base: Base) -> None:
    """Where the connection cannot be kept, the attempt stays open."""
    await base.with_connection()
    intent = await base.begun()
    await base.refuse("UPDATE", "connections")

    with pytest.raises(IntegrityError):
        await base.stores.tokens.end_attempt(
            intent,
            AttemptOutcome.REFUSED,
            at=START,
            spool_answered=True,
            state=ConnectionState.REAUTHORIZATION_REQUIRED,
            problem="grant_revoked",
        )

    await base.allow("connections")
    assert await base.stores.tokens.attempt(intent.id) == intent


async def test_an_unknown_outcome_counts_as_open_for_its_connection(base: Base) -> None:
    """It is what has to be resolved; but its spool is not asked twice for it."""
    await base.with_connection()
    intent = await base.begun()

    await base.stores.tokens.end_attempt(
        intent, AttemptOutcome.UNKNOWN, at=START, spool_answered=True
    )

    found = await base.stores.tokens.open_attempt(CONNECTION)
    assert found is not None
    assert found.id == intent.id
    assert await base.stores.tokens.open_attempts_of(SPOOL) == []


async def test_the_latest_open_attempt_is_the_one_to_resolve(base: Base) -> None:
    """By its lease, whatever the clocks of the replicas said that began them."""
    await base.with_connection()
    await base.begun(id=AttemptId("att_b"), started_at=START + HOUR)
    last = await base.begun(id=AttemptId("att_a"), started_at=START - HOUR)

    assert await base.stores.tokens.open_attempt(CONNECTION) == last
    assert await base.stores.tokens.latest_attempt(CONNECTION) == last


async def test_an_attempt_that_presented_again_is_the_one_to_resolve(base: Base) -> None:
    """Journals may have been replayed the other way round; there is no third presentation."""
    await base.with_connection()
    again = await base.begun(id=AttemptId("att_b"), presented_again=True)
    await base.begun(id=AttemptId("att_a"))

    assert await base.stores.tokens.open_attempt(CONNECTION) == again


async def test_an_open_attempt_of_an_older_generation_needs_no_resolving(base: Base) -> None:
    """Once a newer token set is in force, what became of the old token is history."""
    await base.with_connection()
    lost = await base.begun(id=AttemptId("att_lost"))
    intent = await base.begun()
    made, new = renewed()
    await base.stores.tokens.replace(made, new, attempt=intent)

    assert await base.stores.tokens.open_attempt(CONNECTION) is None
    assert await base.stores.tokens.open_attempts_of(SPOOL) == [lost]


async def test_each_spool_is_told_of_its_own_attempts(base: Base) -> None:
    """In the order of their leases, whatever its replica's clock said."""
    await base.with_connection()
    first = await base.begun(id=AttemptId("att_2"), started_at=START + HOUR)
    second = await base.begun(id=AttemptId("att_1"))
    others = await base.begun(id=AttemptId("att_3"), spool_id=SpoolId("spool_two"))

    assert await base.stores.tokens.open_attempts_of(SPOOL) == [first, second]
    assert await base.stores.tokens.open_attempts_of(SpoolId("spool_two")) == [others]


async def test_a_refused_access_token_has_no_end_any_more(base: Base) -> None:
    """It serves nobody, and the session's learned length is kept."""
    await base.with_connection()

    await base.stores.tokens.reject_access_token(CONNECTION, generation=1, session_life=HOUR)

    assert await base.stores.tokens.load(CONNECTION) == (
        connection(session_life=HOUR),
        tokens(expires_at=None),
    )


async def test_a_refusal_of_an_older_generation_rejects_nothing(base: Base) -> None:
    """A late word about generation 0 does not touch generation 1."""
    await base.with_connection()

    await base.stores.tokens.reject_access_token(CONNECTION, generation=0, session_life=HOUR)

    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())


async def test_a_state_is_kept_where_its_generation_is_in_force(base: Base) -> None:
    """At another generation nothing changes, and the caller is told."""
    await base.with_connection()
    store = base.stores.tokens
    state = ConnectionState.REAUTHORIZATION_REQUIRED

    assert not await store.set_state(CONNECTION, generation=2, state=state, problem="x")
    assert await store.load(CONNECTION) == (connection(), tokens())

    assert await store.set_state(CONNECTION, generation=1, state=state, problem="x")
    assert await store.load(CONNECTION) == (connection(state=state, problem="x"), tokens())


async def test_a_revoked_connection_gets_no_other_state(base: Base) -> None:
    """Revoked is the end: a late attempt does not bring it back."""
    await base.with_connection()
    store = base.stores.tokens
    intent = await base.begun()
    await store.set_state(CONNECTION, generation=1, state=ConnectionState.REVOKED, problem=None)

    assert not await store.set_state(
        CONNECTION, generation=1, state=ConnectionState.UNCERTAIN, problem="x"
    )
    await store.end_attempt(
        intent,
        AttemptOutcome.UNKNOWN,
        at=START,
        spool_answered=True,
        state=ConnectionState.UNCERTAIN,
        problem="x",
    )

    loaded = await store.load(CONNECTION)
    assert loaded is not None
    assert loaded[0].state is ConnectionState.REVOKED


async def test_a_connection_that_is_being_ended_gets_no_token_set(base: Base) -> None:
    """Neither is an attempt begun: what it brought nobody would revoke."""
    await base.with_connection()
    store = base.stores.tokens
    intent = await base.begun()
    made, new = renewed()
    await base.stores.revocations.add(revocation(), [tokens().access_token])

    assert not await store.replace(made, new, attempt=intent)
    with pytest.raises(StaleWrite):
        await base.begun(id=AttemptId("att_two"))

    assert await store.load(CONNECTION) == (connection(), tokens())


async def test_a_late_answer_does_not_bring_an_ended_connection_back(base: Base) -> None:
    """Revoked it stays, also where its token set is gone and the generation still fits."""
    await base.with_connection()
    store = base.stores.tokens
    intent = await base.begun()
    made, new = renewed()
    await base.stores.revocations.add(revocation(), [tokens().access_token])
    await base.stores.revocations.done(revocation(), problem=None)

    assert not await store.replace(made, new, attempt=intent)

    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == connection(state=ConnectionState.REVOKED)
    assert await store.load(CONNECTION) is None


async def test_times_and_unusual_letters_survive(base: Base) -> None:
    """To the microsecond, and in any script."""
    odd = user(username="ådå+✓@example.org", email=None)
    await base.with_connection(
        org_name="Zürich 東京 🦊 'quoted' %_\\",
        user=odd,
        customer_id="кунде/1",
        session_life=timedelta(hours=2, microseconds=7),
        problem=None,
    )

    loaded = await base.stores.tokens.load(CONNECTION)

    assert loaded is not None
    assert loaded[0].org_name == "Zürich 東京 🦊 'quoted' %_\\"
    assert loaded[0].user == odd
    assert loaded[0].customer_id == "кунде/1"
    assert loaded[0].session_life == timedelta(hours=2, microseconds=7)
    assert loaded[1].received_at == START


async def test_a_silent_database_is_told_apart_from_no_token_set(base: Base) -> None:
    """Reading and writing fail by one name, and work again afterwards."""
    await base.with_connection()
    made, new = renewed()
    intent = await base.begun()
    await base.break_it()
    store = base.stores.tokens

    for asked in (
        store.load(CONNECTION),
        store.begin_attempt(attempt(id=AttemptId("att_two"), fence=1)),
        store.replace(made, new, attempt=intent),
        store.open_attempt(CONNECTION),
    ):
        with pytest.raises(StoreUnavailable):
            await asked

    await base.mend_it()
    assert await store.replace(made, new, attempt=intent)


async def test_attempts_that_are_kept_are_known(base: Base) -> None:
    """Of many that are asked for at once, and of none."""
    await base.with_connection()
    intent = await base.begun()
    store = base.stores.tokens

    assert await store.known([AttemptId("att_none"), intent.id]) == {intent.id}
    assert await store.known([]) == frozenset()


async def test_a_stored_attempt_at_the_generation_in_force_is_open(base: Base) -> None:
    """An older row was put back: what the attempt brought was in force already."""
    await base.with_connection()
    intent = await base.begun()
    stored = tokens(generation=2)
    assert await base.stores.tokens.replace(connection(generation=2), stored, attempt=intent)
    assert await base.stores.tokens.open_attempt(CONNECTION) is None

    await base.execute("UPDATE connections SET generation = 1")

    found = await base.stores.tokens.open_attempt(CONNECTION)
    assert found is not None
    assert (found.id, found.outcome) == (intent.id, AttemptOutcome.STORED)


async def test_that_a_token_is_used_up_is_kept_with_the_end_of_an_attempt(base: Base) -> None:
    """It is not presented once more."""
    await base.with_connection()
    intent = replace(await base.begun(), presented_again=True)

    await base.stores.tokens.end_attempt(
        intent, AttemptOutcome.UNKNOWN, at=START, spool_answered=False
    )

    kept = await base.stores.tokens.attempt(intent.id)
    assert kept is not None
    assert kept.presented_again
