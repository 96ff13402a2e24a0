"""Verify the audit: every chain by itself, and against a checkpoint that was kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from keyturn_service.domain.audit_check import BadRecord, ChainCheck, Wrong
from keyturn_service.domain.checkpoint import ChainEnd, Checkpoint
from keyturn_service.domain.retention import FORGOTTEN, SignedMark
from keyturn_service.ports import AuditChains, TrimMarks
from keyturn_service.use_cases.hold_checkpoint import is_older


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was looked at, and the first bad record.

    `records` counts those that are as they were written, `unclosed` the chains without an end:
    their run goes on, or was killed, or only a checkpoint can tell that more is missing.
    `trimmed` counts what retention removed of these chains. `forgotten` counts chains that nobody
    can judge by this checkpoint: since it was made, retention may have removed them with their
    marks. Where a bad record is named, nothing was looked at behind it.
    """

    chains: int
    records: int
    unclosed: int
    bad: BadRecord | None
    trimmed: int = 0
    forgotten: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyAudit:
    """Look at one chain after the other, in ascending order of their writers' names.

    Before them comes what is in no chain.

    `is_signed` tells whether this installation signed a message.
    """

    chains: AuditChains
    marks: TrimMarks
    is_signed: Callable[[bytes, bytes], bool]

    async def __call__(self, checkpoint: Checkpoint | None) -> Verdict:
        """Return the verdict. A checkpoint's signature has to be verified before.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        signed = {end.writer: end for end in checkpoint.chains} if checkpoint is not None else {}
        marks = {one.mark.writer: one for one in await self.marks.all()}
        forgotten = marks.pop(FORGOTTEN, None)
        if forgotten is not None and not self._is_ours(forgotten):
            forged = BadRecord(writer=FORGOTTEN, sequence=0, wrong=Wrong.TRIM_FORGED)
            return Verdict(chains=0, records=0, unclosed=0, bad=forged)
        since = None if forgotten is None else forgotten.mark
        older = checkpoint is not None and is_older(checkpoint, since)
        strays = await self.chains.strays()
        if strays:
            stray = min(strays, key=lambda bad: (bad.writer, bad.sequence))
            return Verdict(chains=0, records=0, unclosed=0, bad=stray)
        verdict = Verdict(chains=0, records=0, unclosed=0, bad=None)
        for writer in sorted({*await self.chains.writers(), *signed, *marks}):
            check, bad = await self._checked(writer, signed.get(writer), marks.get(writer))
            if bad is not None and bad.wrong is Wrong.LEFT_OUT and older:
                verdict = replace(verdict, forgotten=verdict.forgotten + 1)
                continue
            verdict = replace(
                verdict,
                chains=verdict.chains + 1,
                records=verdict.records + check.length,
                unclosed=verdict.unclosed + (not check.closed),
                trimmed=verdict.trimmed + check.trimmed,
                bad=bad,
            )
            if bad is not None:
                return verdict
        return verdict

    async def _checked(
        self, writer: str, signed: ChainEnd | None, mark: SignedMark | None
    ) -> tuple[ChainCheck, BadRecord | None]:
        """Look at one chain; once more where it was trimmed meanwhile."""
        while True:
            if mark is not None and not self._is_ours(mark):
                sequence = mark.mark.sequence
                forged = BadRecord(writer=writer, sequence=sequence, wrong=Wrong.TRIM_FORGED)
                return ChainCheck(writer, signed), forged
            check = ChainCheck(writer, signed, None if mark is None else mark.mark)
            bad = await self._first_bad(check, writer)
            if bad is None:
                return check, None
            now = await self.marks.get(writer)
            if now == mark:
                return check, bad
            mark = now

    def _is_ours(self, signed: SignedMark) -> bool:
        return self.is_signed(signed.mark.message(), signed.signature)

    async def _first_bad(self, check: ChainCheck, writer: str) -> BadRecord | None:
        async for record in self.chains.records(writer):
            bad = check.see(record)
            if bad is not None:
                return bad
        return check.end()
