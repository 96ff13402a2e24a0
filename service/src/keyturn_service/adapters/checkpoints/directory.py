"""Exported checkpoints in a folder: mounted, or carried on by whatever the operator has."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keyturn_service.adapters.disk import new_file
from keyturn_service.ports import ArchiveUnavailable

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
        name = made_at.astimezone(UTC).strftime(_NAME)
        try:
            await asyncio.to_thread(_put, self.folder, name, document)
        except OSError as error:
            raise ArchiveUnavailable(_words(self.folder / name, error)) from error

    async def newest(self) -> bytes | None:
        """Return the file whose name is the last in order."""
        try:
            return await asyncio.to_thread(newest_in, self.folder)
        except OSError as error:
            raise ArchiveUnavailable(_words(self.folder, error)) from error


def newest_in(folder: Path) -> bytes | None:
    """Return the checkpoint in a folder that was made last; None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    names = [path.name for path in folder.iterdir() if _OURS.fullmatch(path.name)]
    if not names:
        return None
    with (folder / max(names)).open("rb") as file:
        return file.read(_LARGEST)


def _put(folder: Path, name: str, document: bytes) -> None:
    for left in folder.glob(".audit-*.tmp"):  # by a process that was killed, whatever its name
        left.unlink(missing_ok=True)
    with new_file(folder / name, 0o644) as file:
        file.write(document)


def _words(path: Path, error: OSError) -> str:
    return f"{path}: {error.strerror or type(error).__name__}"
