"""A home directory for `sf` that holds an authorization for one run and is removed after it."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PREFIX: Final = "keyturn-sf-"
_LOCK: Final = "in-use"


@contextmanager
def private_home(parent: Path | None = None) -> Iterator[Path]:
    """Lend a home that only this user can read.

    One that a killed run left behind is removed by the next run: its lock ended with it.
    """
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (home / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def sweep(parent: Path) -> list[Path]:
    """Remove homes that no living run holds; return them."""
    gone = []
    for home in parent.glob(f"{_PREFIX}*"):
        if _is_held(home):
            continue
        shutil.rmtree(home, ignore_errors=True)
        gone.append(home)
    return gone


def _is_held(home: Path) -> bool:
    """Tell whether a run holds the home; one of another user's, or not locked yet, counts too."""
    try:
        with (home / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
