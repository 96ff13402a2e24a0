"""`ports.SigningKeys`: one active key an app, and private halves that are forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from service.tests.support.databases import Base
from service.tests.support.values import (
    APP,
    OTHER_WORKSPACE,
    PRIVATE_KEY,
    START,
    WORKSPACE,
    app,
    private_key,
    signing_key,
)

from keyturn_core.secrets import PrivateKey
from keyturn_service.adapters.sql.tables import metadata
from keyturn_service.domain.ids import AppId, SigningKeyId
from keyturn_service.domain.signing_key import SigningKeyState

ACTIVE, STAGED, RETIRED = SigningKeyState.ACTIVE, SigningKeyState.STAGED, SigningKeyState.RETIRED
DAY = timedelta(days=1)
NEXT = signing_key(id=SigningKeyId("sk_two"), state=STAGED, created_at=START + DAY)


@pytest.fixture
async def keys(base: Base):
    """Return the store, with an active and a staged key of an app."""
    assert await base.stores.signing_keys.add(signing_key(), private_key())
    assert await base.stores.signing_keys.add(NEXT, private_key())
    return base.stores.signing_keys


async def test_a_key_is_kept_as_it_is_and_its_private_half_apart(keys) -> None:
    """Oldest first; what is listed cannot sign."""
    assert await keys.list(WORKSPACE, APP) == [signing_key(), NEXT]
    assert await keys.get(WORKSPACE, APP, NEXT.id) == NEXT
    opened = await keys.private_key(signing_key())
    assert opened == PrivateKey(PRIVATE_KEY)


async def test_a_key_is_found_under_its_app_and_workspace_only(keys, base: Base) -> None:
    """Ids of others open nothing."""
    await base.stores.apps.add(app(id=AppId("app_two")))

    assert await keys.get(OTHER_WORKSPACE, APP, NEXT.id) is None
    assert await keys.get(WORKSPACE, AppId("app_two"), NEXT.id) is None
    assert await keys.list(WORKSPACE, AppId("app_two")) == []
    assert await keys.list(OTHER_WORKSPACE, APP) == []
    assert await keys.private_key(signing_key(id=SigningKeyId("sk_no"))) is None


async def test_an_app_has_one_active_key(keys, base: Base) -> None:
    """The database says so, whoever asks first; other apps have their own."""
    third = signing_key(id=SigningKeyId("sk_three"))
    assert not await keys.add(third, private_key())

    await base.stores.apps.add(app(id=AppId("app_two")))
    assert await keys.add(signing_key(id=third.id, app_id=AppId("app_two")), private_key())


async def test_activating_a_key_retires_the_one_before(keys) -> None:
    """Both or none; the retired one can still sign."""
    assert await keys.activate(NEXT, at=START + DAY)

    one, two = await keys.list(WORKSPACE, APP)
    assert (one.state, one.retired_at, one.usable) == (RETIRED, START + DAY, True)
    assert (two.state, two.retired_at) == (ACTIVE, None)
    assert await keys.activate(NEXT, at=START + 2 * DAY), "again does no harm"
    assert await keys.list(WORKSPACE, APP) == [one, two]


async def test_what_was_retired_by_hand_cannot_be_activated(keys) -> None:
    """Its private half is gone, and the active key stays as it is."""
    await keys.retire(NEXT, at=START)

    assert not await keys.activate(NEXT, at=START)
    one, two = await keys.list(WORKSPACE, APP)
    assert (one.state, two.state, two.usable) == (ACTIVE, RETIRED, False)
    assert await keys.private_key(NEXT) is None


async def test_retired_private_halves_are_forgotten_in_time(keys) -> None:
    """No others, and none before."""
    await keys.activate(NEXT, at=START)

    assert await keys.forget_retired(START) == 0
    assert await keys.forget_retired(START + timedelta(microseconds=1)) == 1
    assert await keys.forget_retired(START + 10 * DAY) == 0
    assert [key.usable for key in await keys.list(WORKSPACE, APP)] == [False, True]


async def test_migrations_lead_to_the_tables_that_the_code_knows(base: Base) -> None:
    """All columns and indexes, on each database."""
    async with base.database.read() as reading:
        found = await reading.run_sync(
            lambda connection: compare_metadata(
                MigrationContext.configure(
                    connection, opts={"version_table": "schema_version", "compare_type": False}
                ),
                metadata,
            )
        )

    assert found == []
