"""Export a checkpoint of the audit to where it is kept, when it is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn_service.domain.checkpoint import written_checkpoint
from keyturn_service.ports import (
    ArchiveUnavailable,
    AuditTurns,
    ChainUnreadable,
    CheckpointArchive,
    Clock,
)
from keyturn_service.use_cases.hold_checkpoint import AuditContradicted, HoldCheckpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint

EXPORT: Final = "export"
CLAIM: Final = timedelta(seconds=30)  # within which another replica takes over
RETRY: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCheckpoint:
    """Make and keep a checkpoint, one replica at a time. Safe to run at any time.

    A checkpoint that contradicts the one before is not made: it would sign what somebody changed.
    """

    every: timedelta
    hold: HoldCheckpoint
    make: MakeCheckpoint
    archive: CheckpointArchive
    turns: AuditTurns
    clock: Clock

    async def __call__(self) -> bool:
        """Return whether one was exported.

        Raises:
            AuditContradicted: chains do not fit the checkpoint before.
            ArchiveUnavailable: it could not be kept.
            ChainUnreadable: the last row of a chain is no record.
            StoreUnavailable: the database does not answer.
        """
        if not await self.turns.claim(EXPORT, ttl=CLAIM):
            return False
        try:
            await self._export()
        except (AuditContradicted, ArchiveUnavailable) as error:
            await self.turns.failed(EXPORT, str(error), pause=RETRY)
            raise
        except ChainUnreadable as error:
            problem = f"the last row of chain {error} is no record of ours"
            await self.turns.failed(EXPORT, problem, pause=RETRY)
            raise
        await self.turns.succeeded(EXPORT, at=self.clock.now(), pause=self.every)
        return True

    async def _export(self) -> None:
        held = await self.hold()
        if held.misfits:
            raise AuditContradicted(
                f"chain {held.misfits[0]} does not fit the newest exported checkpoint"
            )
        signed = await self.make()
        document = written_checkpoint(signed).encode()
        await self.archive.put(document, made_at=signed.checkpoint.made_at)
