"""What makes a file whole when its name is there, and its name outlive a power cut."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk: a file's own `fsync` leaves that open.

    Raises:
        OSError: the disk does not take them.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def new_file(path: Path, mode: int) -> Iterator[BinaryIO]:
    """Give a file to be written, which gets its name when the block ends without an error.

    It is written aside under a name that begins with a dot, synchronized, and then linked to its
    own name, which fails where that is taken: nothing is ever written over. What a process that
    was killed left aside is removed by the next that writes the same file.

    Raises:
        FileExistsError: the name is taken.
        OSError: the disk does not take it.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.[0-9]*.tmp"):
        with contextlib.suppress(OSError):
            left.unlink()
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)
