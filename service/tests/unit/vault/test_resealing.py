"""The round that seals anew what retired data keys sealed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from service.tests.support.fakes import CountedRandomness, LeapingWaiting
from service.tests.support.values import START
from service.tests.unit.vault.sealed_memory import TABLES, MemoryRows
from service.tests.unit.vault.vault_house import House, old_source

from keyturn_service.vault.data_keys import made_data_key
from keyturn_service.vault.errors import KeySourceUnavailable
from keyturn_service.vault.resealing import CLAIM, REFUSED_WAIT, SETTLES, Reseal
from keyturn_service.vault.vault import data_key_of


class Room:
    """Five rows in each of two tables, of one workspace, and replicas that go the round."""

    def __init__(self) -> None:
        self.house = House()
        self.clock, self.audit = self.house.clock, self.house.audit
        self.rows = MemoryRows(self.house.data_keys, self.clock)
        self.source = old_source()
        self.vault = self.house.vault(self.source)

    def replica(self, owner: str = "one") -> Reseal:
        """Return the round of a replica."""
        return Reseal(
            vault=self.vault if owner == "one" else self.house.vault(seed=owner),
            rows=self.rows if owner == "one" else self.rows.seen_by(owner),
            audit=self.audit,
            clock=self.clock,
            waiting=LeapingWaiting(self.clock),
        )

    async def fill(self) -> None:
        """Seal two values in each row, but one in the last."""
        for table in TABLES:
            for number in range(5):
                kept = [
                    await self.vault.seal(b"value", self.rows.place(table, f"row_{number}", column))
                    for column in range(2)
                ]
                self.rows.tables[table][f"row_{number}",] = (
                    kept[0],
                    None if number == 4 else kept[1],
                )

    async def rotate(self) -> str:
        """Retire the keys of the workspace for a new one; return the one that there was."""
        old = self.house.newest("ws_a").id
        made, _ = await made_data_key(
            "ws_a", old_source(), CountedRandomness(f"after {old}"), self.clock
        )
        await self.house.data_keys.add(made)
        await self.house.data_keys.retire_others(made, at=self.clock.now())
        return old

    async def settled(self, reseal: Reseal) -> None:
        """See the retired keys, and let the time pass until nobody seals under them."""
        await reseal()
        self.clock.advance(seconds=SETTLES)

    def under(self) -> set[str]:
        """Return the data keys under which something rests."""
        rows = (row for table in self.rows.tables.values() for row in table.values())
        return {data_key_of(value) for row in rows for value in row if value}

    async def opens(self) -> bool:
        """Tell whether a fresh process opens it all."""
        vault = self.house.vault(seed="fresh")
        return all(
            [
                await vault.open(value, self.rows.place(table, key[-1], column)) == b"value"
                for table, rows in self.rows.tables.items()
                for key, row in rows.items()
                for column, value in enumerate(row)
                if value
            ]
        )


@pytest.fixture
async def room():
    """Return a room whose rows are sealed."""
    room = Room()
    await room.fill()
    return room


async def test_without_a_retired_key_nothing_is_begun(room):
    """However often it is asked."""
    reseal = room.replica()

    await room.settled(reseal)
    await reseal()

    assert room.rows.passes == {}
    assert room.audit.events == []


async def test_everything_is_sealed_anew(room):
    """Counted and recorded; the old key is unneeded from then on, and nothing is done twice."""
    old = await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)
    assert room.under() == {old}

    await reseal()
    await room.settled(reseal)
    await reseal()

    assert room.under() == {room.house.newest("ws_a").id} != {old}
    assert await room.opens()
    assert room.house.data_keys.kept[old].unneeded_since == room.rows.passes[1].ended_at
    [done] = room.rows.passes.values()
    assert (done.total, done.looked, done.resealed, done.refused) == (10, 10, 10, 0)
    assert START <= done.begun_at <= room.clock.now()
    [event] = room.audit.events
    assert START <= event.at <= room.clock.now()
    assert (event.type, event.workspace_id, event.actor) == (
        "data_keys.resealed",
        None,
        "system",
    )
    assert event.detail == {"data_keys": 1, "count": 10, "refused": 0}


async def test_it_begins_once_no_replica_seals_under_the_old_key_any_more(room):
    """Three seconds after this replica saw it, by the machine's own clock."""
    await room.rotate()
    reseal = room.replica()
    await reseal()

    room.clock.advance(machine=False, days=1)
    await reseal()
    room.clock.advance(seconds=SETTLES - 0.1)
    await reseal()
    assert room.rows.passes == {}

    room.clock.advance(seconds=0.1)
    await reseal()
    assert room.rows.passes[1].ended_at


async def test_killed_half_way_it_goes_on_where_it_stopped(room):
    """The same replica at once, another one when the claim is over."""
    await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)
    steps = iter([None, None])

    def killed() -> None:
        if next(steps, "over") == "over":
            raise ConnectionError

    room.rows.meanwhile = killed
    with pytest.raises(ConnectionError):
        await reseal()
    assert room.rows.passes[1].resealed == 4
    assert len(room.under()) == 2
    assert await room.opens()

    other = room.replica("two")
    await other()
    assert room.rows.passes[1].resealed == 4
    room.clock.advance(seconds=CLAIM.total_seconds())
    await other()

    assert room.rows.passes[1].resealed == 10
    assert len(room.under()) == 1
    assert await room.opens()
    room.rows.meanwhile = lambda: None
    await reseal()
    assert list(room.rows.passes) == [1]


@pytest.mark.parametrize("step", [0, 3, 8])
async def test_who_was_taken_over_keeps_nothing_and_stops(room, step):
    """In the middle of a table, at its end, and at the end of all."""
    await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)
    steps = iter(range(10))

    def taken_over() -> None:
        if next(steps) == step:
            now = room.rows.passes[1]
            room.rows.passes[1] = replace(now, step=now.step + 1)

    room.rows.meanwhile = taken_over

    await reseal()

    assert room.rows.passes[1].ended_at is None
    assert room.rows.passes[1].step == step + 1
    assert room.audit.events == []
    await reseal()
    assert room.rows.passes[1].ended_at


async def test_a_row_that_was_changed_meanwhile_stays_so(room):
    """A refresh between reading and writing is never overwritten."""
    await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)
    place = room.rows.place(TABLES[0], "row_1", 0)
    refreshed = (await room.house.vault(seed="refresh").seal(b"value", place), None)

    def refresh() -> None:
        room.rows.tables[TABLES[0]]["row_1",] = refreshed
        room.rows.meanwhile = lambda: None

    room.rows.meanwhile = refresh

    await reseal()

    assert room.rows.tables[TABLES[0]]["row_1",] == refreshed
    assert room.rows.passes[1].resealed == 9


async def test_what_does_not_open_stays_and_keeps_its_key_needed(room):
    """Its neighbour is sealed anew; it is tried again an hour later, and recorded each time."""
    old = await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)
    table = room.rows.tables[TABLES[1]]
    whole = table["row_2",]
    damaged = whole[0][:-1] + bytes([whole[0][-1] ^ 1])
    table["row_2",] = (damaged, whole[1])
    table["row_4",] = (table["row_4",][0][:-1] + b"!", None)

    await reseal()

    assert table["row_2",][0] == damaged
    assert data_key_of(table["row_2",][1]) != old
    assert room.house.data_keys.kept[old].unneeded_since is None
    assert (room.rows.passes[1].resealed, room.rows.passes[1].refused) == (9, 2)
    assert room.audit.types[-1] == "data_keys.resealed"
    assert "vault.seal_refused" in room.audit.types
    room.clock.advance(seconds=REFUSED_WAIT.total_seconds() - 1)
    await reseal()
    assert list(room.rows.passes) == [1]

    room.clock.advance(seconds=2)
    await reseal()
    assert (room.rows.passes[2].resealed, room.rows.passes[2].refused) == (0, 2)
    table["row_2",], table["row_4",] = (whole[0], table["row_2",][1]), (None, None)
    room.clock.advance(seconds=REFUSED_WAIT.total_seconds() + 1)
    await reseal()
    assert room.house.data_keys.kept[old].unneeded_since


async def test_another_rotation_does_not_wait_for_what_does_not_open(room):
    """Its key was not in the pass that was refused something."""
    old = await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)
    table = room.rows.tables[TABLES[0]]
    table["row_0",] = (table["row_0",][0][:-1] + b"!", None)
    await reseal()
    second = await room.rotate()
    await room.settled(reseal)

    await reseal()

    assert room.rows.passes[2].key_ids == [second]
    assert room.house.data_keys.kept[second].unneeded_since
    assert room.house.data_keys.kept[old].unneeded_since is None


@pytest.mark.parametrize("seals", ["before", "never"])
async def test_while_the_key_source_is_away_it_stands_still(room, seals):
    """And goes on by the next round; what others seal under the old key meanwhile is no new key."""
    source = old_source("two")
    room.vault = room.house.vault(source, seed="two")
    if seals == "before":
        await room.vault.seal(b"value", room.rows.place(TABLES[0], "row_9", 0))
    await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)
    source.away = True

    with pytest.raises(KeySourceUnavailable) as away:
        await reseal()
    assert str(away.value) == (
        "the new data key does not open yet" if seals == "before" else "away"
    )
    assert room.rows.passes[1].step == 0
    source.away = False
    room.clock.advance(seconds=1)
    await reseal()

    assert room.rows.passes[1].resealed == 10
    assert room.house.newest("ws_a").id in room.under()


async def test_others_have_their_turn_while_it_seals(room):
    """It stops for a moment again and again."""
    await room.rotate()
    reseal = room.replica()
    await room.settled(reseal)

    await reseal()

    assert reseal.waiting.slept.count(0) >= 6
