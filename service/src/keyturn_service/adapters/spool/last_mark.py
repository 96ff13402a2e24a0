"""What a run leaves on its disk, so that the next one knows the database it was on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import structlog

from keyturn_service.adapters.disk import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

_log = structlog.get_logger()


class Mark(NamedTuple):
    """An audit record that has to be there as long as the database is the same."""

    writer: str
    sequence: int
    hash: bytes


@dataclass(slots=True)
class LastMark:
    """A file of the spool's folder, with the latest record that was known to be durable."""

    path: Path
    _kept: Mark | None = field(default=None, init=False)

    def read(self) -> Mark | None:
        """Return what the run before left; None where there was none, or it is unreadable."""
        try:
            kept = json.loads(self.path.read_text())
            return Mark(str(kept["writer"]), int(kept["sequence"]), bytes.fromhex(kept["hash"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("last_mark_unreadable", error=type(error).__name__)
            return None

    def keep(self, mark: Mark) -> None:
        """Keep it for the next run; a disk that takes nothing is no reason to stop."""
        if mark == self._kept:
            return
        beside = self.path.with_name(f"{self.path.name}.new")
        text = json.dumps({**mark._asdict(), "hash": mark.hash.hex()})
        try:
            with beside.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            _log.warning("last_mark_not_kept", error=type(error).__name__)
            return
        self._kept = mark
