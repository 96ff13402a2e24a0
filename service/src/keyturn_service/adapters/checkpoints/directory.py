"""Exported checkpoints in a folder: mounted, or carried on by whatever the operator has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from keyturn_service.adapters.disk import new_file
from keyturn_service.ports import ArchiveUnavailable

_log = structlog.get_logger()
_NAME: Final = "audit-%Y%m%dT%H%M%S.%fZ.json"
_OURS: Final = re.compile(r"audit-\d{8}T\d{6}\.\d{6}Z\.json")
_LARGEST: Final = 256 * 1024 * 1024  # bytes; of a million chains


@dataclass(frozen=True, slots=True)
class DirectoryArchive:
    """`ports.CheckpointArchive`: a file for each checkpoint; names sort by time.

    Each is written as `disk.new_file` says, and never over another.
    """

    folder: Path

    async def put(self, document: bytes, *, made_at: datetime) -> None:
        """Keep a checkpoint, whole or not at all."""
        name = _name(made_at)
        try:
            await asyncio.to_thread(_put, self.folder, name, document)
        except OSError as error:
            raise ArchiveUnavailable(_words(self.folder / name, error)) from error

    async def newest(self, *, not_after: datetime) -> bytes | None:
        """Return the file whose name is the last in order until then; log that there are others."""
        try:
            ahead = await asyncio.to_thread(ahead_in, self.folder, not_after)
            newest = await asyncio.to_thread(newest_in, self.folder, not_after)
        except OSError as error:
            raise ArchiveUnavailable(_words(self.folder, error)) from error
        if ahead:
            _log.error("checkpoint_from_ahead", name=ahead[-1], count=len(ahead))
        return newest


def newest_in(folder: Path, not_after: datetime) -> bytes | None:
    """Return the last checkpoint in a folder that was made until then; None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    names = [name for name in _names_in(folder) if name <= _name(not_after)]
    if not names:
        return None
    with (folder / names[-1]).open("rb") as file:
        return file.read(_LARGEST)


def ahead_in(folder: Path, of: datetime) -> Sequence[str]:
    """Return the names of the checkpoints in a folder that were made after a moment, in order.

    Raises:
        OSError: it cannot be read.
    """
    return [name for name in _names_in(folder) if name > _name(of)]


def _names_in(folder: Path) -> Sequence[str]:
    return sorted(path.name for path in folder.iterdir() if _OURS.fullmatch(path.name))


def _name(made_at: datetime) -> str:
    return made_at.astimezone(UTC).strftime(_NAME)


def _put(folder: Path, name: str, document: bytes) -> None:
    for left in folder.glob(".audit-*.tmp"):  # by a process that was killed, whatever its name
        left.unlink(missing_ok=True)
    with new_file(folder / name, 0o644) as file:
        file.write(document)


def _words(path: Path, error: OSError) -> str:
    return f"{path}: {error.strerror or type(error).__name__}"
