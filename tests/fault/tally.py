"""What crash schedules are made of, and how they are counted: by place, fault and database."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from service.tests.support.strict_org import Answering

KEPT: Final = "kept"
UNCERTAIN: Final = "uncertain, then kept"
LOST: Final = "lost, unrecoverable"
BROKEN: Final = "broke a rule"
WRITES: Final = 7  # transactions of one refresh, from the lease to the record of the read


class Then(StrEnum):
    """What happens to the replica at its place, and who comes after it."""

    RESTARTED = "killed, restarted"
    OTHER_FIRST = "killed, another replica is asked first"
    RESTORED = "killed, an older backup restored, restarted"
    DISK_LOST = "killed, its disk lost and declared so"
    DISK_LATE = "killed, its disk away until another replica was asked for minutes"
    AGAIN_2 = "killed, killed again at call 2 of its recovery"
    AGAIN_5 = "killed, killed again at call 5 of its recovery"
    AGAIN_9 = "killed, killed again at call 9 of its recovery"
    PAUSED = "paused until another replica has taken over"
    PAUSED_TWICE = "paused while another replica is asked for minutes"


AGAIN: Final = {Then.AGAIN_2: 2, Then.AGAIN_5: 5, Then.AGAIN_9: 9}
PAUSES: Final = (Then.PAUSED, Then.PAUSED_TWICE)
SOUND: Final = "sound"
STORAGE: Final = (
    SOUND,
    "disk full",
    "database away after the call",
    "database away after the spool",
    *(f"write {n} fails" for n in range(WRITES)),
    *(f"write {n} done, and not told" for n in range(WRITES)),
)
SECOND: Final = (Answering.WHOLE, Answering.LOST, Answering.NOT_NOW, Answering.BUSY_UNDONE)


class Fault(StrEnum):
    """What may go wrong besides the place, as the report has it."""

    NONE = "kill -9 alone"
    LOST = "answer lost"
    TRUNCATED = "answer truncated"
    OTHER_ANSWER = "another answer"
    DISK_FULL = "disk full"
    AWAY = "database away"
    COMMIT = "commit fails"
    RESTORED = "backup restored"
    DISK_GONE = "disk gone"
    PAUSED = "paused instead"


_LOST: Final = frozenset(
    {
        Answering.LOST,
        Answering.LOST_UNDONE,
        Answering.HTML_DONE,
        Answering.HTML_UNDONE,
        Answering.BUSY,
    }
)
_TRUNCATED: Final = frozenset({Answering.CUT_EARLY, Answering.CUT_IN_ACCESS, Answering.CUT_LATE})
_PLAIN: Final = "up to its place this refresh is the plain one, which makes no such call"
WHY_NEVER: Final = {
    Fault.NONE: _PLAIN,
    Fault.RESTORED: _PLAIN,
    Fault.DISK_GONE: _PLAIN,
    Fault.PAUSED: _PLAIN,
    Fault.LOST: "what had no answer is not stored: the attempt ends, and the caller is refused",
    Fault.TRUNCATED: "what was cut is salvaged and stored, or the attempt ends as unknown",
    Fault.OTHER_ANSWER: "no other answer of the org leads to this call",
    Fault.DISK_FULL: "the answer goes to the database at once, and no file has to be looked after",
    Fault.AWAY: "the database is away by then: the refresh ends at the first call to it",
    Fault.COMMIT: "the refresh ends with the write that failed",
}
"""Why a place is not met together with a fault."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """One refresh up to its place: what the org answers, and what storage does meanwhile."""

    answer: Answering
    storage: str
    certificate: bool

    @property
    def faults(self) -> int:
        """How many things go wrong besides the place."""
        return (self.answer is not Answering.WHOLE) + (self.storage != SOUND)

    def met(self, then: Then) -> list[Fault]:
        """Return all that goes wrong, as the report has it; each counts a schedule once."""
        found = []
        if self.answer in _LOST:
            found.append(Fault.LOST)
        elif self.answer in _TRUNCATED:
            found.append(Fault.TRUNCATED)
        elif self.answer is not Answering.WHOLE:
            found.append(Fault.OTHER_ANSWER)
        match self.storage.split()[0]:
            case "disk":
                found.append(Fault.DISK_FULL)
            case "database":
                found.append(Fault.AWAY)
            case "write":
                found.append(Fault.COMMIT)
        if then is Then.RESTORED:
            found.append(Fault.RESTORED)
        elif then in {Then.DISK_LOST, Then.DISK_LATE}:
            found.append(Fault.DISK_GONE)
        elif then in PAUSES:
            found.append(Fault.PAUSED)
        return found or [Fault.NONE]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one schedule ended; `asked` is how often the org was asked after the place."""

    state: str
    violation: str
    asked: int
    uncertain: bool
    in_window: int

    @property
    def name(self) -> str:
        """How the report calls it."""
        if self.violation:
            return BROKEN
        if self.state == "active":
            return UNCERTAIN if self.uncertain else KEPT
        return LOST


@dataclass
class Tally:
    """What was played on one database, and how it ended."""

    database: str
    schedules: int = 0
    not_reached: int = 0
    played: int = 0
    first_runs: int = 0
    states: int = 0
    presented: int = 0
    in_window: int = 0
    cpu_seconds: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    thens: Counter[str] = field(default_factory=Counter)
    cells: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def note(self, course: Course, place: str, then: Then, ended: Ended) -> None:
        """Count a schedule."""
        self.schedules += 1
        self.in_window += ended.in_window
        self.ends[ended.name] += 1
        self.thens[then] += 1
        for fault in course.met(then):
            self.cells[place, fault, ended.name] += 1
        if ended.violation:
            said = {name: str(value) for name, value in asdict(course).items()}
            where = {"database": self.database, "place": place, "then": str(then)} | said
            self.violations.append(f"{ended.violation}: {json.dumps(where)}")

    def add(self, other: Tally) -> None:
        """Count another one in."""
        for name in (
            "schedules",
            "not_reached",
            "played",
            "first_runs",
            "states",
            "presented",
            "in_window",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cpu_seconds += other.cpu_seconds
        self.ends += other.ends
        self.thens += other.thens
        self.cells += other.cells
        self.violations += other.violations

    def line(self) -> str:
        """Say it in one line."""
        ends = ", ".join(f"{number:,} {end}" for end, number in self.ends.most_common())
        return (
            f"{self.database}: {self.schedules:,} schedules from {self.states:,} states, decided by"
            f" {self.first_runs + self.played:,} runs ({self.cpu_seconds:.0f} s of a core):"
            f" {ends}; {self.in_window} in the window"
        )

    def told(self) -> dict[str, Any]:
        """Return it as the report has it."""
        table: dict[str, dict[str, dict[str, int]]] = {}
        for (place, fault, end), number in sorted(self.cells.items()):
            table.setdefault(place, {}).setdefault(fault, {})[end] = number
        return {
            "schedules": self.schedules,
            "distinct_durable_states": self.states,
            "not_reached": self.not_reached,
            "first_runs": self.first_runs,
            "continuations": self.played,
            "presentations": self.presented,
            "in_window": self.in_window,
            "cpu_seconds": round(self.cpu_seconds),
            "ends": dict(self.ends),
            "thens": dict(self.thens),
            "table": table,
            "never": never(table),
            "violations": self.violations,
        }


def never(table: dict[str, dict[str, dict[str, int]]]) -> list[dict[str, str]]:
    """List each place and fault that were played and did not meet, with the reason."""
    played = [fault for fault in Fault if any(fault in row for row in table.values())]
    return [
        {"place": place, "fault": str(fault), "why": WHY_NEVER[fault]}
        for place, row in table.items()
        for fault in played
        if fault not in row
    ]
