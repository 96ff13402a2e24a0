"""`use_cases.present_assertion`: until one is taken, and no more logins than that needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from service.tests.support.fakes import claims_of, json_answer, refused
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    APP,
    CONNECTION,
    LOGIN_URL,
    PRIVATE_KEY,
    START,
    WORKSPACE,
    signing_key,
)

from keyturn_core.oauth.token_answer import NotProcessed, OutcomeUnknown
from keyturn_core.secrets import PrivateKey
from keyturn_service.domain.ids import SigningKeyId
from keyturn_service.domain.signing_key import SigningKeyState
from keyturn_service.use_cases.present_assertion import (
    Accepted,
    AssertionAsked,
    AssertionFailed,
)

LOGIN, TEST = "https://login.salesforce.com", "https://test.salesforce.com"
WRONG_AUDIENCE = refused("invalid_grant", "audience is invalid")
WRONG_KEY = refused("invalid_client", "invalid client credentials")
NOT_LET_IN = refused("invalid_grant", "user hasn't approved this consumer")


async def presented(replica: Replica, **given: Any) -> Accepted:
    """Present assertions for a user."""
    asked = AssertionAsked(
        workspace_id=WORKSPACE,
        app_id=APP,
        connection_id=CONNECTION,
        consumer_key="3MVG9.acme",
        username="iris@globex.example",
        login_url=LOGIN_URL,
        audiences=[LOGIN, TEST],
    )
    return await replica.present(asked, **given)


async def failure(replica: Replica, **given: Any) -> str:
    """Return why none is taken."""
    with pytest.raises(AssertionFailed) as failed:
        await presented(replica, **given)
    return failed.value.code


@pytest.fixture
async def signing(bare: Replica) -> Replica:
    """Return a replica whose app has a signing key."""
    await bare.with_signing_key()
    return bare


async def test_an_assertion_stands_for_the_user(signing: Replica, world: World) -> None:
    """By consumer key, user name and audience; the form has nothing else."""
    accepted = await presented(signing)

    [form] = world.org.presented
    assert set(form) == {"grant_type", "assertion"}
    assert claims_of(form) == {
        "iss": "3MVG9.acme",
        "sub": "iris@globex.example",
        "aud": LOGIN,
        "exp": int(START.timestamp()) + 150,
    }
    assert accepted.audience == LOGIN
    assert accepted.response.refresh_token is None
    assert world.signer.signed == [PRIVATE_KEY]


async def test_each_presentation_is_recorded_before_it_is_made(
    signing: Replica, world: World
) -> None:
    """With key, host and audience; the assertion itself stands nowhere."""
    await presented(signing)

    assert world.journal[-2:] == ["assertion.presented", f"present {LOGIN_URL}"]
    [event] = world.audit.of("assertion.presented")
    assert (event.workspace_id, event.connection_id) == (WORKSPACE, CONNECTION)
    assert event.detail == {
        "signing_key_id": "sk_one",
        "login_url": LOGIN_URL,
        "audience": LOGIN,
    }


async def test_the_next_audience_is_tried_where_one_is_wrong(
    signing: Replica, world: World
) -> None:
    """In the order given; the one that was taken is told."""
    world.org.next.append(WRONG_AUDIENCE)

    accepted = await presented(signing)

    assert [claims_of(form)["aud"] for form in world.org.presented] == [LOGIN, TEST]
    assert accepted.audience == TEST


async def test_where_no_audience_is_right_that_is_the_reason(
    signing: Replica, world: World
) -> None:
    """Each was asked once."""
    world.org.next.extend([WRONG_AUDIENCE, WRONG_AUDIENCE])

    assert await failure(signing) == "audience_invalid"
    assert len(world.org.presented) == 2


async def overlapping(replica: Replica) -> None:
    """Give the app a staged and a retired key beside the active one."""
    keys = replica.stores.signing_keys
    for name, state in (("next", SigningKeyState.STAGED), ("old", SigningKeyState.RETIRED)):
        made = signing_key(id=SigningKeyId(f"sk_{name}"), state=state, retired_at=START)
        assert await keys.add(made, PrivateKey(name))


@pytest.mark.parametrize("said", [WRONG_KEY, refused("invalid_grant", "invalid assertion")])
async def test_keys_overlap_while_a_certificate_is_changed(
    signing: Replica, world: World, said: Any
) -> None:
    """The staged one, then the retired one, where the active one's certificate is not there."""
    await overlapping(signing)
    world.org.next.extend([said, said])

    await presented(signing)

    assert world.signer.signed == [PRIVATE_KEY, "next", "old"]


async def test_where_no_key_is_known_the_active_ones_refusal_is_the_reason(
    signing: Replica, world: World
) -> None:
    """It is the one whose certificate should be there."""
    await overlapping(signing)
    world.org.next.extend([WRONG_KEY, refused("invalid_grant", "invalid assertion"), WRONG_KEY])

    assert await failure(signing) == "certificate_refused"
    assert len(world.org.presented) == 3


async def test_what_no_other_key_can_mend_is_not_tried_again(
    signing: Replica, world: World
) -> None:
    """Each refused assertion may count as a login."""
    await overlapping(signing)
    world.org.next.append(NOT_LET_IN)

    assert await failure(signing) == "user_not_preauthorized"
    assert len(world.org.presented) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (OutcomeUnknown("no answer"), "salesforce_unavailable"),
        (NotProcessed("no connection"), "salesforce_unavailable"),
        (json_answer(503), "salesforce_unavailable"),
        (json_answer(500), "salesforce_unavailable"),
        (json_answer(200, token_type="Bearer"), "unexpected_answer"),
        (refused("rate_limit_exceeded", "login rate exceeded"), "login_rate_exceeded"),
        (refused("invalid_grant", "something new"), "unknown_refusal"),
    ],
)
async def test_every_other_end_has_its_code(
    signing: Replica, world: World, answer: Any, code: str
) -> None:
    """A lost answer is no more than a Salesforce that does not answer: nothing was used up."""
    world.org.next.append(answer)

    assert await failure(signing) == code


async def test_nothing_is_sent_after_the_deadline(signing: Replica, world: World) -> None:
    """The lease is over: somebody else asks."""
    assert await failure(signing, deadline=world.clock.monotonic()) == "salesforce_unavailable"
    assert world.org.presented == []


async def test_without_a_signing_key_nothing_is_presented(bare: Replica, world: World) -> None:
    """Nor with one that was forgotten between a look and its use."""
    assert await failure(bare) == "signing_key_missing"

    await bare.with_signing_key()
    keys = bare.stores.signing_keys
    listed = await keys.list(WORKSPACE, APP)
    await keys.retire(signing_key(), at=START)
    late = _Remembered(keys, listed)
    with pytest.raises(AssertionFailed) as failed:
        await _presenting(bare, late)
    assert failed.value.code == "signing_key_missing"
    assert failed.value.refusal.who == "vendor"
    assert world.org.presented == []


class _Remembered:
    """Signing keys as they were."""

    def __init__(self, keys: Any, listed: Any) -> None:
        self._keys, self._listed = keys, listed

    async def list(self, workspace_id: str, app_id: str) -> Any:
        """Return the keys as they were."""
        assert (workspace_id, app_id) == (WORKSPACE, APP)
        return self._listed

    async def private_key(self, key: Any) -> Any:
        """Return the private half as it is."""
        return await self._keys.private_key(key)


async def _presenting(replica: Replica, keys: Any) -> None:
    present = type(replica.present)(
        keys=keys,
        signer=replica.present.signer,
        endpoint=replica.present.endpoint,
        audit=replica.present.audit,
        clock=replica.present.clock,
    )
    asked = AssertionAsked(
        workspace_id=WORKSPACE,
        app_id=APP,
        connection_id=None,
        consumer_key="3MVG9.acme",
        username="iris@globex.example",
        login_url=LOGIN_URL,
        audiences=[LOGIN],
    )
    await present(asked)


async def test_a_certificate_past_its_end_is_presented_all_the_same(
    bare: Replica, world: World
) -> None:
    """Whether Salesforce looks at it is not documented; it answers itself."""
    await bare.with_signing_key(not_after=START - timedelta(days=1))

    assert (await presented(bare)).audience == LOGIN
    assert len(world.org.presented) == 1
