"""The audit behind the service's back: whatever was done to it, the first bad record is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final

import pytest
from service.tests.support.databases import Base
from service.tests.support.values import START, event

from keyturn_service.adapters.sql import audit_chains
from keyturn_service.adapters.sql.audit_chains import SqlAuditChains
from keyturn_service.adapters.sql.audit_retention import SqlTrimMarks
from keyturn_service.domain.audit_check import Wrong
from keyturn_service.domain.checkpoint import SignedCheckpoint
from keyturn_service.ports import AuditUnavailable, ChainUnreadable, StoreUnavailable
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint
from keyturn_service.use_cases.verify_audit import Verdict, VerifyAudit
from keyturn_service.vault.checkpoints import CheckpointKey, is_signed

KEY: Final = CheckpointKey(bytes(range(32)))
WRITERS: Final = ("run_one", "run_three", "run_two")
NAMED: Final = "WHERE writer = 'run_three' AND sequence"


async def three_runs(base: Base, *, events: int = 4) -> None:
    """Record three chains of six, of which the last one is still open."""
    for writer in WRITERS:
        log = base.audit_log(writer)
        await log.open()
        for number in range(events):
            await log.record(event(detail={"number": number}))
        if writer != "run_two":
            await log.close()


async def checkpoint(base: Base) -> SignedCheckpoint:
    """Make a checkpoint."""
    chains = SqlAuditChains(base.database)
    return await MakeCheckpoint(chains=chains, signer=KEY, clock=base.clock)()


async def verdict(base: Base, signed: SignedCheckpoint | None = None) -> Verdict:
    """Verify the audit, also against a checkpoint."""
    verify = VerifyAudit(
        chains=SqlAuditChains(base.database),
        marks=SqlTrimMarks(base.database),
        is_signed=partial(is_signed, by=KEY.public_key),
    )
    return await verify(None if signed is None else signed.checkpoint)


async def named(base: Base, signed: SignedCheckpoint | None = None) -> tuple[str, int, Wrong]:
    """Return the first bad record."""
    bad = (await verdict(base, signed)).bad
    assert bad is not None
    return bad.writer, bad.sequence, bad.wrong


async def test_what_runs_recorded_is_whole(base: Base) -> None:
    """Against a checkpoint and without one; the chain of a run that goes on has no end."""
    await three_runs(base)

    for signed in (None, await checkpoint(base)):
        found = await verdict(base, signed)
        assert found == Verdict(chains=3, records=17, unclosed=1, bad=None)


async def test_an_empty_audit_is_whole(base: Base) -> None:
    """And has a checkpoint, which goes on holding."""
    signed = await checkpoint(base)
    assert (await verdict(base, signed)) == Verdict(chains=0, records=0, unclosed=0, bad=None)

    await three_runs(base)

    assert (await verdict(base, signed)).bad is None


async def test_a_checkpoint_says_where_each_chain_ends(base: Base) -> None:
    """In the order of their names, at a time, signed."""
    await three_runs(base)

    signed = await checkpoint(base)

    said = signed.checkpoint
    assert [(end.writer, end.length) for end in said.chains] == [
        ("run_one", 6),
        ("run_three", 6),
        ("run_two", 5),
    ]
    for end in said.chains:
        chain = await base.stores.audit_trail.chain(end.writer)
        assert end.head == chain[-1].hash
    assert said.made_at == base.clock.now()
    assert is_signed(said.message(), signed.signature, by=signed.public_key)


async def test_runs_go_on_after_a_checkpoint(base: Base) -> None:
    """Old chains become longer and new ones come; the checkpoint holds."""
    log = base.audit_log("run_one")
    await log.open()
    signed = await checkpoint(base)

    await log.record(event())
    await base.audit_log("run_new").open()
    await log.close()

    assert await verdict(base, signed) == Verdict(chains=2, records=4, unclosed=1, bad=None)


@pytest.mark.parametrize(
    "change",
    [
        "type = 'token.stored'",
        "actor = 'key_two'",
        "at = at + 1",
        "connection_id = NULL",
        "workspace_id = 'ws_two'",
        """detail = '{"number"\\:9}'""",
        "previous = hash",
        "hash = previous",
        "detail = 'nonsense'",
        "detail = '[]'",
        """detail = '{"number"\\:1e999}'""",
        "at = 9000000000000000000",
        "hash = :short",
    ],
)
async def test_an_edited_record_is_named(base: Base, change: str) -> None:
    """Whatever of it was changed, also to what the service could not read."""
    await three_runs(base)
    parameters = {"short": b"x"} if ":short" in change else {}

    await base.execute(f"UPDATE audit_events SET {change} {NAMED} = 3", **parameters)  # noqa: S608 - ours

    assert await named(base) == ("run_three", 3, Wrong.EDITED)


@pytest.mark.parametrize(
    "change",
    [
        "at = 'x'",
        "hash = 'x'",
        "type = x'ff'",
        "detail = x'ff'",
        "detail = CAST(x'ff' AS TEXT)",
        "actor = CAST(x'ff' AS TEXT)",
    ],
)
async def test_a_value_of_another_type_is_named_too(base: Base, change: str) -> None:
    """SQLite keeps any value in any column."""
    if not base.database.is_sqlite:
        pytest.skip("PostgreSQL keeps to its types")
    await three_runs(base)

    await base.execute(f"UPDATE audit_events SET {change} {NAMED} = 6")  # noqa: S608 - ours

    assert await named(base) == ("run_three", 6, Wrong.EDITED)
    with pytest.raises(ChainUnreadable, match="run_three"):
        await checkpoint(base)


@pytest.mark.parametrize(
    ("where", "first", "left"),
    [
        ("", ("run_one", 1), set()),
        ("WHERE writer = 'run_three'", ("run_three", 1), {"run_one", "run_two"}),
        (f"{NAMED} = 3", ("run_three", 3), set(WRITERS)),
    ],
)
async def test_a_record_whose_writer_is_no_text_is_named(
    base: Base, where: str, first: tuple[str, int], left: set[str]
) -> None:
    """It is in no chain; a whole chain may have become none so, or all of them."""
    if not base.database.is_sqlite:
        pytest.skip("PostgreSQL keeps to its types")
    await three_runs(base)
    signed = await checkpoint(base)

    await base.execute(f"UPDATE audit_events SET writer = CAST(writer AS BLOB) {where}")  # noqa: S608 - ours

    for known in (None, signed):
        assert await named(base, known) == (*first, Wrong.EDITED)
    with pytest.raises(ChainUnreadable, match=f"^{first[0]}$"):
        await checkpoint(base)
    later = START + timedelta(days=400)
    assert set(await SqlAuditChains(base.database).begun_before(later)) == left


@pytest.mark.parametrize("place", ["2", "'x'"])
async def test_a_writer_of_no_encoding_is_named(base: Base, place: str) -> None:
    """As far as it can be read; without a place where that is no number."""
    if not base.database.is_sqlite:
        pytest.skip("PostgreSQL keeps to its types")
    await three_runs(base)

    await base.execute(
        "UPDATE audit_events SET writer = CAST(CAST(writer AS BLOB) || x'ff' AS TEXT),"  # noqa: S608 - ours
        f" sequence = {place} {NAMED} = 2"
    )

    assert await named(base) == ("run_three\ufffd", 2 if place == "2" else 0, Wrong.EDITED)
    with pytest.raises(ChainUnreadable, match="run_three\ufffd"):
        await checkpoint(base)


@pytest.mark.parametrize("place", [1, 3])
async def test_a_deleted_record_is_named(base: Base, place: int) -> None:
    """From the beginning of a chain or its middle."""
    await three_runs(base)

    await base.execute(f"DELETE FROM audit_events {NAMED} = {place}")  # noqa: S608 - ours

    assert await named(base) == ("run_three", place, Wrong.DELETED)


async def test_of_two_records_that_changed_places_the_first_place_is_named(base: Base) -> None:
    """Whole rows, with their hashes."""
    await three_runs(base)

    for statement in ("sequence = 99 {} = 2", "sequence = 2 {} = 4", "sequence = 4 {} = 99"):
        await base.execute(f"UPDATE audit_events SET {statement.format(NAMED)}")  # noqa: S608 - ours

    assert await named(base) == ("run_three", 2, Wrong.REORDERED)


async def test_a_record_moved_to_another_chain_is_named(base: Base) -> None:
    """It fits its own writer only."""
    await three_runs(base)

    await base.execute("DELETE FROM audit_events WHERE writer = 'run_two' AND sequence = 3")
    await base.execute(f"UPDATE audit_events SET writer = 'run_two' {NAMED} = 3")  # noqa: S608 - ours

    assert await named(base) == ("run_three", 3, Wrong.DELETED)


async def test_a_chain_whose_end_was_cut_off_is_named(base: Base) -> None:
    """By the checkpoint; without one it looks like a run that was killed."""
    await three_runs(base)
    signed = await checkpoint(base)

    await base.execute(f"DELETE FROM audit_events {NAMED} > 4")  # noqa: S608 - ours

    assert await named(base, signed) == ("run_three", 5, Wrong.CUT_OFF)
    assert await verdict(base) == Verdict(chains=3, records=15, unclosed=2, bad=None)


async def test_a_chain_that_was_left_out_is_named(base: Base) -> None:
    """By the checkpoint."""
    await three_runs(base)
    signed = await checkpoint(base)

    await base.execute("DELETE FROM audit_events WHERE writer = 'run_three'")

    assert await named(base, signed) == ("run_three", 1, Wrong.LEFT_OUT)
    assert (await verdict(base)).bad is None


async def test_a_chain_written_anew_is_named(base: Base) -> None:
    """By the checkpoint: it knows another last record."""
    await three_runs(base)
    signed = await checkpoint(base)

    await base.execute("DELETE FROM audit_events WHERE writer = 'run_three'")
    log = base.audit_log("run_three")
    await log.open()
    for number in (0, 1, 77, 3):
        await log.record(event(detail={"number": number}))
    await log.close()

    assert await named(base, signed) == ("run_three", 6, Wrong.REWRITTEN)
    assert (await verdict(base)).bad is None


async def test_a_record_behind_the_end_of_its_chain_is_named(base: Base) -> None:
    """Even where it fits."""
    await three_runs(base)

    log = base.audit_log("run_three")
    with pytest.raises(AuditUnavailable):  # it finds that the chain is longer than it thought
        await log.record(event())
    await log.record(event())

    assert await named(base) == ("run_three", 7, Wrong.AFTER_END)


async def test_the_first_of_several_is_named(base: Base) -> None:
    """Chains in the order of their names; what comes behind is not looked at."""
    await three_runs(base)
    signed = await checkpoint(base)

    await base.execute("DELETE FROM audit_events WHERE writer = 'run_two' AND sequence = 2")
    await base.execute("DELETE FROM audit_events WHERE writer = 'run_one' AND sequence > 5")

    found = await verdict(base, signed)
    assert found.bad is not None
    assert (found.bad.writer, found.bad.sequence) == ("run_one", 6)
    assert (found.chains, found.records) == (1, 5)


async def test_a_long_chain_is_looked_at_in_pages(base: Base) -> None:
    """All of it, to the record, wherever a page ends."""
    log = base.audit_log("run_long")
    rows = [event(detail={"number": number}) for number in range(2 * audit_chains.PAGE)]
    await asyncio.gather(*(log.record(row) for row in rows))
    assert await verdict(base) == Verdict(chains=1, records=len(rows), unclosed=1, bad=None)

    await base.execute(f"DELETE FROM audit_events WHERE sequence = {audit_chains.PAGE + 1}")  # noqa: S608 - ours

    assert await named(base) == ("run_long", audit_chains.PAGE + 1, Wrong.DELETED)


@pytest.mark.parametrize("look", [verdict, checkpoint])
async def test_a_silent_database_is_no_whole_audit(
    base: Base, look: Callable[[Base], Awaitable[object]]
) -> None:
    """Nobody could look."""
    await three_runs(base)
    await base.break_it()

    with pytest.raises(StoreUnavailable):
        await look(base)


async def test_a_chain_is_given_from_a_moment_on_without_a_gap(base: Base) -> None:
    """From its first record that is not older; a clock that went back leaves nothing out."""
    log = base.audit_log("run_one")
    for number, minutes in enumerate((0, 1, 5, 2, 6)):
        at = START + timedelta(minutes=minutes)
        await log.record(event(at=at, detail={"number": number}))
    chains = SqlAuditChains(base.database)

    async def numbers(minutes: int) -> list[object]:
        since = START + timedelta(minutes=minutes)
        found = [one async for one in chains.records("run_one", since=since)]
        return [one.event.detail["number"] for one in found if one is not None]

    assert [await numbers(minutes) for minutes in (0, 1, 3, 7)] == [
        [0, 1, 2, 3, 4],
        [1, 2, 3, 4],
        [2, 3, 4],
        [],
    ]
