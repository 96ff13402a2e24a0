"""`make adr TITLE=` and `make change ID=`: start a page that has its form already."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ADR = """# {number}. {title}

Status: proposed

## Context

What makes a decision necessary, and what is known.

## Options

- **One**: good because …; bad because …
- **Two**: good because …; bad because …

## Decision

What is done, in the present tense.

## Consequences

What becomes easier, what becomes harder, and what would make us decide again.
"""

CHANGE = """What changed, told to the reader it concerns; what they have to do.
"""


def new_adr(title: str) -> Path:
    """Start the next decision record."""
    numbers = [int(path.name[:4]) for path in Path("docs/adr").glob("[0-9]*.md")]
    number = max(numbers, default=0) + 1
    path = Path("docs/adr") / f"{number:04}-{_slug(title)}.md"
    path.write_text(ADR.format(number=number, title=title))
    return path


def new_change(name: str) -> Path:
    """Start a change fragment; a kind other than `added` is given as `name.kind`."""
    stem, _, kind = name.partition(".")
    path = Path("changes") / f"{_slug(stem)}.{kind or 'added'}.md"
    path.write_text(CHANGE)
    return path


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def main(arguments: list[str]) -> int:
    """Start the page and print its path; return the exit status."""
    match arguments:
        case ["adr", str(title)] if title.strip():
            print(new_adr(title))
        case ["change", str(name)] if name.strip():
            print(new_change(name))
        case _:
            print(
                'usage: make adr TITLE="What is decided" | make change ID=short-name',
                file=sys.stderr,
            )
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
