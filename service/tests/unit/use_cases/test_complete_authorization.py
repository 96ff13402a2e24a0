"""`use_cases.complete_authorization`: the state, then the code, then the spool, then all else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from service.tests.support.fakes import fake_hash, json_answer, refused
from service.tests.support.replicas import Replica, World, parameters
from service.tests.support.values import (
    CALLBACK,
    CONNECTION,
    LOGIN_URL,
    OTHER_ORG,
    RETURN_URL,
    START,
    WORKSPACE,
)

from keyturn_core.oauth.pkce import code_challenge
from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown, TokenAnswer
from keyturn_core.secrets import CodeVerifier
from keyturn_service.domain.connect_session import (
    CONFIRMATION_LIFE,
    Delivery,
    SessionStatus,
    exchange_of,
    session_of,
)
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.ports import DeadlinePassed, StoreUnavailable
from keyturn_service.use_cases.complete_authorization import AuthorizationFailed


async def failure_of(asked: Awaitable[object]) -> AuthorizationFailed:
    """Return the failure that something ends with."""
    with pytest.raises(AuthorizationFailed) as failure:
        await asked
    return failure.value


async def gone(replica: Replica, **asked: Any) -> tuple[Any, str]:
    """Begin and press Connect; return the session's id and the state."""
    session, secret = await replica.connect.asked(**asked)
    sent = await replica.connect.pressed(secret)
    return session.id, sent["state"]


async def test_a_browser_comes_back_with_a_confirmation_code(bare: Replica) -> None:
    """To the vendor's return URL, with session and code; both work once, for ten minutes."""
    session_id, state = await gone(bare, return_url=f"{RETURN_URL}?tab=crm&empty=")

    done = await bare.connect.returned(state)

    said = parameters(done.redirect_url)
    assert done.redirect_url.startswith(f"{RETURN_URL}?tab=crm&empty=&")
    assert said["connect_session"] == session_id
    kept = await bare.connect.find(WORKSPACE, session_id)
    assert kept.status is SessionStatus.AWAITING_CONFIRMATION
    assert kept.confirmation_hash == fake_hash("confirmation", said["confirmation_code"])
    assert kept.confirmation_expires_at == START + CONFIRMATION_LIFE


async def test_nothing_can_be_used_before_it_is_confirmed(bare: Replica, world: World) -> None:
    """The tokens rest sealed beside the session; the connection is pending and has none."""
    _, state = await gone(bare)

    done = await bare.connect.returned(state)

    connection_id = done.session.connection_id
    assert connection_id is not None
    waiting = await world.connection(connection_id)
    assert (waiting.state, waiting.generation) == (ConnectionState.PENDING, 0)
    assert await bare.stores.tokens.load(connection_id) is None
    grant = await bare.stores.connect_sessions.pending_grant(done.session.id)
    assert grant is not None
    assert grant.access_token.reveal() == world.org.token_response()["access_token"]
    assert grant.expires_at == START + CONFIRMATION_LIFE


async def test_the_code_is_exchanged_with_its_verifier(bare: Replica, world: World) -> None:
    """At the login host of the trip, with callback and secret; the verifier fits the challenge."""
    session, secret = await bare.connect.asked()
    sent = await bare.connect.pressed(secret)

    await bare.connect.returned(sent["state"])

    [form] = world.org.presented
    assert form["grant_type"] == "authorization_code"
    assert (form["code"], form["redirect_uri"]) == ("aPrx-code==", CALLBACK)
    assert code_challenge(CodeVerifier(form["code_verifier"])) == sent["code_challenge"]
    assert f"present {LOGIN_URL}" in world.journal
    assert session.id in str(world.audit.of("code.presented")[0].detail)


async def test_what_came_is_on_the_spool_before_anything_looks_at_it(
    bare: Replica, world: World
) -> None:
    """Recorded, presented, spooled; the spool is told once the database knows."""
    _, state = await gone(bare)
    world.journal.clear()

    done = await bare.connect.returned(state)

    assert world.journal == [
        "code.presented",
        f"present {LOGIN_URL}",
        "spool.put",
        "spool.delivered",
        "connect_session.awaiting_confirmation",
    ]
    [kept] = bare.spool.kept.values()
    assert done.session.authorization is not None
    assert kept.attempt_id == exchange_of(done.session.id, done.session.authorization)
    assert session_of(kept.attempt_id) == done.session.id
    assert kept.login_url == LOGIN_URL
    assert (kept.status, kept.complete, kept.generation) == (200, True, 0)


async def test_a_full_disk_does_not_cost_a_grant(bare: Replica) -> None:
    """What is in our hands goes on."""
    _, state = await gone(bare)
    bare.spool.full = True

    done = await bare.connect.returned(state)

    assert done.session.status is SessionStatus.AWAITING_CONFIRMATION


@pytest.mark.parametrize("query", [{}, {"state": ""}, {"state": "of nobody"}])
async def test_an_unknown_state_leads_nowhere(
    bare: Replica, world: World, query: dict[str, str]
) -> None:
    """No session is named to whoever made the state up; the try is recorded."""
    session_id, _ = await gone(bare)

    failure = await failure_of(
        bare.connect.complete({"code": "x", **query}, browser=bare.connect.browser)
    )

    assert (failure.code, failure.session) == ("state_mismatch", None)
    assert world.org.presented == []
    [event] = world.audit.of("connect_session.refused")
    assert (event.workspace_id, event.detail) == (None, {"about": "unknown state"})
    kept = await bare.connect.find(WORKSPACE, session_id)
    assert kept.status is SessionStatus.AUTHORIZING


async def test_strangers_cannot_fill_the_audit(bare: Replica, world: World) -> None:
    """A flood of guessed states is recorded by the second, with how many were left out."""
    for _ in range(100):
        await failure_of(bare.connect.complete({"state": "guessed"}, browser=None))
    world.clock.advance(seconds=5)
    await failure_of(bare.connect.complete({"state": "guessed"}, browser=None))

    events = world.audit.of("connect_session.refused")
    assert len(events) == 61
    assert events[-1].detail == {"about": "unknown state", "left_out": 40}


@pytest.mark.parametrize("browser", [None, "", "another browser's cookie"])
async def test_another_browser_cannot_bring_the_answer(
    bare: Replica, world: World, browser: str | None
) -> None:
    """The code stays unused, and the session open for the browser it belongs to."""
    _, state = await gone(bare)

    failure = await failure_of(
        bare.connect.complete({"state": state, "code": "x"}, browser=browser)
    )

    assert (failure.code, failure.session) == ("state_mismatch", None)
    assert world.org.presented == []
    assert world.audit.types[-1] == "connect_session.refused"
    await bare.connect.returned(state)


async def test_an_answer_is_taken_once(bare: Replica, world: World) -> None:
    """The second time it is told so, and the first one's grant stays."""
    _, state = await gone(bare)
    await bare.connect.returned(state)

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "code_replayed"
    assert failure.session is not None
    assert failure.session.status is SessionStatus.AWAITING_CONFIRMATION
    assert len(world.org.presented) == 1
    assert await world.jobs() == []


async def test_of_two_answers_at_once_one_is_exchanged(bare: Replica, world: World) -> None:
    """A doubled click on a slow page does not present the code twice."""
    _, state = await gone(bare)

    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: object) -> TokenAnswer:
        begun.set()
        await go_on.wait()
        return json_answer(**world.org.token_response())

    world.org.next.append(hold)
    first = asyncio.create_task(bare.connect.returned(state))
    await begun.wait()
    failure = await failure_of(bare.connect.returned(state))
    go_on.set()
    await first

    assert failure.code == "code_replayed"
    assert len(world.org.presented) == 1


async def test_a_late_answer_is_refused_and_ends_its_session(bare: Replica, world: World) -> None:
    """After fifteen minutes the code is dead at Salesforce anyway."""
    session_id, state = await gone(bare)
    world.clock.advance(minutes=15)

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "session_expired"
    assert world.org.presented == []
    kept = await bare.stores.connect_sessions.get(WORKSPACE, session_id)
    assert kept is not None
    assert (kept.status, kept.problem) == (SessionStatus.EXPIRED, "session_expired")


async def test_a_late_answer_is_no_replay_though_its_session_has_been_ended(
    bare: Replica, world: World
) -> None:
    """Every minute a round ends what is overdue: the person is told the same as before it."""
    _, state = await gone(bare)
    world.clock.advance(minutes=16)
    await bare.connect.clean_up()

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "session_expired"
    assert failure.session is not None
    assert world.org.presented == []
    assert world.audit.of("connect_session.refused")[0].detail["about"] == "state too old"


async def test_an_answer_again_after_nobody_confirmed_the_first_is_a_replay(
    bare: Replica, world: World
) -> None:
    """Its code was used, whatever became of the session."""
    _, state = await gone(bare)
    await bare.connect.returned(state)
    world.clock.advance(minutes=16)
    await bare.connect.clean_up()

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "code_replayed"
    assert len(world.org.presented) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "OAUTH_APP_BLOCKED"}, "app_blocked"),
        (
            {
                "error": "invalid_request",
                "error_description": "App must be installed into org",
            },
            "app_not_installed",
        ),
        ({"error": "something_new"}, "unknown_refusal"),
        ({"code": ""}, "unexpected_answer"),
    ],
)
async def test_a_refusal_of_salesforces_ends_the_session_with_its_meaning(
    bare: Replica, world: World, query: dict[str, str], code: str
) -> None:
    """By the catalogue; the caller gets the session, to show what to do."""
    session_id, state = await gone(bare)

    failure = await failure_of(bare.connect.returned(state, **query))

    assert failure.code == code
    assert failure.session is not None
    kept = await bare.connect.find(WORKSPACE, session_id)
    assert (kept.status, kept.problem) == (SessionStatus.FAILED, code)
    assert world.org.presented == []
    [event] = world.audit.of("connect_session.failed")
    assert event.detail["problem"] == code


async def test_salesforces_own_words_stay_with_the_session(bare: Replica, world: World) -> None:
    """Fit to be shown, for whoever has to mend it; in the audit as well."""
    session_id, state = await gone(bare)

    await failure_of(
        bare.connect.returned(state, error="made_up", error_description="token 5Aep861 is odd")
    )

    kept = await bare.connect.find(WORKSPACE, session_id)
    assert kept.said == "made_up: token […] is odd"
    assert world.audit.of("connect_session.failed")[0].detail["said"] == kept.said


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused("invalid_grant", "expired authorization code"), "code_replayed"),
        (refused("invalid_grant", "invalid code verifier"), "code_verifier_invalid"),
        (refused("invalid_client_id"), "client_unknown"),
        (json_answer(nothing="useful"), "unexpected_answer"),
        (TokenAnswer(status=503, body=b"", complete=True), "salesforce_unavailable"),
        (TokenAnswer(status=502, body=b"<html>", complete=True), "salesforce_unavailable"),
        (TokenAnswer(status=200, body=b"{", complete=False), "salesforce_unavailable"),
        (NotProcessed("no connection"), "salesforce_unavailable"),
        (OutcomeUnknown("no status"), "salesforce_unavailable"),
        (DeadlinePassed(), "salesforce_unavailable"),
    ],
)
async def test_a_failed_exchange_ends_the_session(
    bare: Replica, world: World, answer: TokenAnswer | Exception, code: str
) -> None:
    """A code is presented once; whoever wants to go on presses Connect on a new link."""
    session_id, state = await gone(bare)
    world.org.next.append(answer)

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == code
    kept = await bare.connect.find(WORKSPACE, session_id)
    assert (kept.status, kept.problem) == (SessionStatus.FAILED, code)
    again = await failure_of(bare.connect.returned(state))
    assert again.code == "code_replayed"
    assert len(world.org.presented) == 1


async def test_without_consumer_credentials_no_code_is_presented(
    bare: Replica, world: World
) -> None:
    """They were taken away while the browser was at Salesforce."""
    _, state = await gone(bare)
    await world.base.execute("UPDATE apps SET consumer_key = NULL")

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "consumer_credentials_missing"
    assert world.org.presented == []


async def test_a_grant_that_is_refused_is_revoked(bare: Replica, world: World) -> None:
    """Whatever the org gave is given back; the session says why."""
    session_id, state = await gone(bare)
    world.directory.org_id = OTHER_ORG

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "unexpected_answer"
    said = world.org.token_response()
    assert await world.jobs() == [("refused", [said["refresh_token"], said["access_token"]])]
    assert bare.spool.open == []
    kept = await bare.connect.find(WORKSPACE, session_id)
    assert kept.status is SessionStatus.FAILED
    assert kept.connection_id is None
    assert await world.base.rows("SELECT count(*) FROM connections") == [(0,)]


async def test_a_refused_grant_without_a_refresh_token_is_revoked_too(
    bare: Replica, world: World
) -> None:
    """By its access token."""
    _, state = await gone(bare)
    world.org.members["refresh_token"] = None

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "scopes_missing"
    [(_, revoked)] = await world.jobs()
    assert revoked == [world.org.token_response()["access_token"]]


async def test_a_grant_whose_session_moved_on_is_revoked(bare: Replica, world: World) -> None:
    """Somebody was first while the org was asked: two grants for one session cannot be."""
    session_id, state = await gone(bare)

    async def overtake(form: object) -> TokenAnswer:
        kept = await bare.stores.connect_sessions.get(WORKSPACE, session_id)
        assert kept is not None
        await bare.stores.connect_sessions.replace(kept.failed("session_expired"))
        assert form
        return json_answer(**world.org.token_response())

    world.org.next.append(overtake)

    failure = await failure_of(bare.connect.returned(state))

    assert failure.code == "code_replayed"
    said = world.org.token_response()
    assert await world.jobs() == [("unconfirmed", [said["refresh_token"], said["access_token"]])]
    assert bare.spool.open == []


async def test_a_database_that_is_away_leaves_the_grant_on_the_spool(
    bare: Replica, world: World
) -> None:
    """It is revoked later, when the session's time is over: nothing is forgotten."""
    _, state = await gone(bare)

    async def break_down(form: object) -> TokenAnswer:
        assert form
        world.base.database.lose_before_commit = 1
        return json_answer(**world.org.token_response())

    world.org.next.append(break_down)
    with pytest.raises(StoreUnavailable):
        await bare.connect.returned(state)
    assert len(bare.spool.open) == 1

    world.clock.advance(minutes=15)
    assert await bare.deliver() == 1

    assert [reason for reason, _ in await world.jobs()] == ["unconfirmed"]


async def test_a_shared_link_gives_its_browser_no_code(bare: Replica) -> None:
    """An admin's browser ends on our page; the user who asked confirms the org elsewhere."""
    session_id, state = await gone(bare, delivery=Delivery.SHARED)

    done = await bare.connect.returned(state)

    assert done.redirect_url == f"https://keyturn.acme.example/connect/done/{session_id}"


async def test_a_reauthorization_keeps_its_connection(replica: Replica, world: World) -> None:
    """No new connection is made; the old one goes on serving until the confirmation."""
    session_id, state = await gone(replica, connection_id=CONNECTION)

    done = await replica.connect.returned(state)

    assert done.session.connection_id == CONNECTION
    assert await world.base.rows("SELECT count(*) FROM connections") == [(1,)]
    assert (await world.connection()).state is ConnectionState.ACTIVE
    assert (await world.tokens()).generation == 1
    [kept] = replica.spool.kept.values()
    assert kept.connection_id == CONNECTION
    [event] = world.audit.of("connect_session.awaiting_confirmation")
    assert event.connection_id == CONNECTION
    assert event.detail["connect_session_id"] == session_id


async def test_a_refused_reauthorization_names_its_connection(
    replica: Replica, world: World
) -> None:
    """In the trail and in the job; the connection itself stays as it was."""
    _, state = await gone(replica, connection_id=CONNECTION)
    world.org.org_id = world.directory.org_id = OTHER_ORG
    world.directory.hosts = dict.fromkeys(world.directory.hosts, OTHER_ORG)

    failure = await failure_of(replica.connect.returned(state))

    assert failure.code == "org_mismatch"
    assert (await world.connection()).state is ConnectionState.ACTIVE
    [event] = world.audit.of("connect_session.failed")
    assert event.connection_id == CONNECTION
    assert await world.base.rows("SELECT connection_id FROM revocations") == [(CONNECTION,)]
