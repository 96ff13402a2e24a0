"""A replay round and the watch of one process, which go on at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from service.tests.support.refresh_machine import furnished
from service.tests.support.stepped_worlds import stepped_world
from service.tests.support.strict_org import Answering

_LONG = 300  # turns of the loop: longer than a look takes


@pytest.fixture
def template(tmp_path: Path) -> Iterator[Path]:
    """Make the database that the world starts with."""
    with furnished(tmp_path) as made:
        yield made


async def test_no_other_replica_goes_on_while_a_journal_is_being_replayed(
    template: Path, tmp_path: Path
) -> None:
    """Else it presents a token that the journal knows to be used up, and the grant ends."""
    offs = [timedelta(0), timedelta(0)]
    async with stepped_world(tmp_path / "world", template, offs=offs, watches=True) as world:
        await world.begin(certificate=False)
        first, second = [await one.start() for one in world.replicas]
        for process in (first, second):
            await world.run(process, process.recover())
        world.org.script.append(Answering.NOT_NOW)
        await world.run(first, world.ask(first))
        # The standby has the second one's lease, and lags from then on.
        second.hold_after("tokens.latest_attempt")
        asked = await second.run(world.quietly(world.ask(second)))
        standby = world.copy()
        await second.resume(asked)
        world.clock.advance(seconds=5)
        await world.run(first, world.ask(first))
        await world.exchange(standby)
        world.clock.advance(seconds=1)
        await world.run(first, first.watch.look())

        first.held.clear()
        first.hold_after("leases.acquire")
        replaying = await first.run(first.replay())
        assert first.held.is_set()
        first.hold_at = None
        looking = asyncio.create_task(first.watch.look())
        for _ in range(_LONG):
            await asyncio.sleep(0)
        await first.resume(replaying)
        await looking
        world.clock.advance(seconds=5)
        await world.run(second, second.watch.look())

        assert not second.refresh.presenting.is_open
        await world.come_up()
        await world.calm()
