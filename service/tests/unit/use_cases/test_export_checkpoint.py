"""`ExportCheckpoint`: due, made, kept, or told why not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from service.tests.support.audit_chains import (
    MemoryArchive,
    MemoryAuditChains,
    MemoryMarks,
    MemoryTurns,
    PlainSigner,
    a_chain,
    end_of,
)
from service.tests.support.fakes import FakeClock
from service.tests.support.values import START
from structlog.testing import capture_logs

from keyturn_service.domain.checkpoint import ChainEnd, read_checkpoint
from keyturn_service.ports import ArchiveUnavailable, ChainUnreadable, Turn
from keyturn_service.use_cases.export_checkpoint import EXPORT, RETRY, ExportCheckpoint
from keyturn_service.use_cases.hold_checkpoint import AuditContradicted, HoldCheckpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint

HOUR = timedelta(hours=1)
CHAIN = a_chain("run_a", 3)


class UnreadableChains(MemoryAuditChains):
    """Chains of which one ends with nonsense."""

    async def ends(self) -> Sequence[ChainEnd]:
        """Find that."""
        raise ChainUnreadable("run_a")


def export(
    chains: MemoryAuditChains, archive: MemoryArchive, turns: MemoryTurns
) -> ExportCheckpoint:
    """Return the use case."""
    signer, clock = PlainSigner(), FakeClock()
    return ExportCheckpoint(
        every=HOUR,
        hold=HoldCheckpoint(
            archive=archive, chains=chains, marks=MemoryMarks(chains), signer=signer, clock=clock
        ),
        make=MakeCheckpoint(chains=chains, signer=signer, clock=clock),
        archive=archive,
        turns=turns,
        clock=clock,
    )


async def test_what_is_due_is_exported_one_after_the_other() -> None:
    """The next one is due an hour later."""
    archive, turns = MemoryArchive(), MemoryTurns()
    chains = MemoryAuditChains({"run_a": CHAIN[:2]})

    assert await export(chains, archive, turns)()
    chains.kept["run_a"] = CHAIN
    assert await export(chains, archive, turns)()

    said = [list(read_checkpoint(one).checkpoint.chains) for one in archive.kept]
    assert said == [[end_of(CHAIN[:2])], [end_of(CHAIN)]]
    assert turns.said == [(EXPORT, None, HOUR)] * 2


async def test_what_is_not_due_is_left_alone() -> None:
    """Another replica has the turn."""
    archive, turns = MemoryArchive(), MemoryTurns(due=False)

    assert not await export(MemoryAuditChains({}), archive, turns)()

    assert (archive.kept, turns.said) == ([], [])


async def test_an_audit_that_was_changed_is_not_signed() -> None:
    """It says which chain, and tries again soon."""
    archive, turns = MemoryArchive(), MemoryTurns()
    chains = MemoryAuditChains({"run_a": CHAIN})
    await export(chains, archive, turns)()
    chains.kept["run_a"] = CHAIN[:2]

    with pytest.raises(AuditContradicted):
        await export(chains, archive, turns)()

    assert len(archive.kept) == 1
    problem = "chain run_a does not fit the newest exported checkpoint"
    assert turns.said[-1] == (EXPORT, problem, RETRY)


async def test_where_nothing_can_be_kept_it_says_so() -> None:
    """And tries again soon."""
    archive = MemoryArchive()
    turns = MemoryTurns(Turn(name=EXPORT, succeeded_at=START - HOUR, problem=None))
    archive.away = True

    with capture_logs() as logs, pytest.raises(ArchiveUnavailable):
        await export(MemoryAuditChains({}), archive, turns)()

    assert turns.said == [(EXPORT, "the folder is away", RETRY)]
    assert logs == [
        {
            "event": "checkpoint_not_exported",
            "log_level": "error",
            "error": "ArchiveUnavailable",
            "seconds": 3600,
        }
    ]


async def test_a_chain_that_ends_with_nonsense_is_named() -> None:
    """Nothing is signed then."""
    archive, turns = MemoryArchive(), MemoryTurns()

    with pytest.raises(ChainUnreadable):
        await export(UnreadableChains({}), archive, turns)()

    assert archive.kept == []
    assert turns.said == [(EXPORT, "the last row of chain run_a is no record of ours", RETRY)]
