"""Export and retention of the audit on real databases, and somebody who can write them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import START, event
from structlog.testing import capture_logs

from keyturn_service.adapters.checkpoints.directory import DirectoryArchive, newest_in
from keyturn_service.adapters.sql.audit_chains import SqlAuditChains
from keyturn_service.adapters.sql.audit_retention import SqlAuditTurns, SqlTrimMarks
from keyturn_service.adapters.sql.types import from_micros
from keyturn_service.domain.audit_check import Wrong
from keyturn_service.domain.checkpoint import Checkpoint, read_checkpoint
from keyturn_service.domain.ids import IncidentId
from keyturn_service.domain.incident import Incident, Scope
from keyturn_service.domain.retention import SignedMark, TrimMark
from keyturn_service.use_cases.export_checkpoint import EXPORT, ExportCheckpoint
from keyturn_service.use_cases.hold_checkpoint import AuditContradicted, HoldCheckpoint
from keyturn_service.use_cases.holding_off import SKEW
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint
from keyturn_service.use_cases.trim_audit import BATCH, TRIM, TrimAudit
from keyturn_service.use_cases.verify_audit import Verdict, VerifyAudit
from keyturn_service.vault.checkpoints import CheckpointKey, is_signed

KEY: Final = CheckpointKey(bytes(range(32)))
OTHER_KEY: Final = CheckpointKey(bytes(32))
KEEP: Final = timedelta(days=30)
OLD: Final = START - timedelta(days=40)
RUN: Final = "run_long"


@dataclass(frozen=True, kw_only=True)
class House:
    """What looks after the audit, over one database and one folder."""

    base: Base
    archive: DirectoryArchive
    export: ExportCheckpoint
    trim: TrimAudit

    async def exported(self) -> None:
        """Export a checkpoint now."""
        await self.due()
        assert await self.export()

    async def trimmed(self) -> int:
        """Trim what is old now."""
        await self.due()
        return await self.trim()

    async def due(self) -> None:
        """Have every turn due."""
        await self.base.execute("UPDATE audit_turns SET due_at = 0")

    async def verdict(self, checkpoint: Checkpoint | None = None) -> Verdict:
        """Verify the audit against the newest exported checkpoint, or another one."""
        verify = VerifyAudit(
            chains=SqlAuditChains(self.base.database),
            marks=SqlTrimMarks(self.base.database),
            is_signed=lambda message, signature: is_signed(message, signature, by=KEY.public_key),
        )
        return await verify(checkpoint or self.newest())

    async def named(self) -> tuple[str, int, Wrong]:
        """Return the first bad record."""
        bad = (await self.verdict()).bad
        assert bad is not None
        return bad.writer, bad.sequence, bad.wrong

    def newest(self) -> Checkpoint:
        """Return the newest exported checkpoint."""
        document = newest_in(self.archive.folder, self.base.clock.now() + SKEW)
        assert document is not None
        return read_checkpoint(document).checkpoint

    async def problems(self) -> dict[str, str | None]:
        """Return what the turns failed on."""
        turns = await self.export.turns.all()
        return {turn.name: turn.problem for turn in turns}


@pytest.fixture
def house(base: Base, tmp_path: Path) -> House:
    """A house that keeps the audit for thirty days."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return house_over(base, folder)


def house_over(base: Base, folder: Path) -> House:
    """Return a house over a database and a folder."""
    archive = DirectoryArchive(folder)
    chains, marks = SqlAuditChains(base.database), SqlTrimMarks(base.database)
    turns = SqlAuditTurns(base.database)
    hold = HoldCheckpoint(archive=archive, chains=chains, marks=marks, signer=KEY, clock=base.clock)
    return House(
        base=base,
        archive=archive,
        export=ExportCheckpoint(
            every=timedelta(hours=1),
            hold=hold,
            make=MakeCheckpoint(chains=chains, signer=KEY, clock=base.clock),
            archive=archive,
            turns=turns,
            clock=base.clock,
        ),
        trim=TrimAudit(
            keep=KEEP,
            hold=hold,
            chains=chains,
            marks=marks,
            signer=KEY,
            incidents=base.stores.incidents,
            turns=turns,
            audit=base.audit_log("run_trimmer"),
            clock=base.clock,
        ),
    )


async def a_run(base: Base, writer: str, *, old: int, new: int = 0, closed: bool = True) -> None:
    """Record a chain of so many old events and new ones; a closed one has one more at its end."""
    log = base.audit_log(writer)
    moments = [OLD] * old + [START] * new
    said = [event(at=at, detail={"number": n}) for n, at in enumerate(moments)]
    await asyncio.gather(*(log.record(one) for one in said))
    if closed:
        at = START if new else OLD
        await log.record(event(type="chain.closed", at=at, detail={"length": old + new + 1}))


async def left(base: Base, writer: str) -> list[int]:
    """Return the sequences that are there of a chain."""
    rows = await base.rows(
        "SELECT sequence FROM audit_events WHERE writer = :writer ORDER BY sequence", writer=writer
    )
    return [row[0] for row in rows]


async def test_what_is_old_and_vouched_for_goes_and_the_rest_is_whole(house: House) -> None:
    """A thousand records in batches; the verifier goes on from the mark."""
    await a_run(house.base, RUN, old=2 * BATCH + 3, new=4)
    await a_run(house.base, "run_gone", old=5)
    await house.exported()

    assert await house.trimmed() == 2 * BATCH + 3 + 6

    assert await left(house.base, RUN) == list(range(2 * BATCH + 4, 2 * BATCH + 9))
    assert await left(house.base, "run_gone") == []
    found = await house.verdict()
    assert found.bad is None
    assert (found.chains, found.records) == (3, 6)
    assert found.trimmed == 2 * BATCH + 9
    said = await house.base.rows("SELECT type FROM audit_events WHERE writer = 'run_trimmer'")
    assert said == [("audit.trimmed",)]


async def test_nothing_goes_that_no_exported_checkpoint_vouches_for(house: House) -> None:
    """However old it is: first without any, then what came behind the last one."""
    log = house.base.audit_log(RUN)
    for number in range(3):
        await log.record(event(at=OLD, detail={"number": number}))
    assert await house.trimmed() == 0
    assert "no checkpoint" in str((await house.problems())[TRIM])
    await house.exported()
    for number in range(3):
        await log.record(event(at=OLD, detail={"number": number}))

    assert await house.trimmed() == 3

    assert await left(house.base, RUN) == [4, 5, 6]


async def test_a_run_that_goes_on_keeps_its_last_record(house: House) -> None:
    """By which it knows where it is, and its database again."""
    log = house.base.audit_log(RUN)
    await log.record(event(at=OLD))
    await log.record(event(at=OLD))
    await house.exported()

    assert await house.trimmed() == 1

    await log.record(event())
    assert await left(house.base, RUN) == [2, 3]
    assert (await house.verdict()).bad is None


async def test_while_an_incident_is_open_what_led_to_it_stays(house: House) -> None:
    """From ten minutes before it was opened on, until no grant is left to be ended."""
    base = house.base
    await base.with_connection()
    log = base.audit_log(RUN)
    for minutes in (-11, -9, 0):
        await log.record(event(at=OLD + timedelta(minutes=minutes)))
    await log.record(event())
    scope = Scope()
    incident = Incident(id=IncidentId("inc_one"), scope=scope, reason="leak", opened_at=OLD)
    assert await base.stores.incidents.open(incident) == 1
    await house.exported()

    assert await house.trimmed() == 1
    assert await left(base, RUN) == [2, 3, 4]

    await base.execute("UPDATE incident_grants SET due_at = NULL")
    assert await house.trimmed() == 2
    assert await left(base, RUN) == [4]


async def test_who_deletes_old_records_himself_is_named(house: House) -> None:
    """Without a mark: of a chain's beginning, or a whole one."""
    await a_run(house.base, RUN, old=4, new=2)
    await a_run(house.base, "run_gone", old=2)
    await house.exported()
    statement = "DELETE FROM audit_events WHERE writer = :writer AND sequence <= 4"

    await house.base.execute(statement, writer=RUN)
    assert await house.named() == (RUN, 1, Wrong.DELETED)

    await house.base.execute(statement, writer="run_gone")
    assert await house.named() == ("run_gone", 1, Wrong.LEFT_OUT)


async def test_who_forges_a_mark_is_named(house: House) -> None:
    """Only the key that is not in the database signs marks; and nobody trims or exports on it."""
    await a_run(house.base, RUN, old=4, new=2)
    await house.exported()
    (head,) = (await house.base.rows("SELECT hash FROM audit_events WHERE sequence = 4"))[0]
    mark = TrimMark(writer=RUN, sequence=4, head=head, whole=False, at=START)
    forged = SignedMark(mark=mark, signature=OTHER_KEY.sign(mark.message()))
    assert await SqlTrimMarks(house.base.database).trim(forged, since=0)

    assert await house.named() == (RUN, 4, Wrong.TRIM_FORGED)
    await house.due()
    for round_ in (house.export, house.trim):
        with pytest.raises(AuditContradicted, match=RUN):
            await round_()
    assert set(await house.problems()) == {EXPORT, TRIM}
    assert all((await house.problems()).values())


CHANGES: Final = {
    "UPDATE audit_trims SET sequence = 6": (RUN, 6, Wrong.TRIM_FORGED),
    "UPDATE audit_trims SET sequence = 1": (RUN, 1, Wrong.TRIM_FORGED),
    "UPDATE audit_trims SET head = signature": (RUN, 4, Wrong.TRIM_FORGED),
    "UPDATE audit_trims SET whole = NOT whole": (RUN, 4, Wrong.TRIM_FORGED),
    "UPDATE audit_trims SET at = at + 1": (RUN, 4, Wrong.TRIM_FORGED),
    "UPDATE audit_trims SET writer = 'run_x'": (RUN, 1, Wrong.DELETED),
    "DELETE FROM audit_trims": (RUN, 1, Wrong.DELETED),
    "DELETE FROM audit_events WHERE sequence = 5": (RUN, 5, Wrong.DELETED),
    "DELETE FROM audit_events WHERE sequence = 7": (RUN, 7, Wrong.CUT_OFF),
    "DELETE FROM audit_events": (RUN, 5, Wrong.CUT_OFF),
    "UPDATE audit_events SET actor = 'user' WHERE sequence = 5": (RUN, 5, Wrong.EDITED),
}


async def test_a_trimmed_chain_goes_on_being_guarded(house: House) -> None:
    """Whatever is done to its mark, or to what is left of it."""
    await a_run(house.base, RUN, old=4, new=2)
    await house.exported()
    assert await house.trimmed() == 4
    await house.base.execute("DELETE FROM audit_events WHERE writer = 'run_trimmer'")
    tables = ("audit_events", "audit_trims")
    for table in tables:
        await house.base.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")  # noqa: S608 - ours
    found = {}

    for change in CHANGES:
        assert (await house.verdict()).bad is None
        await house.base.execute(change)
        found[change] = await house.named()
        for table in tables:
            await house.base.execute(f"DELETE FROM {table}")  # noqa: S608 - ours
            await house.base.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}")  # noqa: S608 - ours

    for table in tables:
        await house.base.execute(f"DROP TABLE kept_{table}")
    assert found == CHANGES


async def test_an_earlier_mark_put_back_is_named(house: House) -> None:
    """It was signed, and yet does not fit what is left."""
    await a_run(house.base, RUN, old=BATCH + 9, new=2)
    await house.exported()
    marks = SqlTrimMarks(house.base.database)
    page = await house.trim.chains.page(RUN, after=0, limit=2)
    assert page[1] is not None
    early = TrimMark(writer=RUN, sequence=2, head=page[1].hash, whole=False, at=START)
    assert await marks.trim(SignedMark(mark=early, signature=KEY.sign(early.message())), since=0)
    kept = (await house.base.rows("SELECT signature, head FROM audit_trims"))[0]
    assert await house.trimmed() == BATCH + 7

    await house.base.execute(
        "UPDATE audit_trims SET sequence = 2, signature = :signature, head = :head, at = :at",
        signature=kept[0],
        head=kept[1],
        at=round(START.timestamp() * 1_000_000),
    )

    assert await house.named() == (RUN, 3, Wrong.DELETED)


async def test_a_chain_that_was_changed_is_not_trimmed(house: House) -> None:
    """It is evidence; the others are trimmed, and the status names it."""
    await a_run(house.base, RUN, old=4, new=2)
    await a_run(house.base, "run_z", old=4, new=2)
    await house.exported()
    await house.base.execute(
        "UPDATE audit_events SET actor = 'user' WHERE writer = :writer AND sequence = 2", writer=RUN
    )

    assert await house.trimmed() == 4

    assert await left(house.base, RUN) == [1, 2, 3, 4, 5, 6, 7]
    assert f"record 2 of chain {RUN}" in str((await house.problems())[TRIM])


async def test_a_chain_that_was_written_anew_is_neither_trimmed_nor_signed(house: House) -> None:
    """The next checkpoint would vouch for it: there is none until somebody has looked."""
    await a_run(house.base, RUN, old=4, new=2)
    await house.exported()
    await house.base.execute("DELETE FROM audit_events WHERE writer = :writer", writer=RUN)
    await a_run(house.base, RUN, old=3, new=3)

    assert await house.trimmed() == 0
    await house.due()
    with pytest.raises(AuditContradicted, match=RUN):
        await house.export()

    assert len(list(house.archive.folder.iterdir())) == 1
    assert await house.named() == (RUN, 7, Wrong.REWRITTEN)


async def test_a_checkpoint_of_a_clock_that_was_ahead_hides_no_later_one(house: House) -> None:
    """What the later one vouches for is held against it, and that there is one ahead is logged."""
    base = house.base
    await a_run(base, "run_a", old=2)
    base.clock.advance(days=365)
    await house.exported()
    base.clock.advance(days=-364)
    await a_run(base, RUN, old=0, new=2)
    await house.exported()
    await base.execute("DELETE FROM audit_events WHERE writer = :writer", writer=RUN)
    base.clock.advance(hours=1)

    assert await house.named() == (RUN, 1, Wrong.LEFT_OUT)
    await house.due()
    with capture_logs() as logs, pytest.raises(AuditContradicted, match=RUN):
        await house.export()
    ahead = {"event": "checkpoint_from_ahead", "count": 1, "log_level": "error"}
    assert {**ahead, "name": max(path.name for path in house.archive.folder.iterdir())} in logs


async def test_nothing_is_removed_by_a_checkpoint_of_a_clock_that_was_ahead(house: House) -> None:
    """Nor is a mark made by it: all later checkpoints would be too old to judge by."""
    base = house.base
    await a_run(base, "run_a", old=2)
    base.clock.advance(days=365)
    await house.exported()
    base.clock.advance(days=-365)

    assert await house.trimmed() == 0
    assert await base.rows("SELECT writer FROM audit_trims") == []

    base.clock.advance(minutes=1)
    await house.exported()
    assert await house.trimmed() == 3
    base.clock.advance(minutes=1)
    await house.exported()
    assert await house.trimmed() == 0
    [moment] = await base.rows("SELECT at FROM audit_trims WHERE writer = ''")
    assert from_micros(*moment) == base.clock.now()


async def test_marks_of_chains_that_are_gone_go_when_a_later_checkpoint_is_exported(
    house: House,
) -> None:
    """One mark stands for all of them, and an older checkpoint is told from a chain left out."""
    for number in range(3):
        await a_run(house.base, f"run_{number}", old=2)
    await a_run(house.base, RUN, old=0, new=2)
    await house.exported()
    first = house.newest()
    assert await house.trimmed() == 9
    house.base.clock.advance(hours=1)
    await house.exported()
    second = house.newest()

    assert await house.trimmed() == 0

    assert await house.base.rows("SELECT writer FROM audit_trims") == [("",)]
    assert (await house.verdict(second)).bad is None
    old = await house.verdict(first)
    assert (old.bad, old.forgotten) == (None, 3)
    house.base.clock.advance(hours=1)
    await house.exported()
    await house.base.execute("DELETE FROM audit_events WHERE writer = :writer", writer=RUN)
    assert await house.named() == (RUN, 1, Wrong.LEFT_OUT)
    await house.base.execute("UPDATE audit_trims SET at = at + 1")
    assert await house.named() == ("", 0, Wrong.TRIM_FORGED)


async def test_one_replica_at_a_time_takes_a_turn(house: House) -> None:
    """Of several that ask at once one exports, and nobody again before it is due."""
    await a_run(house.base, RUN, old=1)
    folder = house.archive.folder
    houses = [house_over(house.base, folder) for _ in range(4)]

    done = await asyncio.gather(*(one.export() for one in houses))

    assert sorted(done) == [False, False, False, True]
    assert not await house.export()
    assert len(list(folder.iterdir())) == 1


async def test_nobody_puts_a_turn_off_by_writing_when_it_is_due(house: House) -> None:
    """Not for longer than it pauses by itself: the audit would be exported never again."""
    await a_run(house.base, RUN, old=1)
    await house.exported()
    assert not await house.export()

    await house.base.execute("UPDATE audit_turns SET due_at = due_at + 1000000000000")
    house.base.clock.advance(seconds=1)

    assert await house.export()


async def test_of_two_who_trim_at_the_same_time_one_does(house: House) -> None:
    """However late the other one wakes up: no record goes that its mark does not stand for."""
    await a_run(house.base, RUN, old=4, new=2)
    page = await house.trim.chains.page(RUN, after=0, limit=4)
    marks = SqlTrimMarks(house.base.database)

    def signed(place: int) -> SignedMark:
        record = page[place - 1]
        assert record is not None
        mark = TrimMark(writer=RUN, sequence=place, head=record.hash, whole=False, at=START)
        return SignedMark(mark=mark, signature=KEY.sign(mark.message()))

    done = await asyncio.gather(marks.trim(signed(2), since=0), marks.trim(signed(4), since=0))

    assert sorted(done) == [False, True]
    kept = await marks.get(RUN)
    assert kept is not None
    assert await left(house.base, RUN) == list(range(kept.mark.sequence + 1, 8))
    assert not await marks.trim(signed(kept.mark.sequence), since=kept.mark.sequence - 1)


async def test_a_row_that_is_no_mark_is_named(house: House) -> None:
    """SQLite keeps any value in any column."""
    if not house.base.database.is_sqlite:
        pytest.skip("PostgreSQL keeps to its types")
    await a_run(house.base, RUN, old=4, new=2)
    await house.exported()
    await house.trimmed()
    for change in ("at = 'x'", "at = 9000000000000000000", "at = 0, head = 'x'"):
        await house.base.execute(f"UPDATE audit_trims SET {change}")  # noqa: S608 - ours

        assert await house.named() == (RUN, 0, Wrong.TRIM_FORGED)


async def test_a_folder_that_cannot_be_written_is_told_and_tried_again(
    house: House, tmp_path: Path
) -> None:
    """The status says so, and the next round exports."""
    await a_run(house.base, RUN, old=1)
    away: Any = replace(house.export, archive=DirectoryArchive(tmp_path / "away"))

    with pytest.raises(Exception, match="away"):
        await replace(away, hold=house.export.hold)()

    assert "No such file" in str((await house.problems())[EXPORT])
    await house.exported()
    assert (await house.problems())[EXPORT] is None
