"""Export a checkpoint of the audit to where it is kept, when it is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

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
_log = structlog.get_logger()


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
        most = max(self.every, CLAIM, RETRY)
        if not await self.turns.claim(EXPORT, ttl=CLAIM, most=most):
            return False
        try:
            await self._export()
        except (AuditContradicted, ArchiveUnavailable) as error:
            await self._failed(error, str(error))
            raise
        except ChainUnreadable as error:
            await self._failed(error, f"the last row of chain {error} is no record of ours")
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

    async def _failed(self, error: Exception, problem: str) -> None:
        """Say so in the database, and in the log: with the seconds since one was exported."""
        succeeded_at = await self.turns.failed(EXPORT, problem, pause=RETRY)
        age = None if succeeded_at is None else (self.clock.now() - succeeded_at).total_seconds()
        _log.error("checkpoint_not_exported", error=type(error).__name__, seconds=age)
