"""Remove old records of the audit, as far as an exported checkpoint vouches for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from keyturn_service.domain.audit import CHAIN_START, AuditEvent
from keyturn_service.domain.checkpoint import ChainEnd, Checkpoint
from keyturn_service.domain.retention import (
    FORGOTTEN,
    ChainNotWhole,
    SignedMark,
    TrimMark,
    next_mark,
)
from keyturn_service.ports import (
    ArchiveUnavailable,
    AuditChains,
    AuditLog,
    AuditTurns,
    CheckpointSigner,
    Clock,
    Incidents,
    TrimMarks,
)
from keyturn_service.use_cases.hold_checkpoint import AuditContradicted, Held, HoldCheckpoint

TRIM: Final = "trim"
BATCH: Final = 500  # records that one transaction removes
BEFORE_INCIDENT: Final = timedelta(minutes=10)  # what led to it is evidence: see `ReportIncident`
_CLAIM: Final = timedelta(seconds=30)  # within which another replica takes over
_WORK: Final = 10.0  # seconds after which the turn is given on
PAUSE: Final = timedelta(hours=1)
_RETRY: Final = timedelta(minutes=1)
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimAudit:
    """Remove what is older than `keep`, batch by batch, one replica at a time.

    A batch and the signed mark that stands for it are one transaction, so that whoever is killed
    leaves nothing half done. A chain that is not whole, or does not fit the checkpoint, is left
    as it is: it is evidence.
    """

    keep: timedelta
    hold: HoldCheckpoint
    chains: AuditChains
    marks: TrimMarks
    signer: CheckpointSigner
    incidents: Incidents
    turns: AuditTurns
    audit: AuditLog
    clock: Clock

    async def __call__(self) -> int:
        """Return how many records were removed.

        Raises:
            AuditContradicted: the newest exported checkpoint, or a mark, is not signed by us.
            ArchiveUnavailable: the exported checkpoints could not be read.
            AuditUnavailable: nothing was removed, as it could not be recorded.
            StoreUnavailable: the database does not answer.
        """
        if not await self.turns.claim(TRIM, ttl=_CLAIM, most=PAUSE):
            return 0
        try:
            held = await self.hold()
        except (AuditContradicted, ArchiveUnavailable) as error:
            await self.turns.failed(TRIM, str(error), pause=_RETRY)
            _log.error("audit_not_trimmed", error=type(error).__name__)
            raise
        if held.checkpoint is None:
            problem = "no checkpoint was exported yet, so nothing vouches for what is removed"
            await self.turns.failed(TRIM, problem, pause=_RETRY)
            return 0
        return await self._trim(held, held.checkpoint)

    async def _trim(self, held: Held, checkpoint: Checkpoint) -> int:
        before = await self._before()
        await self._forget(held, checkpoint)
        ends_at = self.clock.monotonic() + _WORK
        begun = await self.chains.begun_before(before)  # the others have nothing to be removed
        removed, problem = 0, None
        for end in checkpoint.chains:
            mark = held.marks.get(end.writer)
            if end.writer in held.misfits:
                problem = f"chain {end.writer} does not fit the newest exported checkpoint"
                _log.error("audit_not_trimmed", error="AuditContradicted")
                continue
            if end.writer not in begun:
                continue
            while mark is None or not (mark.whole or mark.sequence >= end.length):
                if self.clock.monotonic() > ends_at:
                    await self.turns.succeeded(TRIM, at=self.clock.now(), pause=timedelta())
                    return removed
                try:
                    following = await self._batch(mark, end, before, first=not removed)
                except ChainNotWhole as error:
                    writer, sequence = error.args
                    problem = f"record {sequence} of chain {writer} is not as it was written"
                    _log.error("audit_not_trimmed", error="ChainNotWhole")
                    break
                if following is None:
                    break
                removed += following.sequence - (0 if mark is None else mark.sequence)
                mark = following
        if problem is None:
            await self.turns.succeeded(TRIM, at=self.clock.now(), pause=PAUSE)
        else:
            await self.turns.failed(TRIM, problem, pause=PAUSE)
        return removed

    async def _before(self) -> datetime:
        """Return the moment from which on everything stays."""
        before = self.clock.now() - self.keep
        opened_at = await self.incidents.under_way_since()
        return before if opened_at is None else min(before, opened_at - BEFORE_INCIDENT)

    async def _batch(
        self, mark: TrimMark | None, end: ChainEnd, before: datetime, *, first: bool
    ) -> TrimMark | None:
        """Remove the next records of a chain; return its mark, None where none was to be removed.

        Raises:
            ChainNotWhole: one of them is not as it was written.
        """
        since = 0 if mark is None else mark.sequence
        page = await self.chains.page(end.writer, after=since, limit=BATCH + 1)
        now = self.clock.now()
        following = next_mark(page, mark=mark, end=end, before=before, at=now, most=BATCH)
        if following is None:
            return None
        if first:
            await self.audit.record(
                AuditEvent(
                    type="audit.trimmed",
                    at=now,
                    workspace_id=None,
                    actor="system",
                    detail={"older_than": before.isoformat()},
                )
            )
        return following if await self.marks.trim(self._signed(following), since=since) else None

    async def _forget(self, held: Held, checkpoint: Checkpoint) -> None:
        """Remove marks of chains that are gone and that the exported checkpoint does not know."""
        known = {end.writer for end in checkpoint.chains}
        gone = [
            mark.writer
            for mark in held.marks.values()
            if mark.whole
            and mark.writer not in known
            and mark.at < checkpoint.made_at
            and mark.writer != FORGOTTEN
        ][:BATCH]
        if not gone:
            return
        forgotten = held.marks.get(FORGOTTEN)
        made_at = checkpoint.made_at
        mark = TrimMark(
            writer=FORGOTTEN,
            sequence=0,
            head=CHAIN_START,
            whole=True,
            at=made_at if forgotten is None else max(made_at, forgotten.at),
        )
        await self.marks.forget(gone, self._signed(mark))

    def _signed(self, mark: TrimMark) -> SignedMark:
        return SignedMark(mark=mark, signature=self.signer.sign(mark.message()))
