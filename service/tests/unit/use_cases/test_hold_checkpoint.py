"""`HoldCheckpoint`: which chains do not fit what was exported of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from service.tests.support.audit_chains import (
    MemoryArchive,
    MemoryAuditChains,
    MemoryMarks,
    PlainSigner,
    a_chain,
    end_of,
    mark_at,
    signed_mark,
)
from service.tests.support.fakes import FakeClock
from service.tests.support.values import START

from keyturn_service.domain.audit import CHAIN_START
from keyturn_service.domain.checkpoint import Checkpoint, SignedCheckpoint, written_checkpoint
from keyturn_service.domain.retention import FORGOTTEN, SignedMark, TrimMark
from keyturn_service.use_cases.hold_checkpoint import AuditContradicted, Held, HoldCheckpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint

A, B = a_chain("run_a", 3, closed=True), a_chain("run_b", 4)
SIGNER = PlainSigner()


async def exported() -> bytes:
    """Return a checkpoint of both chains."""
    chains = MemoryAuditChains({"run_a": A, "run_b": B})
    return written_checkpoint(
        await MakeCheckpoint(chains=chains, signer=SIGNER, clock=FakeClock())()
    ).encode()


async def held(chains: MemoryAuditChains, document: bytes, *marks: SignedMark) -> Held:
    """Hold chains and marks against a checkpoint."""
    archive = MemoryArchive(document) if document else MemoryArchive()
    kept = MemoryMarks(chains, *marks)
    return await HoldCheckpoint(
        archive=archive, chains=chains, marks=kept, signer=SIGNER, clock=FakeClock()
    )()


async def test_chains_that_stand_or_were_trimmed_fit() -> None:
    """With the marks that stand for what went."""
    mark = mark_at(A[-1], at=START, whole=True)
    chains = MemoryAuditChains({"run_b": a_chain("run_b", 6)})

    found = await held(chains, await exported(), signed_mark(mark))

    assert found.checkpoint == Checkpoint(made_at=START, chains=[end_of(A), end_of(B)])
    assert (found.marks, found.misfits) == ({"run_a": mark}, [])


async def test_chains_that_were_cut_off_or_left_out_do_not() -> None:
    """Nor those whose mark does not reach as far as the checkpoint."""
    early = signed_mark(mark_at(A[0], at=START))
    chains = MemoryAuditChains({"run_b": B[:3]})

    assert (await held(chains, await exported(), early)).misfits == ["run_a", "run_b"]


async def test_the_newest_is_none_of_a_clock_that_was_ahead() -> None:
    """By more than the clocks of two replicas may differ."""
    archive, chains = MemoryArchive(), MemoryAuditChains({})

    await HoldCheckpoint(
        archive=archive,
        chains=chains,
        marks=MemoryMarks(chains),
        signer=SIGNER,
        clock=FakeClock(),
    )()

    assert archive.not_after == START + timedelta(minutes=10)


async def test_before_the_first_checkpoint_everything_fits() -> None:
    """There is none to hold anything against."""
    found = await held(MemoryAuditChains({"run_b": B}), b"")

    assert (found.checkpoint, found.misfits) == (None, [])


async def test_by_an_older_checkpoint_a_chain_whose_mark_went_is_not_judged() -> None:
    """One that has a mark, or is as old as what was forgotten, is."""
    chains = MemoryAuditChains({})
    early = signed_mark(mark_at(B[0], at=START))
    for age, misfits in ((1, ["run_b"]), (0, ["run_a", "run_b"])):
        at = START + timedelta(minutes=age)
        nothing = TrimMark(writer=FORGOTTEN, sequence=0, head=CHAIN_START, whole=True, at=at)

        found = await held(chains, await exported(), early, signed_mark(nothing))

        assert found.misfits == misfits


async def test_what_we_did_not_sign_is_refused() -> None:
    """A mark, a checkpoint, or a file that is none."""
    chains, ours = MemoryAuditChains({"run_a": A, "run_b": B}), await exported()
    checkpoint = Checkpoint(made_at=START, chains=[])
    theirs = SignedCheckpoint(checkpoint=checkpoint, public_key=bytes(32), signature=bytes(64))
    forged = signed_mark(mark_at(A[1], at=START), ours=False)

    with pytest.raises(AuditContradicted, match="chain run_a"):
        await held(chains, ours, forged)
    with pytest.raises(AuditContradicted, match="another installation"):
        await held(chains, written_checkpoint(theirs).encode())
    with pytest.raises(AuditContradicted, match="none"):
        await held(chains, b"x")
