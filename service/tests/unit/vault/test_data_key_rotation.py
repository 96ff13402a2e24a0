"""The rotation of data keys: what is done, what is counted, what is refused."""

from __future__ import annotations

import pytest
from service.tests.support.fakes import CountedRandomness, LeapingWaiting
from service.tests.unit.vault.sealed_memory import MemoryRows
from service.tests.unit.vault.vault_house import House, old_source

from keyturn_service.vault.data_key_rotation import DataKeyRotation
from keyturn_service.vault.data_keys import NOBODY, made_data_key
from keyturn_service.vault.hashes import keyed_hashes
from keyturn_service.vault.resealing import SETTLES, Reseal
from keyturn_service.vault.root_keys import StillNeeded
from keyturn_service.vault.vault import data_key_of


class Room:
    """Two workspaces with a sealed value each, and whoever rotates."""

    def __init__(self) -> None:
        self.house = House()
        self.data_keys, self.clock = self.house.data_keys, self.house.clock
        self.audit = self.house.audit
        self.rows = MemoryRows(self.data_keys, self.clock)
        self.vault = self.house.vault()
        self.waiting = LeapingWaiting(self.clock)
        self.rotation = DataKeyRotation(
            key_source=old_source("rotation"),
            data_keys=self.data_keys,
            rows=self.rows,
            audit=self.audit,
            clock=self.clock,
            randomness=CountedRandomness("rotation"),
            waiting=self.waiting,
        )
        self.reseal = Reseal(
            vault=self.vault,
            rows=self.rows,
            audit=self.audit,
            clock=self.clock,
            waiting=self.waiting,
        )

    async def fill(self) -> None:
        """Seal a value in a workspace; another has a key alone."""
        await self.vault.seal(b"theirs", self.rows.place("apps", "app_2", 0, "ws_b"))
        await self.put("app_1")

    async def put(self, row: str) -> str:
        """Seal a value in a row; return its data key."""
        sealed = await self.vault.seal(b"value", self.rows.place("apps", row, 0))
        self.rows.tables["apps"][row,] = (sealed,)
        return data_key_of(sealed)

    async def resealed(self) -> None:
        """Seal everything anew."""
        await self.reseal()
        self.clock.advance(seconds=SETTLES)
        await self.reseal()

    def keys(self, workspace_id: str) -> list[str]:
        """Return the data keys of a workspace that are not retired."""
        kept = self.data_keys.kept.values()
        return [k.id for k in kept if k.workspace_id == workspace_id and k.retired_at is None]


@pytest.fixture
async def room():
    """Return a room with a value in it."""
    room = Room()
    await room.fill()
    return room


async def test_every_workspace_gets_a_new_key_and_the_old_ones_are_retired(room):
    """Recorded for each; the root of the hashes belongs to none and stays."""
    await keyed_hashes(old_source(), room.data_keys, CountedRandomness("h"), room.clock)
    [root] = room.keys(NOBODY)
    [one], [two] = room.keys("ws_a"), room.keys("ws_b")

    done = await room.rotation.rotate()

    assert done.retired == 2
    assert done.made == {"ws_a": room.keys("ws_a")[0], "ws_b": room.keys("ws_b")[0]}
    assert room.keys(NOBODY) == [root]
    assert {key.id for key in await room.data_keys.retired()} == {one, two}
    said = {event.workspace_id: event.detail for event in room.audit.of("data_key.rotated")}
    assert said == {
        workspace: {"data_key_id": key_id, "retired": 1} for workspace, key_id in done.made.items()
    }
    assert {event.actor for event in room.audit.events} == {"operator"}


async def test_one_workspace_alone(room):
    """The other keeps its key; one without any has one afterwards."""
    [two] = room.keys("ws_b")

    assert list((await room.rotation.rotate("ws_a")).made) == ["ws_a"]
    assert (await room.rotation.rotate("ws_new")).retired == 0

    assert room.keys("ws_b") == [two]
    assert len(room.keys("ws_a")) == len(room.keys("ws_new")) == 1


async def test_a_rotation_that_goes_on_leaves_younger_keys_alone(room):
    """Killed after the first workspace: the second run does the others."""
    room.clock.advance(seconds=60)
    began = room.clock.now()
    [new] = (await room.rotation.rotate("ws_a", made_before=began)).made.values()

    done = await room.rotation.rotate(made_before=began)

    assert list(done.made) == ["ws_b"]
    assert room.keys("ws_a") == [new]


async def test_a_rotation_that_goes_on_retires_what_was_left(room):
    """Killed between a new key and the end of the old one."""
    room.clock.advance(seconds=60)
    began = room.clock.now()
    await room.vault.seal(b"x", room.rows.place("apps", "app_3", 0))
    made, _ = await made_data_key(
        "ws_a", old_source("rotation"), CountedRandomness("killed"), room.clock
    )
    await room.data_keys.add(made)
    assert len(room.keys("ws_a")) == 2

    done = await room.rotation.rotate("ws_a", made_before=began)

    assert (dict(done.made), done.retired) == ({"ws_a": made.id}, 1)
    assert room.keys("ws_a") == [made.id]


async def test_the_standing_counts_keys_and_shows_the_pass(room):
    """Before, between and after."""
    before = await room.rotation.standing()
    assert (before.in_use, before.retired, before.resealing) == (2, [], None)
    await room.rotation.rotate()

    await room.resealed()

    after = await room.rotation.standing()
    assert (after.in_use, len(after.retired)) == (2, 2)
    assert all(key.unneeded_since for key in after.retired)
    assert after.resealing.resealed == 1


async def test_a_key_is_destroyed_once_nothing_is_under_it(room):
    """Recorded before it goes, and after a moment in which a read that was under way ends."""
    [old] = room.keys("ws_a")
    await room.rotation.rotate()
    assert (await room.rotation.destroy()).gone == []
    assert room.waiting.slept == []
    assert set((await room.rotation.destroy()).needed.values()) == {None}
    await room.resealed()

    done = await room.rotation.destroy([old])

    assert (done.gone, done.needed) == ([old], {})
    assert old not in room.data_keys.kept
    [event] = room.audit.of("data_key.destroyed")
    assert (event.workspace_id, event.detail) == ("ws_a", {"data_key_id": old})
    assert room.waiting.slept[-1] == 2.0
    assert len((await room.rotation.destroy()).gone) == 1
    assert await room.rotation.destroy() == await room.rotation.destroy()


async def test_a_key_that_is_in_use_or_unknown_is_refused(room):
    """Nothing is destroyed then, not those beside it either."""
    await room.rotation.rotate("ws_b")
    await room.resealed()
    [retired] = await room.data_keys.retired()

    for strange in (room.keys("ws_a")[0], "dk_unknown"):
        with pytest.raises(StillNeeded, match=f"{strange}: no retired data key"):
            await room.rotation.destroy([retired.id, strange])
    with pytest.raises(StillNeeded) as refused:
        await room.rotation.destroy(["dk_x", "dk_y"])
    assert str(refused.value) == (
        "dk_x, dk_y: no retired data key; see `keyturn keys status`, and run"
        " `keyturn keys rotate-data` to retire what is in use"
    )

    assert await room.data_keys.retired() == [retired]


@pytest.mark.parametrize("when", ["before", "in the last moment"])
async def test_a_key_that_something_needs_again_stays(room, when):
    """A process slept between seal and write; the next pass looks after what it wrote."""
    await room.rotation.rotate("ws_a")
    [old] = await room.data_keys.retired()
    late = await room.house.vault(seed="late").seal(b"value", room.rows.place("apps", "app_9", 0))
    sealed = late[:2] + old.id.encode() + late[2 + late[1] :]
    await room.resealed()

    async def write() -> None:
        room.rows.tables["apps"]["app_9",] = (sealed,)

    if when == "before":
        await write()
    else:
        room.waiting.meanwhile.append(write)

    done = await room.rotation.destroy()

    assert (done.gone, done.needed) == ([], {old.id: 1})
    assert room.data_keys.kept[old.id].unneeded_since is None
    assert await room.rows.due_keys() == [old.id]
    told = [event for event in room.audit.events if event.type.endswith("destroyed")]
    assert [event.type for event in told] == (
        [] if when == "before" else ["data_key.destroyed", "data_key.not_destroyed"]
    )
    for event in told:
        assert (event.workspace_id, event.detail["data_key_id"]) == ("ws_a", old.id)
        assert event.at <= room.clock.now()
