"""Homes that go, also those of runs that were killed."""

from __future__ import annotations

import signal
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


def left_at_work(home: Path) -> subprocess.Popen[str]:
    """Start a wrapper whose program waits in a home; return once that is up."""
    waits = "import sys; print('up', flush=True); sys.stdin.read()"
    wrapped = subprocess.Popen(
        ["/bin/sh", "-c", f'"{sys.executable}" -c "{waits}"; true'],
        env={"HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert wrapped.stdout is not None
    assert wrapped.stdout.readline() == "up\n"
    return wrapped


def test_the_next_run_ends_the_programs_that_a_killed_one_left(tmp_path: Path) -> None:
    """What a wrapper started, too, and nothing that runs in another home."""
    left = tmp_path / "keyturn-sf-left"
    left.mkdir()
    (left / "in-use").touch()
    with left_at_work(left) as ends, left_at_work(tmp_path) as stays:
        assert sweep(tmp_path) == [left]

        assert ends.wait(10) == -signal.SIGKILL
        assert ends.stdout is not None
        assert ends.stdout.read() == ""  # the wrapped program held it open
        assert stays.poll() is None
        stays.communicate()
        assert stays.returncode == 0


def test_what_is_at_work_in_a_home_ends_with_its_run(tmp_path: Path) -> None:
    """An interrupt leaves nothing behind either."""
    with private_home(tmp_path) as home:
        program = left_at_work(home)

    with program:
        assert program.wait(10) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_no_lock_is_left_alone(tmp_path: Path) -> None:
    """It may be a home in the making, or somebody else's."""
    (tmp_path / "keyturn-sf-other").mkdir()
    assert sweep(tmp_path) == []
