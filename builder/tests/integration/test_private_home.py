"""Homes that go, also those of runs that were killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from keyturn_builder.private_home import note_program, private_home, sweep

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


def test_the_next_run_ends_the_program_that_a_killed_one_left(tmp_path: Path) -> None:
    """And no other program that has its number by now."""
    for home, ends in ((tmp_path / "keyturn-sf-left", True), (tmp_path / "keyturn-sf-old", False)):
        home.mkdir()
        (home / "in-use").touch()
        its_home = home if ends else tmp_path
        waits = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
        with subprocess.Popen(
            waits,
            env={"HOME": str(its_home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None
            assert program.stdin is not None
            assert program.stdout.readline() == "up\n"
            note_program(home, program.pid)

            assert sweep(tmp_path) == [home]

            program.stdin.close()
            assert program.wait(10) == (-signal.SIGKILL if ends else 0)


def test_a_folder_that_holds_no_lock_is_left_alone(tmp_path: Path) -> None:
    """It may be a home in the making, or somebody else's."""
    (tmp_path / "keyturn-sf-other").mkdir()
    assert sweep(tmp_path) == []
