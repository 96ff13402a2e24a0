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
_PROCESSES: Final = Path("/proc")  # of Linux; elsewhere a program that is left ends by itself


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
        _end_programs(home)
        shutil.rmtree(home, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove homes that no living run holds, and end what still runs in them; return them."""
    gone = []
    for home in parent.glob(f"{_PREFIX}*"):
        if _is_held(home):
            continue
        _end_programs(home)
        shutil.rmtree(home, ignore_errors=True)
        gone.append(home)
    return gone


def _end_programs(home: Path) -> None:
    """End what a run left at work in its home, so that it does nothing behind our back.

    All of it has the home in its environment, also what a wrapper around `sf` started.
    """
    mark = f"HOME={home}".encode()
    while sum(_killed(process, mark) for process in _PROCESSES.glob("[0-9]*")):
        continue  # one may have started another before it was killed


def _killed(process: Path, mark: bytes) -> bool:
    with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
        if mark in (process / "environ").read_bytes().split(b"\0"):
            os.kill(int(process.name), signal.SIGKILL)
            return True
    return False


def _is_held(home: Path) -> bool:
    """Tell whether a run holds the home; one of another user's, or not locked yet, counts too."""
    try:
        with (home / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
