"""What a rotation of key-encryption keys leaves in the audit and in backups, and says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.values import START
from service.tests.unit.vault.test_root_keys import Room

from keyturn_service.vault.root_keys import BACKUP_AGE, SpoolHeard, SpoolNeed, StillNeeded


@pytest.fixture
def room(tmp_path):
    """Return a key file of one key, and whoever rotates."""
    return Room(tmp_path)


def need(room, files=3):
    """Have a spool need the first key."""
    room.spools.said = [
        SpoolNeed(spool_id="spool_a", key_id=room.first, files=files, seen_at=START)
    ]


async def test_each_step_is_on_record_as_the_operators(room):
    """With when, and which key; whose backups are left does not go without saying."""
    await room.sealed()
    room.audit.events.clear()
    steps = room.root_keys
    second = await steps.stage()
    assert await steps.rotate() == second
    await steps.rewrap()
    need(room)
    assert await steps.forget_spool("spool_a")
    assert not await steps.forget_spool("spool_a")
    assert room.spools.forgotten_at == room.clock.now()
    await steps.destroy(room.first, backups_are_gone=True)
    assert room.spools.since == room.clock.now() - BACKUP_AGE

    assert {(one.actor, one.workspace_id, one.at) for one in room.audit.events} == {
        ("operator", None, room.clock.now())
    }
    assert [(one.type, one.detail) for one in room.audit.events] == [
        ("root_key.staged", {"key_id": second}),
        ("root_key.rotated", {"key_id": second}),
        ("data_keys.rewrapped", {"key_id": second, "count": 5, "refused": 0}),
        ("spool.declared_lost", {"spool_id": "spool_a"}),
        ("root_key.destroyed", {"key_id": room.first, "backups_are_gone": True}),
    ]


async def why(room, key_id):
    """Return why a key is not destroyed."""
    with pytest.raises(StillNeeded) as refused:
        await room.root_keys.destroy(key_id)
    return str(refused.value)


async def test_a_refusal_says_who_mends_it_how(room):
    """All that stands against it at once, in words for whoever runs the service."""
    await room.sealed()
    first = room.first
    assert await why(room, first) == (
        f"{first} is not destroyed: it is the active key; run `keyturn keys rotate` first"
    )

    await room.root_keys.rotate()
    need(room)
    assert await why(room, first) == (
        f"{first} is not destroyed: 5 data keys need it; run `keyturn keys rewrap`; spool spool_a"
        f" needs it for 3 answers, as its replica said at {START:%Y-%m-%d %H:%M}; run the replica"
        " until they are older than 35 days, or, if its disk is lost, say `keyturn keys"
        " forget-spool spool_a`"
    )

    room.spools.said = []
    room.data_keys.kept.clear()
    assert await why(room, first) == (
        f"{first} is not destroyed: no run of `keyturn keys rewrap` has found it unneeded yet"
    )


async def test_data_keys_that_come_in_the_last_moment_are_said(room):
    """They were put under it by a process that slept."""
    await room.sealed()
    await room.root_keys.rotate()
    await room.root_keys.rewrap()
    room.clock.advance(seconds=(BACKUP_AGE + timedelta(days=1)).total_seconds())
    room.data_keys.late = 2

    assert await why(room, room.first) == (
        f"{room.first} is not destroyed: 2 data keys were put under it meanwhile; run"
        " `keyturn keys rewrap`"
    )


async def test_a_key_that_was_needed_in_between_waits_for_the_backups_made_meanwhile(room):
    """A backup is restored, and backed up itself before its data keys are put anew."""
    sealed = await room.sealed()
    backup = dict(room.data_keys.kept)
    await room.root_keys.rotate()
    await room.root_keys.rewrap()
    room.clock.advance(days=20)

    room.data_keys.kept = dict(backup)
    of_that_night = dict(backup)
    room.clock.advance(days=1)
    await room.root_keys.rewrap()
    room.clock.advance(days=15)  # 36 after the first run, 16 after that backup

    with pytest.raises(StillNeeded):
        await room.root_keys.destroy(room.first)
    room.data_keys.kept = of_that_night
    assert await room.opens(sealed, "restored again")


async def test_a_spool_whose_replica_runs_is_not_declared_lost(room):
    """Unless somebody says that its disk is gone all the same: it may have been just now."""
    await room.spools.say("spool_running", {room.first: 3})
    room.spools.heard.add("spool_running")

    with pytest.raises(SpoolHeard):
        await room.root_keys.forget_spool("spool_running")
    assert room.spools.said
    assert room.spools.within == timedelta(minutes=2)
    assert "spool.declared_lost" not in room.types()

    assert await room.root_keys.forget_spool("spool_running", disk_is_gone=True)
    assert not room.spools.said
