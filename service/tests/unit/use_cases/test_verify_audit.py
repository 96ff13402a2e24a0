"""`VerifyAudit`: every chain, those only a checkpoint knows included, to the first bad record."""

from __future__ import annotations

from datetime import timedelta

from service.tests.support.audit_chains import (
    MemoryAuditChains,
    MemoryMarks,
    PlainSigner,
    a_chain,
    end_of,
    mark_at,
    signed_mark,
)
from service.tests.support.values import START

from keyturn_service.domain.audit import CHAIN_START
from keyturn_service.domain.audit_check import BadRecord, Wrong
from keyturn_service.domain.checkpoint import Checkpoint
from keyturn_service.domain.retention import FORGOTTEN, SignedMark, TrimMark
from keyturn_service.use_cases.verify_audit import Verdict, VerifyAudit

A, B, C = a_chain("run_a", 3, closed=True), a_chain("run_b", 4), a_chain("run_c", 2, closed=True)


def signed(*chains: list) -> Checkpoint:
    """Return a checkpoint of chains."""
    return Checkpoint(made_at=START, chains=[end_of(chain) for chain in chains])


def house(*, a: list = A, b: list = B, c: list = C) -> MemoryAuditChains:
    """Return three chains, of which those that are empty are not there."""
    chains = {"run_a": a, "run_b": b, "run_c": c}
    return MemoryAuditChains({writer: chain for writer, chain in chains.items() if chain})


async def verdict(
    chains: MemoryAuditChains,
    checkpoint: Checkpoint | None = None,
    marks: MemoryMarks | None = None,
) -> Verdict:
    """Verify the chains."""
    verify = VerifyAudit(
        chains=chains,
        marks=marks or MemoryMarks(chains),
        is_signed=lambda message, signature: PlainSigner().sign(message) == signature,
    )
    return await verify(checkpoint)


async def test_whole_chains_are_counted() -> None:
    """With their records, and those that have no end; with a checkpoint the same."""
    expected = Verdict(chains=3, records=9, unclosed=1, bad=None)

    assert await verdict(house()) == expected
    assert await verdict(house(), signed(A, B, C)) == expected
    assert await verdict(house(), signed(A, B[:2])) == expected


async def test_nothing_at_all_is_whole() -> None:
    """As long as no checkpoint knows more."""
    assert await verdict(MemoryAuditChains({})) == Verdict(
        chains=0, records=0, unclosed=0, bad=None
    )


async def test_the_first_chain_s_bad_record_is_named_and_ends_it() -> None:
    """Nothing is read behind it."""
    chains = house(a=A[:1] + A[2:], b=B[1:])

    found = await verdict(chains)

    bad = BadRecord(writer="run_a", sequence=2, wrong=Wrong.DELETED)
    assert found == Verdict(chains=1, records=1, unclosed=1, bad=bad)
    assert chains.read == [("run_a", 1), ("run_a", 3)]


async def test_a_bad_record_ends_the_reading_of_its_chain() -> None:
    """Where it is certain what is wrong."""
    chains = house(b=[B[0], *a_chain("run_b", 4)[:1], *B[2:]])

    found = await verdict(chains)

    assert found.bad == BadRecord(writer="run_b", sequence=1, wrong=Wrong.EDITED)
    assert chains.read[-1] == ("run_b", 1)
    assert found.records == 4


async def test_a_row_in_no_chain_is_named_before_all_chains() -> None:
    """The first one by name and place."""
    chains = house(a=A[1:])
    chains.lost = [
        BadRecord(writer="run_b", sequence=1, wrong=Wrong.EDITED),
        BadRecord(writer="run_a", sequence=9, wrong=Wrong.EDITED),
        BadRecord(writer="run_a", sequence=1, wrong=Wrong.EDITED),
    ]

    found = await verdict(chains)

    assert found == Verdict(chains=0, records=0, unclosed=0, bad=chains.lost[2])
    assert chains.read == []


async def test_a_chain_that_only_the_checkpoint_knows_is_named() -> None:
    """In its turn: before the chains behind it."""
    chains = house(b=[], c=C[1:])

    found = await verdict(chains, signed(A, B, C))

    assert found.bad == BadRecord(writer="run_b", sequence=1, wrong=Wrong.LEFT_OUT)
    assert found.chains == 2


async def test_each_chain_is_held_against_its_own_end() -> None:
    """Not against another's."""
    found = await verdict(house(c=C[:1]), signed(A, B, C))

    assert found.bad == BadRecord(writer="run_c", sequence=2, wrong=Wrong.CUT_OFF)
    assert found == Verdict(chains=3, records=8, unclosed=2, bad=found.bad)


class LateMarks(MemoryMarks):
    """Marks of which one is seen only by who asks for it: its chain was trimmed meanwhile."""

    async def all(self) -> list[SignedMark]:
        """Return none."""
        return []


def nothing_before(at: timedelta, *, ours: bool = True) -> SignedMark:
    """Return the mark that stands for marks that went."""
    mark = TrimMark(writer=FORGOTTEN, sequence=0, head=CHAIN_START, whole=True, at=START + at)
    return signed_mark(mark, ours=ours)


async def test_what_retention_removed_is_counted_and_not_missed() -> None:
    """Of a chain that goes on, and of one that is gone."""
    chains = house(a=[], b=B[2:])
    marks = [
        signed_mark(mark_at(A[-1], at=START, whole=True)),
        signed_mark(mark_at(B[1], at=START)),
    ]

    found = await verdict(chains, signed(A, B, C), MemoryMarks(chains, *marks))

    assert found == Verdict(chains=3, records=4, unclosed=1, bad=None, trimmed=5)


async def test_a_mark_that_we_did_not_sign_is_named() -> None:
    """With its place, or without one where it stands for marks that went."""
    chains = house(b=B[2:])
    forged = signed_mark(mark_at(B[1], at=START), ours=False)
    found = await verdict(chains, None, MemoryMarks(chains, forged))
    assert found.bad == BadRecord(writer="run_b", sequence=2, wrong=Wrong.TRIM_FORGED)

    forged = nothing_before(timedelta(), ours=False)
    found = await verdict(chains, None, MemoryMarks(chains, forged))
    assert found.bad == BadRecord(writer=FORGOTTEN, sequence=0, wrong=Wrong.TRIM_FORGED)


async def test_a_chain_that_is_trimmed_meanwhile_is_looked_at_again() -> None:
    """What was missing is removed by now, and has its mark."""
    chains = house(b=B[2:])
    mark = signed_mark(mark_at(B[1], at=START))

    found = await verdict(chains, signed(A, B, C), LateMarks(chains, mark))

    assert found == Verdict(chains=3, records=7, unclosed=1, bad=None, trimmed=2)


async def test_by_a_checkpoint_that_is_too_old_a_chain_that_is_gone_is_not_judged() -> None:
    """The newest one is needed for that."""
    chains = house(b=[])
    late, early = nothing_before(timedelta(days=1)), nothing_before(timedelta())

    found = await verdict(chains, signed(A, B, C), MemoryMarks(chains, late))
    assert found == Verdict(chains=2, records=5, unclosed=0, bad=None, forgotten=1)

    found = await verdict(chains, signed(A, B, C), MemoryMarks(chains, early))
    assert found.bad == BadRecord(writer="run_b", sequence=1, wrong=Wrong.LEFT_OUT)
