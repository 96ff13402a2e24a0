"""`ports.ConnectSessions`: sessions, their code verifiers and pending grants."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    ACCESS,
    APP,
    CONNECTION,
    HOUR,
    ORG,
    OTHER_WORKSPACE,
    REFRESH,
    SESSION,
    START,
    VERIFIER,
    WORKSPACE,
    attempt,
    authorization,
    awaiting,
    connection,
    grant,
    hash_of,
    in_force,
    pending,
    revocation,
    session,
    tokens,
    user,
)
from sqlalchemy.exc import IntegrityError

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.secrets import AccessToken, CodeVerifier, RefreshToken
from keyturn_service.domain.connect_session import ConnectSession, Delivery, SessionStatus
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import (
    AppId,
    ConnectionId,
    ConnectSessionId,
    RevocationId,
    WorkspaceId,
)
from keyturn_service.ports import (
    PendingGrant,
    RevocationReason,
    StaleWrite,
    StoreUnavailable,
    ToRevoke,
)

SECOND = ConnectSessionId("cs_two")
EARLIER = ToRevoke(
    revocation=revocation(ends_connection=False, reason=RevocationReason.SUPERSEDED),
    tokens=[RefreshToken(REFRESH)],
)


def unconfirmed(name: str = "rev_one") -> ToRevoke:
    """Return the job that ends the pending grant."""
    made = revocation(
        id=RevocationId(name), ends_connection=False, reason=RevocationReason.UNCONFIRMED
    )
    return ToRevoke(revocation=made, tokens=[RefreshToken(REFRESH), AccessToken(ACCESS)])


def completed(waiting: ConnectSession) -> ConnectSession:
    """Return the kept session as a confirmation leaves it."""
    return replace(
        waiting, status=SessionStatus.COMPLETED, confirmation_hash=None, version=waiting.version + 1
    )


async def waiting_session(base: Base) -> ConnectSession:
    """Keep a session with a pending grant for a new connection."""
    sessions = base.stores.connect_sessions
    await sessions.add(awaiting())
    assert await sessions.await_confirmation(awaiting(), grant(), new_connection=pending())
    return awaiting()


async def waiting_again(base: Base) -> ConnectSession:
    """Keep a session with a pending grant for the connection that is in force."""
    again = awaiting(id=SECOND, link_hash=hash_of("two"), authorization=None)
    await base.stores.connect_sessions.add(again)
    assert await base.stores.connect_sessions.await_confirmation(
        again, grant(session_id=SECOND), new_connection=None
    )
    return again


@pytest.mark.parametrize(
    "kept",
    [
        session(),
        session(
            environment=Environment.SANDBOX,
            login_url=Origin("https://globex.my.salesforce.com"),
            reauthorizes=CONNECTION,
            delivery=Delivery.SHARED,
            return_url="https://app.acme.example/søk?q=東京&x=%20",
        ),
        session(status=SessionStatus.AUTHORIZING, authorization=authorization(environment=None)),
        awaiting(user=user(email=None), org_name=None),
        awaiting().failed("access_denied"),
        awaiting(status=SessionStatus.COMPLETED, confirmed_by=hash_of("the request")),
    ],
)
async def test_a_session_comes_back_as_it_was_kept(base: Base, kept: ConnectSession) -> None:
    """Every part of it, at every step, to the microsecond."""
    await base.stores.connect_sessions.add(kept)

    assert await base.stores.connect_sessions.get(WORKSPACE, SESSION) == kept


async def test_a_session_is_found_in_its_workspace_only(base: Base) -> None:
    """Another workspace has no such session, nor is there any other."""
    await base.stores.connect_sessions.add(session())

    assert await base.stores.connect_sessions.get(OTHER_WORKSPACE, SESSION) is None
    assert await base.stores.connect_sessions.get(WORKSPACE, SECOND) is None


async def test_a_session_is_found_by_its_link_and_its_state(base: Base) -> None:
    """By the keyed hashes alone, and not before it went to Salesforce."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())

    assert await sessions.by_link(hash_of("link")) == session()
    assert await sessions.by_link(hash_of("another")) is None
    assert await sessions.by_state(hash_of("state")) is None

    gone = session(status=SessionStatus.AUTHORIZING, authorization=authorization())
    assert await sessions.replace(gone)
    assert await sessions.by_state(hash_of("state")) == replace(gone, version=2)


async def test_a_new_trip_makes_the_old_state_unknown(base: Base) -> None:
    """Whoever presses Connect again uses a `state` of its own."""
    sessions = base.stores.connect_sessions
    first = session(status=SessionStatus.AUTHORIZING, authorization=authorization())
    await sessions.add(first)

    again = replace(first, authorization=authorization(state_hash=hash_of("another")))
    assert await sessions.replace(again)

    assert await sessions.by_state(hash_of("state")) is None
    assert await sessions.by_state(hash_of("another")) is not None


async def test_two_sessions_have_two_links(base: Base) -> None:
    """A link names one session."""
    await base.stores.connect_sessions.add(session())

    with pytest.raises(IntegrityError):
        await base.stores.connect_sessions.add(session(id=SECOND))


async def test_a_replacement_of_an_older_version_changes_nothing(base: Base) -> None:
    """Who comes second is told so."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())
    assert await sessions.replace(session(customer_id="first"))

    assert not await sessions.replace(session(customer_id="second"))

    kept = await sessions.get(WORKSPACE, SESSION)
    assert kept is not None
    assert (kept.customer_id, kept.version) == ("first", 2)


async def test_of_many_replacements_at_once_one_is_kept(base: Base) -> None:
    """However many browsers press Connect at the same moment."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())

    kept = await asyncio.gather(*(sessions.replace(session()) for _ in range(6)))

    assert sorted(kept) == [False] * 5 + [True]


async def test_a_verifier_is_taken_once(base: Base) -> None:
    """It is kept with the trip and forgotten with the first taking."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())
    assert await sessions.replace(session(), verifier=CodeVerifier(VERIFIER))

    assert await sessions.take_verifier(SESSION) == CodeVerifier(VERIFIER)
    assert await sessions.take_verifier(SESSION) is None
    assert await sessions.take_verifier(SECOND) is None


async def test_of_many_that_take_the_verifier_at_once_one_has_it(base: Base) -> None:
    """An authorization code is exchanged once, however often its answer comes."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())
    await sessions.replace(session(), verifier=CodeVerifier(VERIFIER))

    async with base.replica("spool_two") as other:
        taken = await asyncio.gather(
            *(
                stores.connect_sessions.take_verifier(SESSION)
                for stores in (base.stores, other)
                for _ in range(3)
            )
        )

    assert len([verifier for verifier in taken if verifier is not None]) == 1


async def test_a_verifier_of_a_lost_race_is_not_kept(base: Base) -> None:
    """The verifier belongs to the trip that was kept."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())
    await sessions.replace(session(), verifier=CodeVerifier(VERIFIER))

    assert not await sessions.replace(session(), verifier=CodeVerifier("x" * 43))

    assert await sessions.take_verifier(SESSION) == CodeVerifier(VERIFIER)


@pytest.mark.parametrize(
    "kept", [grant(), grant(refresh_token=None, org_name=None, user=user(email=None))]
)
async def test_a_pending_grant_comes_back_opened(base: Base, kept: PendingGrant) -> None:
    """With its tokens, and the new connection beside it as pending."""
    sessions = base.stores.connect_sessions
    await sessions.add(awaiting())

    assert await sessions.await_confirmation(awaiting(), kept, new_connection=pending())

    assert await sessions.pending_grant(SESSION) == kept
    assert await base.stores.connections.get(WORKSPACE, CONNECTION) == pending()
    found = await sessions.get(WORKSPACE, SESSION)
    assert found == awaiting(version=2)


async def test_there_may_be_no_pending_grant(base: Base) -> None:
    """Neither for a session without one, nor for no session."""
    await base.stores.connect_sessions.add(session())

    assert await base.stores.connect_sessions.pending_grant(SESSION) is None
    assert await base.stores.connect_sessions.pending_grant(SECOND) is None


async def test_a_grant_that_comes_second_is_not_kept(base: Base) -> None:
    """Neither it nor its connection: somebody was first with the session."""
    sessions = base.stores.connect_sessions
    await sessions.add(awaiting())
    await sessions.replace(awaiting())

    assert not await sessions.await_confirmation(awaiting(), grant(), new_connection=pending())

    assert await sessions.pending_grant(SESSION) is None
    assert await base.stores.connections.get(WORKSPACE, CONNECTION) is None


async def test_awaiting_a_confirmation_is_all_or_nothing(base: Base) -> None:
    """Where the connection cannot be kept, neither grant nor step is."""
    sessions = base.stores.connect_sessions
    await sessions.add(awaiting())
    await base.refuse("INSERT", "connections")

    with pytest.raises(IntegrityError):
        await sessions.await_confirmation(awaiting(), grant(), new_connection=pending())

    await base.allow("connections")
    assert await sessions.pending_grant(SESSION) is None
    assert await sessions.get(WORKSPACE, SESSION) == awaiting()


async def test_a_confirmation_puts_the_grant_in_force(base: Base) -> None:
    """Connection, token set and session change together; nothing was superseded."""
    waiting = await waiting_session(base)
    sessions = base.stores.connect_sessions

    await sessions.confirm(completed(waiting), connection(), tokens(), superseded=None)

    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())
    assert await sessions.pending_grant(SESSION) is None
    kept = await sessions.get(WORKSPACE, SESSION)
    assert kept is not None
    assert (kept.status, kept.version) == (SessionStatus.COMPLETED, 3)


async def test_a_confirmation_is_done_once(base: Base) -> None:
    """Of two that come at once, one is told that it came too late."""
    waiting = await waiting_session(base)
    sessions = base.stores.connect_sessions
    done = completed(waiting)

    ended = await asyncio.gather(
        sessions.confirm(done, connection(), tokens(), superseded=None),
        sessions.confirm(done, connection(), tokens(), superseded=None),
        return_exceptions=True,
    )

    assert sorted(type(one).__name__ for one in ended) == ["NoneType", "StaleWrite"]
    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())


async def test_a_reauthorization_is_kept_with_what_it_supersedes(base: Base) -> None:
    """The new token set serves, and the earlier one is a job, sealed anew."""
    await base.with_connection()
    again = await waiting_again(base)
    made = connection(generation=2, authorized_at=START + HOUR)
    new = tokens(generation=2, access_token=AccessToken("new"), refresh_token=None)

    await base.stores.connect_sessions.confirm(completed(again), made, new, superseded=EARLIER)

    assert await base.stores.tokens.load(CONNECTION) == (made, new)
    assert await base.stores.revocations.open(EARLIER.revocation.id) == (
        EARLIER.revocation,
        EARLIER.tokens,
    )


async def test_what_is_superseded_and_does_not_open_is_given_up(base: Base) -> None:
    """It is on record that it was not ended; no worker gets it."""
    await base.with_connection()
    again = await waiting_again(base)

    await base.stores.connect_sessions.confirm(
        completed(again),
        connection(generation=2),
        tokens(generation=2),
        superseded=replace(EARLIER, tokens=None),
    )

    found = await base.rows("SELECT due_at, tokens, problem FROM revocations")
    assert found == [(None, None, "does_not_open")]
    assert await base.stores.revocations.given_up(CONNECTION)
    assert await base.stores.revocations.open(EARLIER.revocation.id) is None


async def test_a_reauthorization_ends_what_was_foreseen(base: Base) -> None:
    """Attempts of the grant before at generations with the same numbers."""
    await base.with_connection()
    again = await waiting_again(base)
    lease = await base.stores.leases.acquire(CONNECTION, ttl=HOUR)
    assert lease is not None
    await base.stores.tokens.foresee(attempt(generation=2, fence=lease.fence))

    await base.stores.connect_sessions.confirm(
        completed(again), connection(generation=2), tokens(generation=2), superseded=None
    )

    assert await base.stores.tokens.open_attempt(CONNECTION) is None


async def test_a_confirmation_after_a_refresh_changes_nothing(base: Base) -> None:
    """The connection changed meanwhile: whoever confirms has to look again."""
    await base.with_connection()
    again = await waiting_again(base)
    stale = connection(generation=1)

    with pytest.raises(StaleWrite):
        await base.stores.connect_sessions.confirm(
            completed(again), stale, tokens(), superseded=EARLIER
        )

    assert await base.rows("SELECT id FROM revocations") == []
    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())
    assert await base.stores.connect_sessions.pending_grant(SECOND) is not None


@pytest.mark.parametrize("table", ["token_sets", "revocations"])
async def test_a_confirmation_is_all_or_nothing(base: Base, table: str) -> None:
    """Where tokens or job cannot be kept, session and connection stay as they were."""
    waiting = await waiting_session(base)
    sessions = base.stores.connect_sessions
    await base.refuse("INSERT", table)

    with pytest.raises(IntegrityError):
        await sessions.confirm(completed(waiting), connection(), tokens(), superseded=EARLIER)

    await base.allow(table)
    assert await sessions.pending_grant(SESSION) == grant()
    assert await base.stores.connections.get(WORKSPACE, CONNECTION) == pending()
    assert await base.stores.tokens.load(CONNECTION) is None
    assert await base.rows("SELECT id FROM revocations") == []
    await sessions.confirm(completed(waiting), connection(), tokens(), superseded=None)


async def test_reauthorizing_ends_a_running_end(base: Base) -> None:
    """A connection that was being disconnected serves again; the old job does not end it."""
    await base.with_connection()
    await base.stores.revocations.add(revocation(), [tokens().access_token])
    again = await waiting_again(base)
    made = connection(generation=2)
    new = tokens(generation=2)
    await base.stores.connect_sessions.confirm(completed(again), made, new, superseded=None)

    await base.stores.revocations.done(revocation(), problem=None)

    serving = await base.stores.serving.read(CONNECTION, key_hash=b"")
    assert (serving.connection, serving.ending) == (made.in_use(), False)
    assert serving.tokens == in_force(generation=2)


async def test_a_dropped_grant_is_to_be_revoked_once(base: Base) -> None:
    """Its connection, which nobody confirmed, is revoked; the session keeps why it ended."""
    waiting = await waiting_session(base)
    sessions = base.stores.connect_sessions
    expired = replace(waiting, version=2).failed("session_expired")
    jobs = [unconfirmed("rev_one"), unconfirmed("rev_two")]

    dropped = await asyncio.gather(
        *(sessions.drop_pending(expired, unconfirmed=job) for job in jobs)
    )

    assert sorted(dropped) == [False, True]
    kept = await base.stores.connections.get(WORKSPACE, CONNECTION)
    assert kept == pending(state=ConnectionState.REVOKED, problem="session_expired")
    ended = await sessions.get(WORKSPACE, SESSION)
    assert ended is not None
    assert (ended.status, ended.problem) == (SessionStatus.EXPIRED, "session_expired")
    assert await sessions.pending_grant(SESSION) is None
    opened = [await base.stores.revocations.open(job.revocation.id) for job in jobs]
    assert opened == [
        (job.revocation, job.tokens) if was else None
        for job, was in zip(jobs, dropped, strict=True)
    ]


async def test_dropping_a_reauthorization_leaves_the_connection_in_force(base: Base) -> None:
    """Only a connection that was pending on the grant ends with it."""
    await base.with_connection()
    again = await waiting_again(base)

    assert await base.stores.connect_sessions.drop_pending(
        replace(again, version=2).failed("session_expired"), unconfirmed=unconfirmed()
    )

    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())


async def test_dropping_a_grant_is_all_or_nothing(base: Base) -> None:
    """Where its revocation cannot be kept, the grant is still there."""
    waiting = await waiting_session(base)
    sessions = base.stores.connect_sessions
    expired = replace(waiting, version=2).failed("session_expired")
    await base.refuse("INSERT", "revocations")

    with pytest.raises(IntegrityError):
        await sessions.drop_pending(expired, unconfirmed=unconfirmed())

    await base.allow("revocations")
    assert await sessions.pending_grant(SESSION) == grant()
    assert await base.stores.connections.get(WORKSPACE, CONNECTION) == pending()
    assert await sessions.drop_pending(expired, unconfirmed=unconfirmed())


async def test_a_grant_is_not_dropped_by_who_comes_second(base: Base) -> None:
    """A confirmed grant, an older version, or none: nothing happens."""
    waiting = await waiting_session(base)
    sessions = base.stores.connect_sessions
    job = unconfirmed()

    expired = waiting.failed("session_expired")
    assert not await sessions.drop_pending(expired, unconfirmed=job)
    assert await sessions.pending_grant(SESSION) == grant()

    await sessions.confirm(completed(waiting), connection(), tokens(), superseded=None)
    late = replace(waiting, version=3).failed("session_expired")
    assert not await sessions.drop_pending(late, unconfirmed=job)
    assert not await sessions.drop_pending(session(id=SECOND), unconfirmed=job)
    assert await base.stores.tokens.load(CONNECTION) == (connection(), tokens())
    assert await base.rows("SELECT id FROM revocations") == []


async def test_overdue_sessions_are_found_by_the_end_of_their_step(base: Base) -> None:
    """The link's, the trip's, the confirmation's; oldest first, and only so many."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())
    trip = authorization(state_hash=hash_of("state"), expires_at=START + timedelta(minutes=15))
    authorizing = session(
        id=SECOND,
        link_hash=hash_of("two"),
        status=SessionStatus.AUTHORIZING,
        authorization=trip,
    )
    await sessions.add(authorizing)
    waiting = awaiting(
        id=ConnectSessionId("cs_three"), link_hash=hash_of("three"), authorization=None
    )
    await sessions.add(waiting)

    async def overdue(minutes: int, limit: int = 10, after: str | None = None) -> list[str]:
        behind = None if after is None else ConnectSessionId(after)
        now = START + timedelta(minutes=minutes)
        found = await sessions.overdue(now, after=behind, limit=limit)
        return [one if isinstance(one, str) else one.id for one in found]

    assert await overdue(9) == []
    assert await overdue(10) == ["cs_three"]
    assert await overdue(15) == ["cs_three", "cs_two"]
    assert await overdue(30) == ["cs_one", "cs_three", "cs_two"]
    assert await overdue(30, limit=2) == ["cs_one", "cs_three"]
    assert await overdue(30, limit=2, after="cs_three") == ["cs_two"]


async def test_a_session_whose_end_is_kept_is_not_overdue(base: Base) -> None:
    """It is looked at once."""
    sessions = base.stores.connect_sessions
    await sessions.add(session())
    assert await sessions.replace(session().failed("session_expired"))

    assert await sessions.overdue(START + 10 * HOUR, after=None, limit=10) == []


async def test_sessions_that_ended_long_ago_are_forgotten(base: Base) -> None:
    """A limited number at once; none that goes on, that is younger, or that has a grant yet."""
    sessions = base.stores.connect_sessions
    names = ["cs_a", "cs_b", "cs_c", "cs_goes_on", "cs_granted", "cs_younger"]
    for name in names:
        at = START + HOUR if name == "cs_younger" else START
        made = session(id=ConnectSessionId(name), link_hash=hash_of(name), created_at=at)
        await sessions.add(made)
        if name != "cs_goes_on":
            assert await sessions.replace(made.failed("session_expired"))
    await base.execute("UPDATE connect_sessions SET pending_grant = 'x' WHERE id = 'cs_granted'")

    async def left() -> list[str]:
        rows = await base.rows("SELECT id FROM connect_sessions ORDER BY id")
        return [row[0] for row in rows]

    assert await sessions.forget(created_before=START, limit=10) == 0
    assert await left() == names

    after = START + HOUR
    assert [await sessions.forget(created_before=after, limit=2) for _ in range(3)] == [2, 1, 0]
    assert await left() == ["cs_goes_on", "cs_granted", "cs_younger"]


async def test_a_silent_database_is_told_apart_from_no_session(base: Base) -> None:
    """A link is not called unknown because nobody could look."""
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await base.stores.connect_sessions.by_link(hash_of("link"))
    with pytest.raises(StoreUnavailable):
        await base.stores.connect_sessions.add(session())


async def test_the_session_names_the_org_that_was_seen(base: Base) -> None:
    """What a shared delivery shows to the user who asked."""
    await waiting_session(base)

    kept = await base.stores.connect_sessions.get(WORKSPACE, SESSION)

    assert kept is not None
    assert (kept.org_id, kept.org_name, kept.user) == (ORG, "Globex", user())
    assert kept.connection_id == ConnectionId("con_one")


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ((None, None), True),
        ((WORKSPACE, None), True),
        ((WORKSPACE, APP), True),
        ((None, APP), True),
        ((OTHER_WORKSPACE, None), False),
        ((WORKSPACE, AppId("app_two")), False),
    ],
)
async def test_what_waits_for_its_confirmation_is_found_by_its_scope(
    base: Base, scope: tuple[WorkspaceId | None, AppId | None], *, found: bool
) -> None:
    """And nothing else: not what is open, and not what is over."""
    waiting = await waiting_session(base)
    sessions = base.stores.connect_sessions
    await sessions.add(session(id=SECOND, link_hash=hash_of("two")))

    assert [one.id for one in await sessions.awaiting(*scope)] == [waiting.id][: int(found)]

    kept = await sessions.get(WORKSPACE, waiting.id)
    assert kept is not None
    assert await sessions.drop_pending(kept.failed("session_expired"), unconfirmed=None)
    assert list(await sessions.awaiting(*scope)) == []
