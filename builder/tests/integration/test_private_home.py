"""Homes that go, also those of runs that were killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from keyturn_builder.private_home import private_home, sweep

DIES = """
import os, pathlib, signal, sys
from keyturn_builder.private_home import private_home
with private_home(pathlib.Path(sys.argv[1])) as home:
    (home / "token").write_text("dummy")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_home_goes_with_its_run(tmp_path: Path) -> None:
    """With all that was put there."""
    with private_home(tmp_path) as home:
        (home / "token").write_text("dummy")
        assert sweep(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    """Its lock ended with it."""
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "token").exists()

    with private_home(tmp_path):
        assert not left.exists()


def test_a_folder_that_holds_no_lock_is_left_alone(tmp_path: Path) -> None:
    """It may be a home in the making, or somebody else's."""
    (tmp_path / "keyturn-sf-other").mkdir()
    assert sweep(tmp_path) == []
