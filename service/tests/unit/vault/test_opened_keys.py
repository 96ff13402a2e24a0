"""Opened data keys in memory: for how long, and what the key source's absence or refusal does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from service.tests.unit.vault.test_vault import HERE
from service.tests.unit.vault.vault_house import (
    House,
    MemoryDataKeys,
    forgetful_source,
    old_source,
    rotated_source,
)
from structlog.testing import capture_logs

from keyturn_service.vault.data_keys import DataKeyId, WrappedDataKey
from keyturn_service.vault.errors import KeyMissing, KeySourceRefused, KeySourceUnavailable
from keyturn_service.vault.vault import ASKED_AGAIN, KEPT_FOR

HOURS = ASKED_AGAIN.total_seconds() / 3600


@pytest.fixture
def house() -> House:
    """Return a store, and vaults over it."""
    return House()


async def test_of_many_who_ask_at_once_one_asks_the_key_source(house):
    """A replica that has just started meets all its readers at once."""
    sealed = await house.vault().seal(b"value", HERE)
    source = old_source("other")
    vault = house.vault(source, seed="other")

    opened = await asyncio.gather(*(vault.open(sealed, HERE) for _ in range(20)))

    assert set(opened) == {b"value"}
    assert source.unwrapped == ["kek_old"]


async def test_what_is_used_is_opened_again_every_hour(house):
    """Not before, and in the background: who reads does not wait for it."""
    source = old_source()
    vault = house.vault(source)
    sealed = await vault.seal(b"value", HERE)
    await vault.renew()
    assert source.unwrapped == []

    for hour in range(1, 4):
        house.clock.advance(hours=HOURS)
        assert vault.open_now(sealed, HERE) == b"value"
        await vault.renew()
        assert len(source.unwrapped) == hour


async def test_what_nobody_uses_is_forgotten(house):
    """It was used in its first hour, so it is opened once more; then it goes."""
    source = old_source()
    vault = house.vault(source)
    sealed = await vault.seal(b"value", HERE)

    for _ in range(2):
        house.clock.advance(hours=HOURS)
        await vault.renew()

    assert vault.open_now(sealed, HERE) is None
    assert await vault.open(sealed, HERE) == b"value"
    assert len(source.unwrapped) == 2


async def test_while_the_key_source_is_away_opened_keys_serve_for_a_day(house):
    """To open and to seal; then not, until it is back."""
    source = old_source()
    vault = house.vault(source)
    sealed = await vault.seal(b"value", HERE)
    source.away = True

    for _ in range(int(KEPT_FOR / ASKED_AGAIN)):
        house.clock.advance(hours=HOURS)
        await vault.renew()
        assert vault.open_now(sealed, HERE) == b"value"
        assert await vault.seal(b"more", HERE)
    house.clock.advance(seconds=1)

    assert vault.open_now(sealed, HERE) is None
    with pytest.raises(KeySourceUnavailable):
        await vault.open(sealed, HERE)
    with pytest.raises(KeySourceUnavailable):
        await vault.seal(b"more", HERE)
    source.away = False
    assert await vault.open(sealed, HERE) == b"value"
    assert await vault.seal(b"more", HERE)


async def test_that_the_key_source_is_away_is_said(house):
    """For the first key that is asked for; the others are not asked for then."""
    source = old_source()
    vault = house.vault(source)
    await vault.seal(b"value", HERE)
    source.away = True
    house.clock.advance(hours=HOURS)

    with capture_logs() as logs:
        await vault.renew()

    assert logs == [
        {
            "event": "data_key_not_renewed",
            "name": house.newest(HERE.workspace_id).id,
            "error": "KeySourceUnavailable",
            "log_level": "warning",
        }
    ]


async def test_each_key_has_an_hour_of_its_own(house):
    """One that is young, or that nobody used, keeps no other one from being opened again."""
    source = old_source()
    vault = house.vault(source)
    idle, used, young = (replace(HERE, workspace_id=f"ws_{name}") for name in ("i", "u", "y"))
    for place in (idle, used):
        await vault.seal(b"value", place)
    house.clock.advance(hours=HOURS)
    await vault.renew()
    assert len(source.unwrapped) == 2
    house.clock.advance(hours=HOURS / 2)
    sealed = await vault.seal(b"value", young)
    late = await vault.seal(b"value", used)
    await vault.renew()
    assert len(source.unwrapped) == 2, "nobody asks twice an hour"

    house.clock.advance(hours=HOURS / 2)
    await vault.renew()

    assert len(source.unwrapped) == 3, "the one in use"
    assert (vault.open_now(sealed, young), vault.open_now(late, used)) == (b"value", b"value")


async def test_an_hour_after_the_key_source_refuses_its_keys_do_not_serve(house):
    """Whoever disables the key there stops the use of tokens here."""
    source = old_source()
    vault = house.vault(source)
    sealed = await vault.seal(b"value", HERE)
    source.refuses = True
    await vault.renew()
    assert vault.open_now(sealed, HERE) == b"value"

    house.clock.advance(hours=HOURS)
    with capture_logs() as logs:
        await vault.renew()

    assert logs == [
        {
            "event": "data_key_closed",
            "name": house.newest(HERE.workspace_id).id,
            "error": "KeySourceRefused",
            "log_level": "error",
        }
    ]
    assert vault.open_now(sealed, HERE) is None
    with pytest.raises(KeySourceRefused):
        await vault.open(sealed, HERE)


async def test_a_data_key_that_is_gone_from_the_store_does_not_serve_on(house):
    """Nor does one that somebody changed there."""
    vault = house.vault()
    sealed = await vault.seal(b"value", HERE)
    house.data_keys.kept.clear()
    house.clock.advance(hours=HOURS)

    await vault.renew()

    assert vault.open_now(sealed, HERE) is None


async def test_a_store_that_is_away_closes_nothing(house):
    """However often it is asked; it is asked again."""
    source = old_source()
    vault = house.vault(source)
    sealed = await vault.seal(b"value", HERE)
    house.data_keys.away = True
    house.clock.advance(hours=HOURS)

    for _ in range(3):
        await vault.renew()

    assert vault.open_now(sealed, HERE) == b"value"
    house.data_keys.away = False
    await vault.renew()
    assert source.unwrapped == ["kek_old"]


async def test_the_time_is_the_machines_own(house):
    """A world's clock that leaps closes nothing."""
    vault = house.vault()
    sealed = await vault.seal(b"value", HERE)

    house.clock.advance(machine=False, days=30)

    assert vault.open_now(sealed, HERE) == b"value"


async def test_an_operator_can_keep_them_for_less(house):
    """They are asked for again the sooner: four times before their end."""
    source = old_source()
    vault = house.vault(source, kept_for=timedelta(minutes=4))
    sealed = await vault.seal(b"value", HERE)
    house.clock.advance(minutes=1)
    await vault.renew()
    assert len(source.unwrapped) == 1
    source.away = True

    house.clock.advance(minutes=4, seconds=1)

    assert vault.open_now(sealed, HERE) is None


async def test_what_is_prepared_can_be_sealed_without_the_key_source(house):
    """Also for a workspace in which nothing was sealed before."""
    source = old_source()
    vault = house.vault(source)

    await vault.prepare(HERE.workspace_id)

    source.away = True
    assert await vault.seal(b"value", HERE)
    with pytest.raises(KeySourceUnavailable):
        await vault.prepare("ws_other")
    assert house.audit.events == []


async def test_a_data_key_that_is_rewrapped_meanwhile_opens_by_its_new_wrapping(house):
    """Its row was read before, and the old key is gone when the key source is asked."""
    sealed = await house.vault().seal(b"value", HERE)
    stale = house.newest(HERE.workspace_id)
    bound = stale.associated_data()
    secret = await old_source().unwrap(stale.key_id, stale.wrapped, associated_data=bound)
    wrapped = await rotated_source().wrap(secret, associated_data=bound)
    now = replace(stale, key_id="kek_new", wrapped=wrapped)
    house.data_keys = RowsOf([stale, now, stale, stale])
    source = forgetful_source()

    assert await house.vault(source, seed="other").open(sealed, HERE) == b"value"
    assert source.unwrapped == ["kek_old", "kek_new"]
    with pytest.raises(KeyMissing):
        await house.vault(source, seed="third").open(sealed, HERE)


class RowsOf(MemoryDataKeys):
    """What each reading of a data key finds, in order."""

    def __init__(self, rows: list[WrappedDataKey]) -> None:
        super().__init__()
        self._rows = rows

    async def get(self, data_key_id: DataKeyId) -> WrappedDataKey | None:
        """Return what is next."""
        del data_key_id
        return self._rows.pop(0)
