"""`use_cases.make_signing_key`: the first one signs at once, the next ones wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.fakes import FakeSigner
from service.tests.support.replicas import Replica, World
from service.tests.support.values import (
    API_KEY,
    APP,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    private_key,
    signing_key,
)

from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import SigningKeyId
from keyturn_service.domain.signing_key import SigningKey, SigningKeyState
from keyturn_service.use_cases.make_signing_key import MakeSigningKey

YEAR = timedelta(days=365)


@pytest.fixture
def make(bare: Replica) -> MakeSigningKey:
    """Return the use case."""
    world = bare.world
    return MakeSigningKey(
        apps=bare.stores.apps,
        keys=bare.stores.signing_keys,
        signer=FakeSigner(),
        audit=world.audit,
        clock=world.clock,
        randomness=bare.refresh.randomness,
    )


async def made(make: MakeSigningKey) -> SigningKey:
    """Make a key."""
    return await make(WORKSPACE, APP, API_KEY, life=YEAR)


async def test_the_first_key_is_active_at_once(make: MakeSigningKey, world: World) -> None:
    """Its private half is sealed, and its making recorded by the certificate's fingerprint."""
    key = await made(make)

    assert (key.state, key.source, key.usable) == (SigningKeyState.ACTIVE, "fake", True)
    assert await world.base.stores.signing_keys.list(WORKSPACE, APP) == [key]
    kept = await world.base.stores.signing_keys.private_key(key)
    assert kept is not None
    assert kept.reveal().endswith("private-key-1")
    [event] = world.audit.of("signing_key.made")
    assert (event.actor, event.workspace_id) == (API_KEY, WORKSPACE)
    assert event.detail == {
        "app_id": APP,
        "signing_key_id": key.id,
        "fingerprint": key.fingerprint,
    }


async def test_the_certificate_lives_as_long_as_asked(make: MakeSigningKey) -> None:
    """From an hour ago, because other clocks are behind; certificates count in seconds."""
    key = await made(make)

    whole = START.replace(microsecond=0)
    assert (key.not_before, key.not_after) == (whole - timedelta(hours=1), whole + YEAR)
    assert key.created_at == START


async def test_the_next_key_is_staged(make: MakeSigningKey) -> None:
    """Until its certificate stands in the app's settings."""
    await made(make)

    assert (await made(make)).state is SigningKeyState.STAGED


async def test_a_key_is_active_where_the_active_one_was_forgotten(
    make: MakeSigningKey, world: World
) -> None:
    """There is nothing that it would have to wait for."""
    first = await made(make)
    await world.base.stores.signing_keys.retire(first, at=START)

    assert (await made(make)).state is SigningKeyState.ACTIVE


async def test_of_two_first_keys_one_is_staged(make: MakeSigningKey, world: World) -> None:
    """Two replicas were asked at the same moment: one of them signs."""

    async def another():
        await world.base.stores.signing_keys.add(
            signing_key(id=SigningKeyId("sk_quicker")), private_key()
        )

    slow = MakeSigningKey(
        apps=make.apps,
        keys=_Late(make.keys, another),  # type: ignore[arg-type]
        signer=make.signer,
        audit=make.audit,
        clock=make.clock,
        randomness=make.randomness,
    )

    key = await made(slow)

    assert key.state is SigningKeyState.STAGED
    kept = await world.base.stores.signing_keys.list(WORKSPACE, APP)
    states = {one.id: one.state for one in kept}
    assert states == {"sk_quicker": SigningKeyState.ACTIVE, key.id: SigningKeyState.STAGED}


class _Late:
    """Signing keys that somebody else adds to after a look."""

    def __init__(self, keys, meanwhile):
        self._keys, self._meanwhile = keys, meanwhile

    async def list(self, workspace_id, app_id):
        """Look, and let the other one add its key."""
        found = await self._keys.list(workspace_id, app_id)
        await self._meanwhile()
        return found

    async def add(self, key, private_key):
        """Add a key."""
        return await self._keys.add(key, private_key)


async def test_an_app_of_another_workspace_is_not_found(make: MakeSigningKey) -> None:
    """Nothing is made for it."""
    with pytest.raises(NotFound):
        await make(OTHER_WORKSPACE, APP, API_KEY, life=YEAR)
    assert isinstance(make.signer, FakeSigner)
    assert make.signer.made == 0
