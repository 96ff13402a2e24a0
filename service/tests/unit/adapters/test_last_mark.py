"""`adapters.spool.last_mark`: what a run leaves to the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn_service.adapters.spool.last_mark import LastMark, Mark

MARK = Mark("run_one", 7, b"\x00\xff")


def test_what_was_kept_is_read_by_the_next_run(tmp_path: Path) -> None:
    """The latest, and nothing lies beside it."""
    last = LastMark(tmp_path / "last-mark")
    assert last.read() is None

    for mark in (Mark("run_one", 6, b"six"), MARK, MARK):
        last.keep(mark)

    assert LastMark(tmp_path / "last-mark").read() == MARK
    assert [one.name for one in tmp_path.iterdir()] == ["last-mark"]


def test_what_was_kept_is_not_written_again(tmp_path: Path) -> None:
    """A replica that nobody asks for anything wears no disk out."""
    last = LastMark(tmp_path / "last-mark")
    last.keep(MARK)
    last.path.unlink()

    last.keep(MARK)

    assert not last.path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"writer": "a", "sequence": 1}'])
def test_what_is_damaged_is_as_if_it_were_not_there(tmp_path: Path, text: str) -> None:
    """It is one witness of several, and no reason not to start."""
    (tmp_path / "last-mark").write_text(text)

    assert LastMark(tmp_path / "last-mark").read() is None


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    """It is tried again the next time."""
    last = LastMark(tmp_path / "away" / "last-mark")
    last.keep(MARK)
    (tmp_path / "away").mkdir()

    last.keep(MARK)

    assert last.read() == MARK
