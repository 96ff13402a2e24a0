"""Hold the audit against the checkpoint that was exported last, before anything builds on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keyturn_service.domain.checkpoint import Checkpoint, CheckpointUnreadable, read_checkpoint
from keyturn_service.domain.retention import FORGOTTEN, SignedMark, TrimMark
from keyturn_service.ports import (
    AuditChains,
    CheckpointArchive,
    CheckpointSigner,
    Clock,
    TrimMarks,
)
from keyturn_service.use_cases.holding_off import SKEW


class AuditContradicted(Exception):
    """The audit and what was exported of it do not agree; the text says on what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The last exported checkpoint, all marks, and which of its chains do not fit it."""

    checkpoint: Checkpoint | None
    marks: Mapping[str, TrimMark]
    misfits: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCheckpoint:
    """Look whether every chain still has the record that the checkpoint knows, or a mark.

    One look at each chain: what else is wrong in it, `VerifyAudit` finds, against any checkpoint.
    One that a clock made which was further ahead than one may be is not the last one.
    """

    archive: CheckpointArchive
    chains: AuditChains
    marks: TrimMarks
    signer: CheckpointSigner
    clock: Clock

    async def __call__(self) -> Held:
        """Return what there is to build on.

        Raises:
            AuditContradicted: the newest checkpoint, or a mark, is not signed by us.
            ArchiveUnavailable: the archive could not be read.
            StoreUnavailable: the database does not answer.
        """
        not_after = self.clock.now() + SKEW
        checkpoint = self._read(await self.archive.newest(not_after=not_after))
        ends = [] if checkpoint is None else checkpoint.chains
        # Before the marks: what somebody trims in between has its mark by then.
        standing = await self.chains.standing(ends)
        marks = {signed.mark.writer: self._ours(signed) for signed in await self.marks.all()}
        missing = [end for end in ends if end.writer not in standing]
        misfits = [
            end.writer
            for end in missing
            if end.writer not in marks or not marks[end.writer].covers(end)
        ]
        if checkpoint is not None and is_older(checkpoint, marks.get(FORGOTTEN)):
            misfits = [writer for writer in misfits if writer in marks]
        return Held(checkpoint=checkpoint, marks=marks, misfits=misfits)

    def _read(self, document: bytes | None) -> Checkpoint | None:
        if document is None:
            return None
        try:
            signed = read_checkpoint(document)
        except CheckpointUnreadable as error:
            raise AuditContradicted(f"the newest exported checkpoint is none: {error}") from None
        if self.signer.sign(signed.checkpoint.message()) != signed.signature:
            raise AuditContradicted(
                "the newest exported checkpoint was changed, or is another installation's"
            )
        return signed.checkpoint

    def _ours(self, signed: SignedMark) -> TrimMark:
        if self.signer.sign(signed.mark.message()) != signed.signature:
            raise AuditContradicted(
                f"what says that chain {signed.mark.writer} was trimmed is not signed by us"
            )
        return signed.mark


def is_older(checkpoint: Checkpoint, forgotten: TrimMark | None) -> bool:
    """Tell whether a checkpoint is from before marks were removed that it may ask for."""
    return forgotten is not None and checkpoint.made_at < forgotten.at
