"""Reading text files: a byte order mark is no matter, anything else but UTF-8 has a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyturn_builder.text_file import NotText, read_text_file


@pytest.mark.parametrize("content", [b"a\nb\n", b"a\r\nb\r\n", b"a\rb\r", b"\xef\xbb\xbfa\nb\n"])
def test_lines_end_in_one_way_whoever_wrote_them(tmp_path: Path, content: bytes) -> None:
    """Editors differ, and some set a byte order mark."""
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_text_file(path) == "a\nb\n"


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("a\nb = 'é'\n".encode("latin-1"), 2, "byte 0xe9 is not UTF-8"),
        ("\ufeffa\r\nb\r\nc = 'é".encode() + b"\xff", 3, "byte 0xff"),
        ("a\rb\ré".encode("latin-1"), 3, "byte 0xe9"),
        ("a = 1".encode("utf-16"), 1, "UTF-16"),
        (b"\xfe\xff\x00a", 1, "UTF-16"),
    ],
)
def test_what_is_not_utf_8_is_told_with_its_line(
    tmp_path: Path, content: bytes, line: int, said: str
) -> None:
    """And with what mends it."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(NotText, match=said) as refusal:
        read_text_file(path)
    assert refusal.value.line == line
    assert "save the file as UTF-8" in str(refusal.value)


def test_a_file_that_cannot_be_opened_is_told_why(tmp_path: Path) -> None:
    """In the words of the system."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(NotText, match=r"it cannot be opened: .*symbolic links") as refusal:
        read_text_file(loop)
    assert refusal.value.line is None


@pytest.mark.parametrize("name", ["missing", "file/below", ""])
def test_a_file_that_is_not_there_is_told_so(tmp_path: Path, name: str) -> None:
    """A folder of its name is no file."""
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        read_text_file(tmp_path / name)
