"""`TrimAudit`: what is old goes, batch by batch, as far as an exported checkpoint vouches."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from service.tests.support.audit_chains import (
    MemoryArchive,
    MemoryAuditChains,
    MemoryMarks,
    MemoryTurns,
    PlainSigner,
    a_chain,
    mark_at,
    signed_mark,
)
from service.tests.support.fakes import FakeClock, RecordingAudit
from service.tests.support.values import START

from keyturn_service.domain.checkpoint import written_checkpoint
from keyturn_service.domain.retention import FORGOTTEN
from keyturn_service.ports import ArchiveUnavailable
from keyturn_service.use_cases.hold_checkpoint import HoldCheckpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint
from keyturn_service.use_cases.trim_audit import BATCH, TRIM, TrimAudit

LONG = a_chain("run_long", BATCH + 5, closed=True)


class SlowMarks(MemoryMarks):
    """Marks of which each takes long to keep."""

    clock: FakeClock

    async def trim(self, signed: Any, *, since: int) -> bool:
        """Remove records, six seconds later."""
        self.clock.advance(seconds=6)
        return await super().trim(signed, since=since)


@dataclass
class OpenIncidents:
    """`ports.Incidents`, as far as it is asked here."""

    since: datetime | None = None

    async def under_way_since(self) -> datetime | None:
        """Return when the oldest was opened."""
        return self.since


@dataclass
class House:
    """An audit that was exported, forty days later."""

    chains: MemoryAuditChains
    marks: MemoryMarks
    clock: FakeClock = field(default_factory=FakeClock)
    archive: MemoryArchive = field(default_factory=MemoryArchive)
    turns: MemoryTurns = field(default_factory=MemoryTurns)
    audit: RecordingAudit = field(default_factory=lambda: RecordingAudit([]))
    incidents: Any = field(default_factory=OpenIncidents)

    async def exported(self, days: int = 40) -> None:
        """Export a checkpoint, and let time pass."""
        make = MakeCheckpoint(chains=self.chains, signer=PlainSigner(), clock=self.clock)
        self.archive.kept.append(written_checkpoint(await make()).encode())
        self.clock.advance(days=days)

    async def trimmed(self) -> int:
        """Trim."""
        signer = PlainSigner()
        hold = HoldCheckpoint(
            archive=self.archive,
            chains=self.chains,
            marks=self.marks,
            signer=signer,
            clock=self.clock,
        )
        return await TrimAudit(
            keep=timedelta(days=30),
            hold=hold,
            chains=self.chains,
            marks=self.marks,
            signer=signer,
            incidents=self.incidents,
            turns=self.turns,
            audit=self.audit,
            clock=self.clock,
        )()


def a_house(**chains: Any) -> House:
    """Return a house with these chains."""
    kept = MemoryAuditChains(chains)
    return House(kept, MemoryMarks(kept))


async def test_old_chains_go_and_their_marks_stand_for_them() -> None:
    """In batches; it is recorded before, once."""
    house = a_house(run_long=LONG, run_open=a_chain("run_open", 3))
    await house.exported()

    assert await house.trimmed() == BATCH + 5 + 2

    now = house.clock.now()
    assert house.chains.kept == {"run_long": [], "run_open": a_chain("run_open", 3)[2:]}
    assert house.marks.kept == {
        "run_long": signed_mark(mark_at(LONG[-1], at=now, whole=True)),
        "run_open": signed_mark(mark_at(a_chain("run_open", 2)[1], at=now)),
    }
    assert [one.type for one in house.audit.events] == ["audit.trimmed"]
    assert house.turns.said == [(TRIM, None, timedelta(hours=1))]
    assert await house.trimmed() == 0


async def test_where_it_is_not_our_turn_nothing_goes() -> None:
    """Another replica is at work."""
    house = a_house(run_long=LONG)
    await house.exported()
    house.turns.due = False

    assert await house.trimmed() == 0
    assert house.turns.said == []


async def test_before_anything_was_exported_nothing_goes() -> None:
    """The status says why."""
    house = a_house(run_long=LONG)
    house.clock.advance(days=40)

    assert await house.trimmed() == 0
    assert "no checkpoint" in str(house.turns.said[0][1])


async def test_where_the_checkpoints_cannot_be_read_nothing_goes() -> None:
    """The status says why."""
    house = a_house(run_long=LONG)
    await house.exported()
    house.archive.away = True

    with pytest.raises(ArchiveUnavailable):
        await house.trimmed()
    assert house.turns.said == [(TRIM, "the folder is away", timedelta(minutes=1))]


async def test_what_an_open_incident_needs_stays() -> None:
    """From ten minutes before it was opened on."""
    house = a_house(run_long=LONG)
    await house.exported()
    house.incidents.since = START + timedelta(minutes=10)
    assert await house.trimmed() == 0

    house.incidents.since = START + timedelta(minutes=11)
    assert await house.trimmed() == len(LONG)


async def test_a_chain_that_is_not_whole_or_does_not_fit_stays_and_the_others_go() -> None:
    """The status names one of them."""
    broken = a_chain("run_broken", 3)
    cut = a_chain("run_cut", 3)
    house = a_house(run_broken=broken, run_cut=cut, run_long=LONG)
    await house.exported()
    house.chains.kept["run_broken"] = [replace(broken[0], hash=bytes(32)), *broken[1:]]

    assert await house.trimmed() == len(LONG) + 2
    assert house.turns.said[-1][1] == "record 1 of chain run_broken is not as it was written"

    house.chains.kept["run_broken"] = broken
    house.chains.kept["run_cut"] = cut[:1]
    assert await house.trimmed() == 2
    problem = "chain run_cut does not fit the newest exported checkpoint"
    assert house.turns.said[-1] == (TRIM, problem, timedelta(hours=1))
    assert house.chains.kept["run_cut"] == cut[:1]


async def test_chains_that_have_nothing_to_be_removed_are_not_read() -> None:
    """A thousand of them would take the time of those that have."""
    young, last = a_chain("run_young", 3), a_chain("run_last", 1)
    house = a_house(run_last=last, run_long=LONG, run_young=young)
    await house.exported()
    house.chains.kept["run_young"] = [
        replace(one, event=replace(one.event, at=house.clock.now())) for one in young
    ]

    assert await house.trimmed() == len(LONG)

    assert set(house.chains.paged) == {"run_long"}


async def test_after_some_seconds_the_turn_is_given_on() -> None:
    """To whoever is first, at once."""
    house = a_house(run_long=a_chain("run_long", 3 * BATCH))
    marks = SlowMarks(house.chains)
    marks.clock, house.marks = house.clock, marks
    await house.exported()

    assert await house.trimmed() == 2 * BATCH
    assert house.turns.said == [(TRIM, None, timedelta())]
    assert await house.trimmed() == BATCH - 1


async def test_where_somebody_else_was_first_nothing_more_is_tried() -> None:
    """The next round sees what is left."""
    house = a_house(run_long=LONG)
    await house.exported()
    house.marks.refuses = True

    assert await house.trimmed() == 0
    assert house.chains.kept["run_long"] == LONG


async def test_marks_go_when_no_later_checkpoint_knows_their_chains() -> None:
    """One stands for them, which never goes back; marks of chains that go on stay."""
    house = a_house(run_a=a_chain("run_a", 2, closed=True), run_open=a_chain("run_open", 3))
    await house.exported()
    await house.trimmed()
    assert set(house.marks.kept) == {"run_a", "run_open"}
    house.clock.advance(hours=1)
    made_at = house.clock.now()
    await house.exported(days=1)

    await house.trimmed()

    assert set(house.marks.kept) == {FORGOTTEN, "run_open"}
    assert house.marks.kept[FORGOTTEN].mark.at == made_at
    house.marks.kept["run_b"] = signed_mark(mark_at(a_chain("run_b", 1)[0], at=START, whole=True))
    await house.trimmed()
    assert set(house.marks.kept) == {FORGOTTEN, "run_open"}
    assert house.marks.kept[FORGOTTEN].mark.at == made_at
