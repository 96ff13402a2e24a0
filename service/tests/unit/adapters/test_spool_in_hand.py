"""`adapters.spool.in_hand`: what the disk did not take is held as long as somebody needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from service.tests.support.fakes import FakeClock, LeapingWaiting, MemorySpool
from service.tests.support.values import spooled
from structlog.testing import capture_logs

from keyturn_service.adapters.spool.in_hand import SpoolInHand
from keyturn_service.domain.ids import AttemptId

ONE, TWO = AttemptId("att_one"), AttemptId("att_two")
ANSWER = spooled(attempt_id=ONE, status=200, body=b"canary", complete=True)
OTHER = spooled(attempt_id=TWO, status=200, body=b"canary", complete=True)


class Disk(MemorySpool):
    """A disk that may be gone."""

    gone = False

    async def undelivered(self) -> Sequence[AttemptId]:
        """Return what lies there."""
        if self.gone:
            raise OSError("gone")
        return await super().undelivered()


@pytest.fixture
def disk() -> Disk:
    """Return a full disk."""
    full = Disk([])
    full.full = True
    return full


@pytest.fixture
async def spool(disk: Disk) -> SpoolInHand:
    """Return a spool over it that has an answer in hand."""
    made = SpoolInHand(disk)
    with pytest.raises(OSError, match="no space"):
        await made.put(ANSWER)
    return made


async def test_what_the_disk_takes_is_not_in_hand(disk: Disk) -> None:
    """It is the disk's alone, also once it is gone from there."""
    disk.full = False
    spool = SpoolInHand(disk)
    await spool.put(ANSWER)
    assert await spool.undelivered() == [ONE]

    disk.kept.clear()

    assert await spool.get(ONE) is None


async def test_what_is_in_hand_counts_as_what_lies_there(disk: Disk, spool: SpoolInHand) -> None:
    """It is in the journal, waits to be delivered, and is no intent that met no answer."""
    disk.begun = {ONE: ANSWER, TWO: OTHER}

    assert await spool.get(ONE) == ANSWER
    assert await spool.undelivered() == [ONE]
    assert await spool.newest_first() == [ONE]
    assert await spool.intents() == [TWO]
    assert await spool.intent(TWO) == OTHER


@pytest.mark.parametrize("asked", ["get", "undelivered"])
async def test_it_goes_to_the_disk_as_soon_as_it_can(
    disk: Disk, spool: SpoolInHand, asked: str
) -> None:
    """Whoever looks puts it there; once."""
    disk.full = False

    for _ in range(2):
        assert await (spool.get(ONE) if asked == "get" else spool.undelivered())

    assert disk.kept == {ONE: ANSWER}
    assert disk.open == [ONE]


async def test_what_is_in_hand_is_known_though_the_disk_is_gone(
    disk: Disk, spool: SpoolInHand
) -> None:
    """What lies there has to wait; without anything in hand it is an error."""
    disk.gone = True
    assert await spool.undelivered() == [ONE]

    with pytest.raises(OSError, match="gone"):
        await SpoolInHand(disk).undelivered()


async def test_what_was_delivered_is_let_go(disk: Disk, spool: SpoolInHand) -> None:
    """The database has it."""
    await spool.delivered(ONE)

    disk.full = False
    assert await spool.undelivered() == []
    assert await spool.get(ONE) is None
    assert disk.kept == {}


async def test_so_many_are_in_hand_at_most(disk: Disk) -> None:
    """The oldest one is let go, which is told; no token is in the log."""
    spool = SpoolInHand(disk, most=1)
    with capture_logs() as log:
        for answer in (ANSWER, OTHER):
            with pytest.raises(OSError, match="no space"):
                await spool.put(answer)

    assert await spool.undelivered() == [TWO]
    assert [(line["event"], line["attempt_id"]) for line in log] == [("spool_answer_lost", ONE)]
    assert "canary" not in repr((log, spool))


async def test_what_nobody_takes_is_lost_with_the_process(spool: SpoolInHand) -> None:
    """After a quarter of a minute of trying, and it is told."""

    async def deliver() -> None:
        raise OSError("away")

    waiting = LeapingWaiting(FakeClock())
    with capture_logs() as log:
        await spool.empty(deliver, waiting)

    assert waiting.slept == [1.0] * 15
    assert log[-1]["event"] == "spool_answer_lost"


@pytest.mark.parametrize("room", [True, False])
async def test_a_database_that_does_not_answer_holds_nobody_up(
    disk: Disk, spool: SpoolInHand, *, room: bool
) -> None:
    """The disk is tried before it, and there is one limit for all of it."""
    disk.full = not room
    asked = []

    async def deliver() -> None:
        asked.append(ONE)
        await asyncio.Event().wait()

    with capture_logs() as log:
        await spool.empty(deliver, LeapingWaiting(FakeClock()), within=0.01)

    assert (disk.open, asked) == (([ONE], []) if room else ([], [ONE]))
    assert ("spool_answer_lost" in [line["event"] for line in log]) is not room


async def test_empty_hands_wait_for_nobody(disk: Disk) -> None:
    """Nothing is delivered for them."""
    waiting = LeapingWaiting(FakeClock())

    async def deliver() -> None:
        pytest.fail("there is nothing")

    await SpoolInHand(disk).empty(deliver, waiting)

    assert waiting.slept == []


async def test_the_rest_is_the_disks(disk: Disk, spool: SpoolInHand) -> None:
    """Intents, keys, age."""
    disk.full = False
    await spool.intend(OTHER)
    assert list(disk.begun) == [TWO]
    await spool.not_sent(TWO)
    assert disk.begun == {}
    assert spool.id == disk.id
    await spool.renew_key([])
    assert await spool.key_needs() == await disk.key_needs()
    assert await spool.purge(ANSWER.received_at) == 0
