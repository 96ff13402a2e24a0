"""A home directory for `sf` that holds an authorization for one run and is removed after it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PREFIX: Final = "keyturn-sf-"
_LOCK: Final = "in-use"
_COMING: Final = "in-use.coming"
_PROGRAM: Final = "program"


@contextmanager
def private_home(parent: Path | None = None) -> Iterator[Path]:
    """Lend a home that only this user can read.

    One that a killed run left behind is removed by the next run: its lock ended with it.
    """
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (home / _COMING).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (home / _COMING).rename(home / _LOCK)  # locked before another run can find it
            yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove homes that no living run holds, and end what still runs in them; return them."""
    gone = []
    for home in parent.glob(f"{_PREFIX}*"):
        if _is_held(home):
            continue
        _end_program(home)
        shutil.rmtree(home, ignore_errors=True)
        gone.append(home)
    return gone


def note_program(home: Path, pid: int) -> None:
    """Note which program runs in a home, for the case that it outlives its run."""
    (home / _PROGRAM).write_text(str(pid), encoding="utf-8")


def _end_program(home: Path) -> None:
    """End the program that a killed run left at work, so that it does nothing behind our back.

    It is known by its environment: the number alone may be another program's by now.
    """
    with contextlib.suppress(OSError, ValueError):
        pid = int((home / _PROGRAM).read_text(encoding="utf-8"))
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        if f"HOME={home}".encode() in environment.split(b"\0"):
            os.kill(pid, signal.SIGKILL)


def _is_held(home: Path) -> bool:
    """Tell whether a run holds the home; one of another user's, or not locked yet, counts too."""
    try:
        with (home / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
