"""A rotation that is said again after it failed."""

# ruff: noqa: D102 - the ports say what these do

from __future__ import annotations

from dataclasses import replace

import pytest
from service.tests.support.fakes import RecordingAudit
from service.tests.unit.vault.test_root_keys import Room, wraps

from keyturn_service.adapters.key_sources.file import KeyFileRefused
from keyturn_service.ports import AuditUnavailable


class Away(RecordingAudit):
    """An audit that is away."""

    def __init__(self) -> None:
        super().__init__([])

    async def record(self, event, *, urgent=True):
        del event, urgent
        raise AuditUnavailable


class GivingUp(RecordingAudit):
    """Somebody gives the staged key up right after it is recorded."""

    def __init__(self, room) -> None:
        super().__init__([])
        self.room = room

    async def record(self, event, *, urgent=True):
        await super().record(event, urgent=urgent)
        if len(self.events) == 1:
            self.room.file.destroy(event.detail["key_id"])


@pytest.fixture
def room(tmp_path):
    """Return a room."""
    return Room(tmp_path)


@pytest.mark.parametrize("staged_before", [False, True])
async def test_a_rotation_that_was_not_recorded_goes_on_with_the_same_key(room, staged_before):
    """Replicas may have been given a copy of the file with it; until then nothing is changed."""
    if staged_before:
        await room.root_keys.stage()
    away = replace(room.root_keys, audit=Away())

    with pytest.raises(AuditUnavailable):
        await away.rotate()

    [active, staged] = room.file.described()
    assert active.id == room.first
    assert await room.root_keys.rotate() == staged.id
    assert room.types()[-1] == "root_key.rotated"
    assert room.audit.events[-1].detail == {"key_id": staged.id}


async def test_a_staged_key_that_is_given_up_meanwhile_is_not_the_one_on_record(room):
    """The one that was made in its place is recorded too."""
    giving_up = GivingUp(room)

    active = await replace(room.root_keys, audit=giving_up).rotate()

    assert active == room.file.active_key_id
    [given_up, recorded] = [event.detail["key_id"] for event in giving_up.events]
    assert (recorded, given_up == active) == (active, False)


async def test_a_staged_key_whose_destruction_was_cut_off_wraps_once_it_is_active(room):
    """It was barred already when the file could not be written."""
    staged = await room.root_keys.stage()
    room.data_keys.at_the_bar = lambda: room.path.chmod(0o644)
    with pytest.raises(KeyFileRefused):
        await room.root_keys.destroy(staged)
    room.path.chmod(0o600)
    room.data_keys.at_the_bar = lambda: None

    assert await room.root_keys.rotate() == staged

    await wraps(room)
