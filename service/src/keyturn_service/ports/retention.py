"""What removes old records of the audit, and what has to lie elsewhere before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from keyturn_service.domain.retention import SignedMark


class ArchiveUnavailable(Exception):
    """A checkpoint could not be written or read; the text says what and why."""


class CheckpointArchive(Protocol):
    """Where signed checkpoints go by themselves: a place that the database's writers cannot reach.

    It only grows: nothing in it is ever written over or removed by the service.
    """

    async def put(self, document: bytes, *, made_at: datetime) -> None:
        """Keep a checkpoint, whole or not at all; return once it would survive a crash.

        Raises:
            ArchiveUnavailable: it could not be kept.
        """
        ...

    async def newest(self, *, not_after: datetime) -> bytes | None:
        """Return the last checkpoint that was made until then; who signed it is not looked at.

        One from after it would hide those that were made since: a clock was wrong.

        Raises:
            ArchiveUnavailable: the archive could not be read.
        """
        ...


class TrimMarks(Protocol):
    """How far chains of the audit were trimmed."""

    async def all(self) -> Sequence[SignedMark]:
        """Return all marks, in whatever order; who signed them is not looked at.

        A row that is no mark comes with an empty signature.
        """
        ...

    async def get(self, writer: str) -> SignedMark | None:
        """Return the mark of one chain."""
        ...

    async def trim(self, signed: SignedMark, *, since: int) -> bool:
        """Remove the records behind sequence `since` up to the mark's, and keep the mark.

        All or nothing. False, and nothing is removed, where the chain does not stand as the
        caller has seen it.
        """
        ...

    async def forget(self, writers: Sequence[str], signed: SignedMark) -> None:
        """Remove the marks of chains that are gone, and keep the mark that says so."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How a piece of work went that one replica at a time does.

    `succeeded_at` is when it last did; `problem` what it failed on since, None where on nothing.
    """

    name: str
    succeeded_at: datetime | None
    problem: str | None


class AuditTurns(Protocol):
    """Whose turn it is, by the database's clock."""

    async def claim(self, name: str, *, ttl: timedelta, most: timedelta) -> bool:
        """Take the turn if it is due; it is due again after `ttl` if nobody says how it ended.

        It is due as well where that lies further ahead than `most`: nobody of us said so.
        """
        ...

    async def succeeded(self, name: str, *, at: datetime, pause: timedelta) -> None:
        """Say that it was done; it is due again after `pause`."""
        ...

    async def failed(self, name: str, problem: str, *, pause: timedelta) -> datetime | None:
        """Say what it failed on; it is due again after `pause`. Return when it last succeeded."""
        ...

    async def all(self) -> Sequence[Turn]:
        """Return how each went, in order of names; none that was never claimed."""
        ...
