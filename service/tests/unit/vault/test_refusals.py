"""What did not open is recorded, and a flood of it does not fill the disk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from service.tests.support.fakes import FakeClock, RecordingAudit
from service.tests.unit.vault.vault_house import House, forgetful_source

from keyturn_service.ports import AuditUnavailable
from keyturn_service.vault.errors import CannotOpen, KeyMissing
from keyturn_service.vault.place import Place
from keyturn_service.vault.refusals import FIRST_AT_ONCE, Refusals

TOKEN = Place(
    workspace_id="ws_a", table="token_sets", row="con_1", column="refresh_token", generation=3
)
SECRET = Place(workspace_id="ws_a", table="apps", row="app_1", column="consumer_secret")


async def test_what_does_not_open_is_recorded_with_its_place():
    """So that the operator knows which row somebody wrote to; no value is in the record."""
    house = House()
    vault = house.vault()
    sealed = await vault.seal(b"5Aep861", TOKEN)

    with pytest.raises(CannotOpen):
        await vault.open(sealed, SECRET)

    [event] = house.audit.events
    assert (event.type, event.actor, event.workspace_id) == (
        "vault.seal_refused",
        "system",
        "ws_a",
    )
    assert event.at == house.clock.now()
    assert event.connection_id is None
    assert event.detail == {
        "table": "apps",
        "row": "app_1",
        "column": "consumer_secret",
        "generation": 0,
        "because": "not sealed for this place, or changed",
        "left_out": 0,
    }


async def test_a_token_set_is_recorded_under_its_connection():
    """Its row is called like the connection, whose events the vendor looks through."""
    house = House()

    with pytest.raises(CannotOpen):
        await house.vault().open(b"", TOKEN)

    [event] = house.audit.events
    assert (event.connection_id, event.detail["generation"]) == ("con_1", 3)
    assert event.detail["because"] == "not a sealed value"


async def test_a_missing_key_is_recorded_as_such():
    """At an opening and at a seal; the operator mends it by the key file."""
    house = House()
    sealed = await house.vault().seal(b"value", TOKEN)
    lacking = house.vault(forgetful_source(), seed="two")

    with pytest.raises(KeyMissing):
        await lacking.open(sealed, TOKEN)
    with pytest.raises(KeyMissing):
        await lacking.seal(b"value", SECRET)

    assert [event.detail["because"] for event in house.audit.events] == ["key_missing"] * 2
    assert [event.detail["table"] for event in house.audit.events] == ["token_sets", "apps"]


async def test_a_planted_data_key_seals_nothing():
    """It is none that the key source wrapped for this workspace."""
    house = House()
    await house.vault().seal(b"value", TOKEN)
    kept = house.newest("ws_a")
    house.data_keys.kept[kept.id] = kept.__class__(
        id=kept.id,
        workspace_id="ws_a",
        key_id=kept.key_id,
        wrapped=bytes(60),
        created_at=kept.created_at,
    )

    with pytest.raises(CannotOpen):
        await house.vault(seed="two").seal(b"value", TOKEN)

    assert [event.type for event in house.audit.events] == ["vault.seal_refused"]


async def test_of_a_flood_one_a_second_is_recorded():
    """Behind the first one of its place; and it says how many were not."""
    clock, audit = FakeClock(), RecordingAudit([])
    refusals = Refusals(audit, clock)

    for _ in range(100):
        await refusals.note(TOKEN, CannotOpen("changed"))
    clock.advance(seconds=1)
    await refusals.note(TOKEN, CannotOpen("changed"))

    assert [event.detail["left_out"] for event in audit.events] == [0] * 61 + [39]


def told(audit: RecordingAudit) -> list[tuple[object, object]]:
    """Return which rows were recorded, and what was left out before each."""
    return [(event.detail["row"], event.detail["left_out"]) for event in audit.events]


async def test_noise_about_one_row_hides_no_other():
    """Whoever asks for one damaged value all the time; the next one is named with what is lost."""
    clock, audit = FakeClock(), RecordingAudit([])
    refusals = Refusals(audit, clock)
    for _ in range(1000):
        await refusals.note(TOKEN, CannotOpen("changed"))

    await refusals.note(replace(TOKEN, row="con_2"), CannotOpen("changed"))
    await refusals.note(replace(TOKEN, column="access_token"), CannotOpen("changed"))
    await refusals.note(replace(TOKEN, generation=4), CannotOpen("changed"))
    await refusals.note(TOKEN, CannotOpen("changed"))

    assert told(audit)[61:] == [("con_2", 939), ("con_1", 0), ("con_1", 0)]


async def test_each_of_thousands_of_places_is_named_once():
    """A pass that seals everything anew meets them within seconds."""
    audit = RecordingAudit([])
    refusals = Refusals(audit, FakeClock())

    for number in range(FIRST_AT_ONCE):
        await refusals.note(replace(SECRET, row=f"app_{number}"), CannotOpen("changed"))

    assert len({row for row, _ in told(audit)}) == FIRST_AT_ONCE


async def test_places_without_end_fill_no_disk():
    """Somebody may write rows as fast as they are looked at; one left out is told another time."""
    clock, audit = FakeClock(), RecordingAudit([])
    refusals = Refusals(audit, clock)
    for number in range(FIRST_AT_ONCE + 500):
        await refusals.note(replace(SECRET, row=f"app_{number}"), CannotOpen("changed"))
    assert len(audit.events) == FIRST_AT_ONCE

    clock.advance(seconds=1)
    last = replace(SECRET, row=f"app_{FIRST_AT_ONCE + 499}")
    for _ in range(3):
        await refusals.note(last, CannotOpen("changed"))

    assert told(audit)[FIRST_AT_ONCE:] == [(last.row, 500), (last.row, 0), (last.row, 0)]


async def test_a_place_that_was_not_met_for_long_is_forgotten():
    """What is remembered has an end; a place that is met again and again stays."""
    clock, audit = FakeClock(), RecordingAudit([])
    refusals = Refusals(audit, clock, remembered=2)
    for row in ("app_1", "app_2", "app_1", "app_3"):
        await refusals.note(replace(SECRET, row=row), CannotOpen("changed"))
    for _ in range(100):
        await refusals.note(SECRET, CannotOpen("changed"))  # app_1: noise
    before = len(audit.events)

    await refusals.note(replace(SECRET, row="app_2"), CannotOpen("changed"))
    await refusals.note(SECRET, CannotOpen("changed"))

    assert told(audit)[before:] == [("app_2", 41)]


async def test_what_could_not_be_recorded_is_counted_and_recorded_the_next_time():
    """The place is as new as before."""
    audit = RecordingAudit([])
    refusals = Refusals(audit, FakeClock())
    for _ in range(70):
        await refusals.note(TOKEN, CannotOpen("changed"))
    audit.down = True
    with pytest.raises(AuditUnavailable):
        await refusals.note(SECRET, CannotOpen("changed"))

    audit.down = False
    await refusals.note(SECRET, CannotOpen("changed"))

    assert told(audit)[61:] == [("app_1", 10)]


async def test_a_name_of_any_length_is_recorded_in_part():
    """The row may hold what an attacker wrote."""
    audit = RecordingAudit([])
    long = Place(workspace_id="w" * 900, table="token_sets", row="r" * 900, column="access_token")

    await Refusals(audit, FakeClock()).note(long, CannotOpen("changed"))

    [event] = audit.events
    assert (event.workspace_id, event.connection_id) == ("w" * 64, "r" * 64)
    assert event.detail["row"] == "r" * 64


async def test_where_it_cannot_be_recorded_that_is_what_the_caller_hears():
    """Nothing is handed out either way."""
    house = House()
    house.audit.down = True

    with pytest.raises(AuditUnavailable):
        await house.vault().open(b"", TOKEN)


async def test_what_others_found_changed_is_recorded_too():
    """A row that holds no secret, and whose code does not hold."""
    house = House()
    place = Place(workspace_id="ws_a", table="api_keys", row="key_1", column="mac")

    await house.vault().note_refused(place, CannotOpen("the row was changed"))

    [event] = house.audit.events
    assert (event.type, event.detail["table"], event.detail["row"]) == (
        "vault.seal_refused",
        "api_keys",
        "key_1",
    )
    assert event.detail["because"] == "the row was changed"
