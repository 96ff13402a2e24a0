"""`use_cases.change_signing_key`: another key signs, or one is forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    API_KEY,
    APP,
    HOUR,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    private_key,
    signing_key,
)

from keyturn_service.domain.errors import Conflict, NotFound
from keyturn_service.domain.ids import SigningKeyId
from keyturn_service.domain.signing_key import SigningKeyState
from keyturn_service.ports import SealRefused
from keyturn_service.use_cases.change_signing_key import ChangeSigningKey
from keyturn_service.vault.key_pairs import new_key_pair

ACTIVE, STAGED, RETIRED = SigningKeyState.ACTIVE, SigningKeyState.STAGED, SigningKeyState.RETIRED
ONE, TWO = SigningKeyId("sk_one"), SigningKeyId("sk_two")


@pytest.fixture
async def change(bare: Replica) -> ChangeSigningKey:
    """Return the use case, over an app with an active and a staged key."""
    keys = bare.stores.signing_keys
    await keys.add(signing_key(), private_key())
    await keys.add(signing_key(id=TWO, state=STAGED), private_key())
    return ChangeSigningKey(keys=keys, audit=bare.world.audit, clock=bare.world.clock)


async def states(change: ChangeSigningKey) -> dict[str, SigningKeyState]:
    """Return where each key stands."""
    return {key.id: key.state for key in await change.keys.list(WORKSPACE, APP)}


async def test_a_staged_key_takes_over(change: ChangeSigningKey, world: World) -> None:
    """The one that signed is retired and kept for a while."""
    key = await change.activate(WORKSPACE, APP, TWO, API_KEY)

    assert key == signing_key(id=TWO)
    assert await states(change) == {ONE: RETIRED, TWO: ACTIVE}
    assert await change.keys.private_key(signing_key()) is not None
    [event] = world.audit.of("signing_key.activated")
    assert event.detail["signing_key_id"] == TWO


async def test_a_retired_key_can_be_called_back(change: ChangeSigningKey) -> None:
    """Where the new certificate turns out to be the wrong one."""
    await change.activate(WORKSPACE, APP, TWO, API_KEY)

    back = await change.activate(WORKSPACE, APP, ONE, API_KEY)

    assert (back.state, back.retired_at) == (ACTIVE, None)
    assert await states(change) == {ONE: ACTIVE, TWO: RETIRED}


async def test_a_retired_key_forgets_its_private_half_at_once(
    change: ChangeSigningKey, world: World
) -> None:
    """The active one's too; doing it again does no harm and is not recorded twice."""
    key = await change.retire(WORKSPACE, APP, ONE, API_KEY)
    again = await change.retire(WORKSPACE, APP, ONE, API_KEY)

    gone = replace(signing_key(), state=RETIRED, retired_at=START, usable=False)
    assert key == again == gone
    assert await change.keys.private_key(gone) is None
    assert len(world.audit.of("signing_key.retired")) == 1


async def test_what_was_forgotten_signs_nothing_more(change: ChangeSigningKey) -> None:
    """It cannot be called back, also where it is forgotten at that moment."""
    await change.retire(WORKSPACE, APP, TWO, API_KEY)
    with pytest.raises(Conflict) as refused:
        await change.activate(WORKSPACE, APP, TWO, API_KEY)
    assert refused.value.code == "signing_key_forgotten"

    late = replace(change, keys=_Forgetful(change.keys))  # type: ignore[arg-type]
    with pytest.raises(Conflict):
        await late.activate(WORKSPACE, APP, ONE, API_KEY)
    assert (await states(change))[ONE] is RETIRED


async def test_a_key_whose_certificate_was_planted_is_not_activated(
    change: ChangeSigningKey, world: World
) -> None:
    """It can be retired all the same: its private half is forgotten."""
    pem = new_key_pair(name="Acme", not_before=START, not_after=START + HOUR).certificate_pem
    await world.base.execute(
        "UPDATE signing_keys SET certificate_pem = :pem WHERE id = :id", pem=pem, id=TWO
    )

    with pytest.raises(SealRefused):
        await change.activate(WORKSPACE, APP, TWO, API_KEY)

    assert world.audit.of("signing_key.activated") == []
    assert await states(change) == {ONE: ACTIVE, TWO: STAGED}
    assert not (await change.retire(WORKSPACE, APP, TWO, API_KEY)).usable


class _Forgetful:
    """Signing keys whose private halves are forgotten between a look and a change."""

    def __init__(self, keys):
        self._keys = keys

    async def get(self, *which):
        """Look."""
        return await self._keys.get(*which)

    async def is_certified(self, key):
        """Look, and have it forgotten."""
        found = await self._keys.is_certified(key)
        await self._keys.retire(key, at=START)
        return found

    async def activate(self, key, *, at):
        """Activate a key."""
        return await self._keys.activate(key, at=at)


async def test_cleaning_up_forgets_what_was_retired_a_week_ago(
    change: ChangeSigningKey, bare: Replica, world: World
) -> None:
    """Until then it can be called back."""
    await change.activate(WORKSPACE, APP, TWO, API_KEY)
    world.clock.advance(days=7)
    await bare.connect.clean_up()
    assert [key.usable for key in await change.keys.list(WORKSPACE, APP)] == [True, True]

    world.clock.advance(seconds=1)
    await bare.connect.clean_up()

    assert [key.usable for key in await change.keys.list(WORKSPACE, APP)] == [False, True]


@pytest.mark.parametrize("verb", ["activate", "retire"])
async def test_a_key_of_another_workspace_or_app_is_not_found(
    change: ChangeSigningKey, verb: str
) -> None:
    """Nor one that never was."""
    for which in ((OTHER_WORKSPACE, APP, ONE), (WORKSPACE, "app_two", ONE), (WORKSPACE, APP, "x")):
        with pytest.raises(NotFound):
            await getattr(change, verb)(*which, API_KEY)
