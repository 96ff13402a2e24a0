"""Verify the audit: every chain by itself, and against a checkpoint that was kept elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.audit_check import BadRecord, ChainCheck
from keyturn_service.domain.checkpoint import Checkpoint
from keyturn_service.ports import AuditChains


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was looked at, and the first bad record.

    `records` counts those that are as they were written, `unclosed` the chains without an end:
    their run goes on, or was killed, or only a checkpoint can tell that more is missing. Where a
    bad record is named, nothing was looked at behind it.
    """

    chains: int
    records: int
    unclosed: int
    bad: BadRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyAudit:
    """Look at one chain after the other, in ascending order of their writers' names."""

    chains: AuditChains

    async def __call__(self, checkpoint: Checkpoint | None) -> Verdict:
        """Return the verdict. A checkpoint's signature has to be verified before.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        signed = {end.writer: end for end in checkpoint.chains} if checkpoint is not None else {}
        chains = records = unclosed = 0
        for writer in sorted({*await self.chains.writers(), *signed}):
            check = ChainCheck(writer, signed.get(writer))
            bad = await self._first_bad(check, writer)
            chains += 1
            records += check.length
            unclosed += not check.closed
            if bad is not None:
                return Verdict(chains=chains, records=records, unclosed=unclosed, bad=bad)
        return Verdict(chains=chains, records=records, unclosed=unclosed, bad=None)

    async def _first_bad(self, check: ChainCheck, writer: str) -> BadRecord | None:
        async for record in self.chains.records(writer):
            bad = check.see(record)
            if bad is not None:
                return bad
        return check.end()
