"""Reads text files that people keep: what is no text is said with its line and what mends it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE_AS: Final = "save the file as UTF-8 in your editor"


class NotText(ValueError):
    """A file cannot be read as text. `line` is where that shows, if it shows on one."""

    def __init__(self, message: str, *, remedy: str, line: int | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.line = line

    def __str__(self) -> str:
        at = "" if self.line is None else f", on line {self.line}"
        return f"{self.args[0]}{at}: {self.remedy}"


def read_text_file(path: Path) -> str:
    """Return the text of a file, its lines ended by a line feed.

    It is UTF-8, with or without a byte order mark.

    Raises:
        FileNotFoundError: there is none, or a folder of that name.
        NotText: it cannot be opened, or holds other bytes than UTF-8.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise FileNotFoundError(str(path)) from error
    except OSError as error:
        raise NotText(
            f"it cannot be opened: {error.strerror}", remedy="let the user of this command read it"
        ) from error
    if content.startswith(_UTF_16):
        raise NotText("it is written in UTF-16", remedy=_SAVE_AS, line=1)
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = _lines(content[: error.start])
        found = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise NotText(found, remedy=_SAVE_AS, line=line) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(before: bytes) -> int:
    """Return the number of the line that comes after these bytes, from 1."""
    return before.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
