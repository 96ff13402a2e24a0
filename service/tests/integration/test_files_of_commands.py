"""Files that commands write for their operator: whole under their name, or not there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from keyturn_service.adapters.disk import new_file
from keyturn_service.cli.evidence import Evidence, EvidenceIsThere

UNLIMITED = -1
# The kernel kills who makes a file longer than that, half-way through a write.
BEGIN = """
import os, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from keyturn_service.cli.audit import _exported
from keyturn_service.cli.evidence import Evidence
from keyturn_service.domain.checkpoint import ChainEnd, Checkpoint, SignedCheckpoint
out = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
longest = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), longest))
"""
EVIDENCE = """
with Evidence.at(out) as evidence:
    for name in ("one", "two"):
        (evidence.folder / name).write_bytes(os.urandom(10_000))
"""
CHECKPOINT = """
ends = tuple(ChainEnd(writer=f"run_{n}", length=1, head=bytes(32)) for n in range(200))
made = Checkpoint(made_at=datetime(2026, 11, 28, tzinfo=UTC), chains=ends)
said = _exported(SignedCheckpoint(checkpoint=made, public_key=bytes(32), signature=bytes(64)), out)
assert said.problem is None, said
"""


def run(script: str, out: Path, *, killed_at: int = UNLIMITED) -> int:
    """Have it write in a process of its own; return how that ended."""
    argv = [sys.executable, "-c", BEGIN + script, str(out), str(killed_at)]
    return subprocess.run(argv, check=False, capture_output=True).returncode


@pytest.mark.parametrize(
    ("script", "name"),
    [(EVIDENCE, "evidence.zip"), (EVIDENCE, "evidence"), (CHECKPOINT, "audit-1.json")],
    ids=["evidence in a zip", "evidence in a folder", "checkpoint"],
)
def test_a_killed_command_leaves_no_half_and_is_run_again(tmp_path, script, name):
    """Nothing is there under the name; the next run writes it, and removes what was left aside."""
    out = tmp_path / name

    killed_at = 9_000 if name == "evidence" else 12_000
    assert run(script, out, killed_at=killed_at) < 0
    assert not out.exists()
    assert list(tmp_path.iterdir()) != []

    assert run(script, out) == 0
    assert list(tmp_path.iterdir()) == [out]
    assert out.is_dir() or out.stat().st_size > killed_at
    assert name != "evidence.zip" or zipfile.is_zipfile(out)


def test_what_is_interrupted_leaves_nothing(tmp_path):
    """As by Ctrl-C."""

    def write() -> None:
        with new_file(tmp_path / "out", 0o644) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["file", "link to nothing"])
def test_what_is_there_is_not_written_over(tmp_path, there):
    """Also where it came while the file was being written; and nothing is left aside."""
    out = tmp_path / "out"

    def write() -> None:
        with new_file(out, 0o644) as file:
            file.write(b"ours")
            out.write_bytes(b"theirs") if there == "file" else out.symlink_to("nothing")

    with pytest.raises(FileExistsError):
        write()

    assert list(tmp_path.iterdir()) == [out]
    assert out.is_symlink() or out.read_bytes() == b"theirs"


def test_evidence_that_came_meanwhile_is_not_written_over(tmp_path):
    """Two who report at once: the second is told."""
    out = tmp_path / "evidence.zip"

    def write() -> None:
        with Evidence.at(out):
            out.write_bytes(b"theirs")

    with pytest.raises(EvidenceIsThere):
        write()

    assert list(tmp_path.iterdir()) == [out]
    assert out.read_bytes() == b"theirs"


def test_evidence_that_another_run_is_writing_stays(tmp_path):
    """Only what nobody holds any more is removed."""
    out = tmp_path / "evidence.zip"

    def write() -> None:
        with Evidence.at(out) as first:
            with Evidence.at(out):
                pass
            found.append(first.folder.is_dir())

    found: list[bool] = []
    with pytest.raises(EvidenceIsThere):
        write()

    assert found == [True]
    assert list(tmp_path.iterdir()) == [out]


def test_a_new_file_is_for_whom_its_mode_says(tmp_path):
    """Evidence is its owner's alone; a name with signs of a pattern is a name."""
    other = tmp_path / ".ab.1.tmp"
    other.write_text("somebody else's")

    with new_file(tmp_path / "[a]b", 0o600) as file:
        file.write(os.urandom(8))

    assert (tmp_path / "[a]b").stat().st_mode & 0o777 == 0o600
    assert other.exists()
