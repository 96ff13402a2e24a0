"""Write the docs page of crashes from what the last runs counted.

`python -m tests.fault.report` reads `build/crash-schedules.json` and `build/kills-*.json`, and
writes `docs/explanation/crashes.md`: all between its two marks.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.fault import kills, schedules
from tests.fault.tally import BROKEN, KEPT, LOST, UNCERTAIN, Fault

PAGE: Final = Path("docs/explanation/crashes.md")
MARKS: Final = ("<!-- measured -->", "<!-- /measured -->")
ENDS: Final = (KEPT, UNCERTAIN, LOST, BROKEN)
NAMES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
Table = dict[str, dict[str, dict[str, int]]]


def rendered(played: dict[str, Any], killed: Sequence[dict[str, Any]]) -> str:
    """Return the part of the page that was measured."""
    tables = {name: one["table"] for name, one in played["databases"].items()}
    real = {one["database"]: one["table"] for one in killed}
    lines = [
        "### Schedules in process",
        "",
        *_sums(tables),
        "",
        *_runs(played),
        "",
        "Schedules by place and fault, SQLite / PostgreSQL:",
        "",
        *_by_place(tables),
        "",
        "### Real kills",
        "",
        *_sums(real),
        "",
        *_kills(killed),
        "",
        "Kills by place and fault, SQLite / PostgreSQL:",
        "",
        *_by_place(real),
        "",
        "### What cannot meet",
        "",
        *_never(played, killed),
    ]
    return "\n".join(lines)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _sums(tables: dict[str, Table]) -> Iterator[str]:
    """Count ends by fault and database."""
    yield _row(["Fault", "Database", *(end.capitalize() for end in ENDS)])
    yield _row(["---"] * (2 + len(ENDS)))
    for fault in Fault:
        for database, table in tables.items():
            whole: Counter[str] = Counter()
            for row in table.values():
                whole.update(row.get(fault, {}))
            if whole:
                cells = [f"{whole[end]:,}" for end in ENDS]
                yield _row([fault, NAMES[database], *cells])


def _runs(played: dict[str, Any]) -> Iterator[str]:
    for name, one in played["databases"].items():
        runs = one["first_runs"] + one["continuations"]
        yield (
            f"- {NAMES[name]}: {one['schedules']:,} schedules from"
            f" {one['distinct_durable_states']:,} distinct durable states, decided by {runs:,} runs"
            f" in {one['cpu_seconds']} s of a core; {one['presentations']:,} presentations of a"
            f" refresh token, {one['in_window']} of them in the window."
        )
    every = sum(one["schedules"] for one in played["databases"].values())
    yield f"- Together: {every:,} schedules. **Lost though recoverable: {_broken(played)}.**"


def _broken(played: dict[str, Any]) -> int:
    return sum(len(one["violations"]) for one in played["databases"].values())


def _kills(killed: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in killed:
        yield (
            f"- {NAMES[one['database']]}: {one['kills']} processes ended by SIGKILL,"
            f" {one['at_a_place']} of them at a place of a refresh (the others while places were"
            f" recorded, or between two kills), in {one['cpu_seconds']} s of a core; a new process"
            f" answered after {one['seconds_to_answer']} s (median)."
        )
    at_a_place = sum(one["at_a_place"] for one in killed)
    broken = sum(len(one["violations"]) for one in killed)
    yield f"- Together: {at_a_place} kills at a place. **Lost though recoverable: {broken}.**"


def _by_place(tables: dict[str, Table]) -> Iterator[str]:
    faults = [
        fault
        for fault in Fault
        if any(fault in row for table in tables.values() for row in table.values())
    ]
    places = dict.fromkeys(place for table in tables.values() for place in table)
    yield _row(["Place: before", *faults])
    yield _row(["---"] * (1 + len(faults)))
    for place in places:
        cells = []
        for fault in faults:
            both = [sum(t.get(place, {}).get(fault, {}).values()) for t in tables.values()]
            cells.append(" / ".join(str(one) for one in both) if any(both) else "")
        yield _row([f"`{place}`", *cells])


def _never(played: dict[str, Any], killed: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say of each place and fault that do not meet why they do not."""
    found: dict[tuple[str, str], list[str]] = {}
    sources = [*played["databases"].values(), *killed]
    for one in sources:
        for never in one["never"]:
            places = found.setdefault((never["fault"], never["why"]), [])
            if never["place"] not in places:
                places.append(never["place"])
    yield _row(["Fault", "Not met before", "Because"])
    yield _row(["---"] * 3)
    for (fault, why), places in found.items():
        yield _row([fault, ", ".join(f"`{place}`" for place in places), why])


def main() -> int:
    """Write the page's measured part."""
    played = json.loads(schedules.REPORT.read_text())
    killed = [json.loads(Path(kills.REPORTS.format(one)).read_text()) for one in kills.DATABASES]
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{rendered(played, killed)}\n\n{MARKS[1]}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
