"""`use_cases.begin_authorization`: one browser, one host, one `state`, one code verifier."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from service.tests.support.fakes import fake_hash
from service.tests.support.replicas import Replica, World, parameters
from service.tests.support.values import CALLBACK, FACE, START, WORKSPACE, app

from keyturn_core.oauth.pkce import code_challenge
from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_service.domain.connect_session import STATE_LIFE, SessionStatus
from keyturn_service.domain.errors import ConnectRefused
from keyturn_service.use_cases.begin_authorization import BegunAuthorization

SANDBOX = LOGIN_HOSTS[Environment.SANDBOX]


async def press(replica: Replica, secret: str, **changes: Any) -> BegunAuthorization:
    """Press Connect in a browser without a cookie."""
    wanted: dict[str, Any] = {"environment": None, "my_domain": None, "browser": None} | changes
    return await replica.connect.begin(secret, **wanted)


async def code_of(replica: Replica, secret: str, **changes: Any) -> str:
    """Return the code that pressing Connect is refused with."""
    with pytest.raises(ConnectRefused) as refusal:
        await press(replica, secret, **changes)
    return refusal.value.code


async def test_the_browser_is_sent_with_all_that_the_answer_must_match(bare: Replica) -> None:
    """State, challenge, callback and consent; what is kept is hashed or sealed."""
    session, secret = await bare.connect.asked()

    begun = await press(bare, secret)

    asked = parameters(begun.url)
    kept = await bare.connect.find(WORKSPACE, session.id)
    verifier = await bare.stores.connect_sessions.take_verifier(session.id)
    assert kept.status is SessionStatus.AUTHORIZING
    assert kept.authorization is not None
    assert verifier is not None
    assert begun.url.startswith("https://login.salesforce.com/services/oauth2/authorize?")
    assert asked["redirect_uri"] == kept.authorization.redirect_uri == CALLBACK
    assert asked["client_id"] == "3MVG9.acme"
    assert asked["scope"] == "api refresh_token"
    assert asked["prompt"] == "login consent"
    assert (asked["code_challenge"], asked["code_challenge_method"]) == (
        code_challenge(verifier),
        "S256",
    )
    assert kept.authorization.state_hash == fake_hash("state", asked["state"])
    assert kept.authorization.browser_hash == fake_hash("browser", begun.browser)
    assert kept.authorization.expires_at == START + STATE_LIFE
    assert begun.session_id == session.id


async def test_no_secret_of_the_trip_is_kept_readable(bare: Replica, world: World) -> None:
    """Neither state, nor browser, nor verifier."""
    session, secret = await bare.connect.asked()
    begun = await press(bare, secret)
    dump = await world.base.dump()
    verifier = await bare.stores.connect_sessions.take_verifier(session.id)

    assert verifier is not None
    for value in (parameters(begun.url)["state"], begun.browser, verifier.reveal()):
        assert value.encode() not in dump
        assert value not in repr(world.audit.events)


async def test_a_forwarded_link_is_dead_once_connect_was_pressed(
    bare: Replica, world: World
) -> None:
    """Another browser is refused, with or without a cookie of its own; that is recorded."""
    _, secret = await bare.connect.asked()
    await press(bare, secret)

    assert await code_of(bare, secret) == "session_expired"
    assert await code_of(bare, secret, browser="another browser's") == "session_expired"

    events = world.audit.of("connect_session.refused")
    assert [one.detail["about"] for one in events] == ["another browser pressed Connect"] * 2


async def test_the_same_browser_may_press_again(bare: Replica) -> None:
    """It keeps its cookie; the earlier state is worth nothing any more."""
    session, secret = await bare.connect.asked()
    first = await press(bare, secret)

    second = await press(bare, secret, browser=first.browser)

    assert second.browser == first.browser
    states = [parameters(one.url)["state"] for one in (first, second)]
    by_state = bare.stores.connect_sessions.by_state
    assert await by_state(fake_hash("state", states[0])) is None
    found = await by_state(fake_hash("state", states[1]))
    assert found is not None
    assert found.id == session.id


async def test_a_cookie_of_another_session_is_taken_over(bare: Replica) -> None:
    """One browser may have several sessions open."""
    _, secret = await bare.connect.asked()

    begun = await press(bare, secret, browser="cookie of this browser")

    assert begun.browser == "cookie of this browser"


@pytest.mark.parametrize(
    ("session", "pressed", "host", "environment"),
    [
        ({}, {}, LOGIN_HOSTS[Environment.PRODUCTION], Environment.PRODUCTION),
        ({}, {"environment": Environment.SANDBOX}, SANDBOX, Environment.SANDBOX),
        ({"environment": Environment.SANDBOX}, {}, SANDBOX, Environment.SANDBOX),
        (
            {},
            {"my_domain": "globex--dev.sandbox.lightning.force.com"},
            "https://globex--dev.sandbox.my.salesforce.com",
            Environment.SANDBOX,
        ),
        (
            {},
            {"my_domain": "globex.my.site.com"},
            "https://globex.my.site.com",
            None,
        ),
        (
            {"my_domain": "globex"},
            {"my_domain": "attacker.example"},
            "https://globex.my.salesforce.com",
            Environment.PRODUCTION,
        ),
        (
            {"my_domain": "globex.my.site.com", "environment": Environment.SANDBOX},
            {},
            "https://globex.my.site.com",
            Environment.SANDBOX,
        ),
    ],
)
async def test_the_host_is_the_vendors_choice_then_the_users(
    bare: Replica,
    session: dict[str, Any],
    pressed: dict[str, Any],
    host: str,
    environment: Environment | None,
) -> None:
    """A host given with the session stands; the environment is noted as far as it is known."""
    made, secret = await bare.connect.asked(**session)

    begun = await press(bare, secret, **pressed)

    kept = await bare.connect.find(WORKSPACE, made.id)
    assert kept.authorization is not None
    assert begun.url.startswith(f"{host}/services/oauth2/authorize?")
    assert (kept.authorization.login_url, kept.authorization.environment) == (host, environment)


@pytest.mark.parametrize(
    "typed", ["attacker.example", "https://attacker.example/my.salesforce.com"]
)
async def test_a_host_that_is_not_salesforces_is_refused(
    bare: Replica, world: World, typed: str
) -> None:
    """And the refusal recorded; the user may try again."""
    _, secret = await bare.connect.asked()

    assert await code_of(bare, secret, my_domain=typed) == "host_refused"

    assert world.audit.types[-1] == "connect_session.refused"
    await press(bare, secret, my_domain="globex")


async def test_a_development_worlds_faces_have_hosts_of_their_own(bare: Replica) -> None:
    """By the face that the session came by; other faces keep the app's."""
    world_host = Origin("http://127.0.0.1:4711")
    bare.connect.begin = replace(
        bare.connect.begin, face_login_hosts={FACE: {Environment.PRODUCTION: world_host}}
    )
    _, secret = await bare.connect.asked()

    begun = await press(bare, secret)

    assert begun.url.startswith(f"{world_host}/services/oauth2/authorize?")


async def test_a_face_without_a_callback_connects_nobody(bare: Replica) -> None:
    """Salesforce would refuse it later, with less to say."""
    _, secret = await bare.connect.asked(origin="https://another.example")

    assert await code_of(bare, secret) == "callback_not_registered"


async def test_an_app_without_credentials_connects_nobody(bare: Replica, world: World) -> None:
    """The vendor is told what is missing."""
    _, secret = await bare.connect.asked()
    await world.base.execute("UPDATE apps SET consumer_key = NULL")

    assert await code_of(bare, secret) == "consumer_credentials_missing"
    assert app().consumer_key is None


async def test_of_two_browsers_at_once_one_goes_on(bare: Replica) -> None:
    """Both looked at an open session; the version lets one of them through."""
    session, secret = await bare.connect.asked()
    opened = await bare.connect.open_link(secret)
    await press(bare, secret)

    class Stale:
        """A link as the second browser saw it, a moment ago."""

        async def __call__(self, link_secret: str) -> object:
            assert link_secret == secret
            return opened

    bare.connect.begin = replace(bare.connect.begin, open_link=Stale())  # type: ignore[arg-type]

    assert await code_of(bare, secret) == "session_expired"
    kept = await bare.connect.find(WORKSPACE, session.id)
    assert kept.version == 2


async def test_a_session_that_lost_its_trip_is_no_browsers(bare: Replica, world: World) -> None:
    """An authorizing session without a trip is refused to everybody."""
    session, secret = await bare.connect.asked()
    await bare.stores.connect_sessions.replace(replace(session, status=SessionStatus.AUTHORIZING))

    assert await code_of(bare, secret, browser="any") == "session_expired"
    assert world.audit.types[-1] == "connect_session.refused"


async def test_pressing_connect_is_recorded_with_its_host(bare: Replica, world: World) -> None:
    """By nobody of ours: the user did it."""
    _, secret = await bare.connect.asked()

    await press(bare, secret)

    [event] = world.audit.of("connect_session.authorization_begun")
    assert (event.actor, event.detail["about"]) == ("user", "https://login.salesforce.com")
