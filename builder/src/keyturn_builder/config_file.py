"""Reads `keyturn.toml`: every complaint has file, line and remedy."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from keyturn_builder.app_config import AppConfig, Table
from keyturn_builder.errors import BuilderError, Finding
from keyturn_builder.text_file import NotText, read_text_file

FILE_NAME: Final = "keyturn.toml"
_AT_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_HEADER: Final = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]+\s*(?:#.*)?")
_KEY: Final = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[^=\s]+)*)\s*=""")
_REMEDIES: Final = {
    "missing": "add it",
    "extra_forbidden": "remove it, or mend its name: `keyturn config schema` lists all keys",
}


def read_config(path: Path) -> AppConfig:
    """Return what the file says.

    Raises:
        BuilderError: there is none, or it is not right; then with a finding for each mistake.
    """
    try:
        text = read_text_file(path)
    except FileNotFoundError as error:
        raise BuilderError("config_missing", str(path)) from error
    except NotText as error:
        found = Finding(
            file=str(path), line=error.line, message=str(error.args[0]), remedy=error.remedy
        )
        raise BuilderError("config_invalid", findings=[found]) from error
    return parse_config(text, file=str(path))


def parse_config(text: str, *, file: str) -> AppConfig:
    """Return what a text says. `file` is only for the complaints.

    Raises:
        BuilderError: it is not right.
    """
    try:
        read = tomllib.loads(text)
    except RecursionError as error:
        raise BuilderError("config_invalid", findings=[_too_deep(text, file)]) from error
    except ValueError as error:  # also a number of more digits than Python reads
        raise BuilderError("config_invalid", findings=[_not_toml(error, file)]) from error
    try:
        return AppConfig.model_validate(read)
    except ValidationError as error:
        lines = lines_of(text)
        raise BuilderError(
            "config_invalid",
            findings=[_finding(said, lines, file) for said in error.errors()],
        ) from error


def schema_text() -> str:
    """Return the JSON Schema of the file, for editors."""
    schema = AppConfig.model_json_schema()
    named = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE_NAME,
    }
    return json.dumps({**schema, **named}, indent=2, sort_keys=True) + "\n"


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the line, from 1, on which each table and key of a sound TOML text begins.

    Lines inside arrays and texts of several lines are no keys: they are told by trying which
    lines end a whole value.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    found: dict[tuple[str, ...], int] = {(): 1}
    table: tuple[str, ...] = ()
    number = 0
    while number < len(lines):
        line = lines[number]
        if header := _HEADER.fullmatch(line):
            table = _words(header[1])
            found.setdefault(table, number + 1)
        elif key := _KEY.match(line):
            found[table + _words(key[1])] = number + 1
            number = _end_of_value(lines, number)
        number += 1
    return found


def _end_of_value(lines: Sequence[str], begin: int) -> int:
    """Return the index of the line on which the value that begins here ends."""
    for end in range(begin, len(lines)):
        try:
            tomllib.loads("\n".join(lines[begin : end + 1]))
        except (ValueError, RecursionError):
            continue
        return end
    return begin


def _words(dotted: str) -> tuple[str, ...]:
    return tuple(word.strip().strip("\"'") for word in dotted.split("."))


def _too_deep(text: str, file: str) -> Finding:
    """Point at the line on which the most brackets are open; those inside texts count as well."""
    deepest, line, open_now = 0, 1, 0
    for number, said in enumerate(text.split("\n"), start=1):
        for character in said:
            open_now += (character in "[{") - (character in "]}")
            if open_now > deepest:
                deepest, line = open_now, number
    return Finding(
        file=file,
        line=line,
        message="not TOML that can be read: its brackets stand too deep in each other",
        remedy="no key takes a list of lists: leave one pair of brackets",
    )


def _not_toml(error: ValueError, file: str) -> Finding:
    at = _AT_LINE.search(str(error))
    return Finding(
        file=file,
        line=int(at[1]) if at else None,
        message=f"not TOML: {_AT_LINE.sub('', str(error)).strip()}",
        remedy="texts stand in quotes, lists in [ ], tables begin with [name]",
    )


def _finding(said: Any, lines: dict[tuple[str, ...], int], file: str) -> Finding:
    place = tuple(str(part) for part in said["loc"])
    message = str(said["msg"]).removeprefix("Value error, ")
    kind = str(said["type"])
    return Finding(
        file=file,
        line=_line(place, lines),
        place=".".join(_spoken(place)) or FILE_NAME,
        message=message[0].lower() + message[1:],
        remedy=_REMEDIES.get(kind) or _meaning(place),
    )


def _meaning(place: tuple[str, ...]) -> str:
    """Return what the reference says of the nearest key that it knows."""
    known = ""
    table: type[Table] = AppConfig
    for word in place:
        field = table.model_fields.get(word)
        if field is None:
            break
        known = field.description or known
        inner = field.annotation
        if not (isinstance(inner, type) and issubclass(inner, Table)):
            break
        table = inner
    return " ".join(known.split()) or "see keyturn.toml in the reference"


def _spoken(place: tuple[str, ...]) -> Iterator[str]:
    """Leave out the names that pydantic gives to alternatives of a type."""
    yield from (part for part in place if "[" not in part)


def _line(place: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> int:
    """Return the line of a key, or of the nearest table around it."""
    for length in range(len(place), -1, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return 1
