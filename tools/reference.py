"""Write the generated parts of `docs/reference/` between their markers.

A part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`; what is outside is
written by hand. `python -m tools.reference` writes all of them; a test compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from keyturn_builder.config_file import schema_text
from tools.reference_builder import builder_errors, config_keys, lint_rules
from tools.reference_code import command_help, port_index, port_methods, settings_table
from tools.reference_http import call_index, calls, error_tables, wire_types

PAGES: Final = Path("docs/reference")
SCHEMA: Final = PAGES / "keyturn.schema.json"
_PART: Final = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[a-z ]+) -->\n).*?(?P<end><!-- end: (?P=name) -->)",
    re.DOTALL,
)
PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": settings_table,
    "errors": error_tables,
    "call index": call_index,
    "calls": calls,
    "wire types": wire_types,
    "commands": command_help,
    "port index": port_index,
    "port methods": port_methods,
    "keyturn toml": config_keys,
    "builder errors": builder_errors,
    "lint rules": lint_rules,
}


def written(text: str) -> str:
    """Return a page with its generated parts as the code would write them now.

    Raises:
        KeyError: a marker names no part.
    """

    def part(match: re.Match[str]) -> str:
        return f"{match['begin']}\n{PARTS[match['name']]().strip()}\n\n{match['end']}"

    return _PART.sub(part, text)


def parts_in(text: str) -> list[str]:
    """Return the names of the generated parts of a page."""
    return [match["name"] for match in _PART.finditer(text)]


def main() -> int:
    """Write every page anew; return the exit status."""
    changed = 0
    for page in sorted(PAGES.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = written(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            changed += 1
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    print(f"reference: {changed} pages written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
