"""A certificate planted in the database is not handed to whoever puts it into Salesforce."""

from __future__ import annotations

import json
from typing import Any

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import (
    APP,
    OTHER_WORKSPACE,
    START,
    WORKSPACE,
    app,
    private_key,
    signing_key,
)

from keyturn_service.domain.ids import AppId, SigningKeyId
from keyturn_service.domain.signing_key import SigningKey, SigningKeyState
from keyturn_service.ports import MadeKey, SealRefused
from keyturn_service.use_cases.change_signing_key import ChangeSigningKey
from keyturn_service.vault.key_pairs import new_key_pair

ACTIVE, STAGED, RETIRED = SigningKeyState.ACTIVE, SigningKeyState.STAGED, SigningKeyState.RETIRED
ONE, TWO = SigningKeyId("sk_one"), SigningKeyId("sk_two")
each_key = pytest.mark.parametrize("planted", [ONE, TWO])


def theirs() -> MadeKey:
    """Return a key pair of somebody else, who names it as ours."""
    key = signing_key()
    return new_key_pair(
        name="Acme for Salesforce", not_before=key.not_before, not_after=key.not_after
    )


@pytest.fixture
async def keys(base: Base):
    """Return the store, with an active and a staged key of an app."""
    assert await base.stores.signing_keys.add(signing_key(), private_key())
    assert await base.stores.signing_keys.add(signing_key(id=TWO, state=STAGED), private_key())
    return base.stores.signing_keys


async def handed_out(keys) -> list[SigningKey]:
    """Return the keys that are listed for the vendor."""
    return [key for key in await keys.list(WORKSPACE, APP) if await keys.is_certified(key)]


async def refusals_of(base: Base) -> list[dict[str, Any]]:
    """Return what the audit says of refused rows, in order."""
    rows = await base.rows(
        "SELECT detail FROM audit_events WHERE type = 'vault.seal_refused' ORDER BY at, sequence"
    )
    return [json.loads(detail) for (detail,) in rows]


async def test_certificates_made_here_are_handed_out(keys, base: Base) -> None:
    """Those of keys whose private half was forgotten too: they are retired, and say so."""
    await keys.retire(signing_key(id=TWO), at=START)

    assert [(key.id, key.state) for key in await handed_out(keys)] == [
        (ONE, ACTIVE),
        (TWO, RETIRED),
    ]
    assert await refusals_of(base) == []


@each_key
@pytest.mark.parametrize("more", ["{theirs}", "{own}{theirs}", "{theirs}{own}", "no certificate"])
async def test_a_planted_certificate_is_not_handed_out(
    keys, base: Base, planted: SigningKeyId, more: str
) -> None:
    """Nor is it activated, alone or beside the right one; the audit says where it is."""
    pem = more.format(theirs=theirs().certificate_pem, own=signing_key().certificate_pem)
    await base.execute(
        "UPDATE signing_keys SET certificate_pem = :pem WHERE id = :id", pem=pem, id=planted
    )

    assert [key.id for key in await handed_out(keys)] == [TWO if planted == ONE else ONE]
    change = ChangeSigningKey(keys=keys, audit=base.audit_log(), clock=base.clock)
    with pytest.raises(SealRefused):
        await change.activate(WORKSPACE, APP, planted, "key_one")

    where = {(said["table"], said["row"], said["column"]) for said in await refusals_of(base)}
    assert where == {("signing_keys", planted, "certificate_pem")}
    assert [key.state for key in await keys.list(WORKSPACE, APP)] == [ACTIVE, STAGED]


@pytest.mark.parametrize("state", [ACTIVE, STAGED])
async def test_what_is_to_sign_without_a_private_half_is_not_handed_out(
    keys, base: Base, state: SigningKeyState
) -> None:
    """Keys whose private half was forgotten are retired: this one was planted."""
    planted = ONE if state is ACTIVE else TWO
    await base.execute(
        "UPDATE signing_keys SET certificate_pem = :pem, private_key = NULL WHERE id = :id",
        pem=theirs().certificate_pem,
        id=planted,
    )

    assert planted not in {key.id for key in await handed_out(keys)}
    [said] = await refusals_of(base)
    assert (said["row"], said["column"]) == (planted, "certificate_pem")


async def test_a_key_moved_from_another_workspace_is_not_handed_out(keys, base: Base) -> None:
    """With its own private half: that opens in its own row only."""
    pair = theirs()
    await base.stores.apps.add(app(id=AppId("app_two"), workspace_id=OTHER_WORKSPACE))
    own = signing_key(
        id=SigningKeyId("sk_own"),
        workspace_id=OTHER_WORKSPACE,
        app_id=AppId("app_two"),
        state=STAGED,
        certificate_pem=pair.certificate_pem,
    )
    assert await keys.add(own, pair.private_key)
    assert await keys.is_certified(own)

    await base.execute(
        "UPDATE signing_keys SET certificate_pem = :pem,"
        " private_key = (SELECT private_key FROM signing_keys WHERE id = 'sk_own')"
        " WHERE id = 'sk_two'",
        pem=pair.certificate_pem,
    )
    await base.execute(
        "UPDATE signing_keys SET workspace_id = 'ws_one', app_id = 'app_one' WHERE id = 'sk_own'"
    )

    assert [key.id for key in await handed_out(keys)] == [ONE]
    refused = {(said["row"], said["column"]) for said in await refusals_of(base)}
    assert refused == {("sk_own", "private_key"), ("sk_two", "private_key")}


async def test_what_is_forgotten_between_two_looks_is_not_handed_out(keys, base: Base) -> None:
    """As a key that signs, it is none any more; nobody planted it."""
    [one, two] = await keys.list(WORKSPACE, APP)
    await keys.retire(two, at=START)

    assert await keys.is_certified(one)
    assert not await keys.is_certified(two)
    assert await refusals_of(base) == []
