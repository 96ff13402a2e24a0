"""`make test` and the suites it is made of; the last line printed says what was counted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.checks import program, report_all, static_checks, temporary_in_memory

BUILD = Path("build")


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A named set of test folders."""

    name: str
    folders: tuple[str, ...]
    """Patterns of folders, from the root."""
    workers: int = 2
    """More than there are cores where tests wait: for a time-out, a poll, another program."""
    one_by_one: bool = False
    """Whether a worker is given few tests at a time: they are few, and some take minutes."""
    by_file: bool = False
    """Whether a file's tests stay together: its world is started once."""
    timed: tuple[str, ...] = ()
    """Files whose tests measure time: they run when the others are through, with nothing beside."""
    covered: tuple[str, ...] = ()
    """Packages whose every branch these tests must run."""
    in_memory: bool = False
    """Whether temporary files need no disk."""

    def paths(self) -> list[str]:
        """Return the folders that are there."""
        return sorted(str(path) for pattern in self.folders for path in Path().glob(pattern))


SUITES = {
    suite.name: suite
    for suite in (
        Suite(name="architecture", folders=("tests/architecture",)),
        Suite(
            name="unit",
            folders=("*/tests/unit", "examples/*/tests/unit"),
            in_memory=True,
            covered=(
                "keyturn_builder.lint",
                "keyturn_builder.metadata",
                "keyturn_core",
                "keyturn_service.domain",
                "keyturn_service.use_cases",
                "keyturn_service.vault",
            ),
        ),
        Suite(
            name="integration",
            folders=("*/tests/integration", "examples/*/tests/integration", "*/tests/conformance"),
            in_memory=True,
        ),
        Suite(name="docs", folders=("tests/docs",)),
        Suite(
            name="acceptance",
            folders=("tests/acceptance",),
            workers=3,
            by_file=True,
            timed=("tests/acceptance/test_back_on_its_port.py",),
        ),
        Suite(name="real-clients", folders=("tests/real_clients",), workers=3, by_file=True),
        Suite(name="browser", folders=("tests/browser",), workers=3, by_file=True),
        Suite(name="fault", folders=("tests/fault",), workers=4, one_by_one=True),
        Suite(name="parity", folders=("tests/parity",)),
    )
}

# What CI runs, the quick ones first.
EVERYTHING = (
    "architecture",
    "unit",
    "integration",
    "docs",
    "acceptance",
    "real-clients",
    "browser",
    "fault",
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a suite ended."""

    name: str
    ok: bool
    seconds: float
    counted: str


def carry_out(suite: Suite) -> Outcome:
    """Run a suite with its output shown as it comes; nothing found is a failure."""
    begun = time.monotonic()
    paths = suite.paths()
    if not paths:
        return Outcome(name=suite.name, ok=False, seconds=0, counted="no tests found")
    print(f"--- {suite.name}", flush=True)
    with temporary_in_memory(wanted=suite.in_memory) as where:
        ended = [_shown(argv, where) for argv in _runs(suite, paths)]
    ok = not any(status for status, _ in ended)
    if suite.covered and ok:
        ok = _coverage(suite) == 0
    return Outcome(
        name=suite.name,
        ok=ok,
        seconds=time.monotonic() - begun,
        counted=", then ".join(_counted(output) for _, output in ended),
    )


def _runs(suite: Suite, paths: list[str]) -> list[tuple[str, ...]]:
    """Return the commands that are the suite, one after the other."""
    workers: tuple[str, ...] = ("-n", str(suite.workers)) if suite.workers else ()
    if suite.by_file:
        workers += ("--dist", "loadfile", "--no-loadscope-reorder")
    if suite.one_by_one:
        workers += ("--maxschedchunk", "1")
    coverage = tuple(f"--cov={package}" for package in suite.covered)
    gate = ("--cov-branch", "--cov-report=") if coverage else ()
    later = tuple(f"--ignore={file}" for file in suite.timed)
    pytest = ("python", "-m", "pytest", "-q", "--no-header")
    runs = [program(*pytest, *workers, *coverage, *gate, *later, *paths)]
    return [*runs, program(*pytest, *suite.timed)] if suite.timed else runs


def _coverage(suite: Suite) -> int:
    include = ",".join(f"*/{package.replace('.', '/')}/*" for package in suite.covered)
    gate = program("coverage", "report", "--fail-under=100", f"--include={include}")
    return subprocess.run(gate, check=False).returncode


def _shown(argv: tuple[str, ...], variables: Mapping[str, str]) -> tuple[int, str]:
    """Run a program, show its output line by line, and return status and output."""
    lines: list[str] = []
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "120", **variables},
    ) as running:
        for line in running.stdout or ():
            lines.append(line)
            print(line, end="", flush=True)
    return running.returncode, "".join(lines)


def _counted(output: str) -> str:
    """Return pytest's own sum, such as `12 passed`."""
    sums = re.findall(r"(\d+ (?:passed|failed|errors?)[^\n]*?) in [\d.]+s", output)
    return sums[-1] if sums else "nothing counted"


def _report(outcomes: list[Outcome], *, name: str, extra: str = "") -> int:
    for outcome in outcomes:
        mark = "ok  " if outcome.ok else "FAIL"
        print(f"{mark} {outcome.seconds:6.1f} s  {outcome.name:14} {outcome.counted}")
    held = sum(outcome.ok for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    if len(outcomes) == 1:
        print(f"{name}: {outcomes[0].counted} in {seconds:.0f} s")
    else:
        print(f"{name}: {held} of {len(outcomes)} suites held in {seconds:.0f} s{extra}")
    return 0 if held == len(outcomes) else 1


def everything() -> int:
    """Run all that CI runs: the static gates, then every suite, going on after a failure."""
    gates = report_all(static_checks())
    outcomes = [carry_out(SUITES[name]) for name in EVERYTHING]
    failed = [outcome.check.name for outcome in gates if not outcome.ok]
    extra = f", {len(gates) - len(failed)} of {len(gates)} static checks"
    extra += f"; failed: {', '.join(failed)}" if failed else ""
    status = _report(outcomes, name="test", extra=extra)
    return 1 if failed else status


def main(arguments: list[str]) -> int:
    """Run the suite that is named, or `everything`; return the exit status."""
    BUILD.mkdir(exist_ok=True)
    match arguments:
        case ["everything"]:
            return everything()
        case [name] if name in SUITES:
            return _report([carry_out(SUITES[name])], name=name)
        case _:
            print(f"usage: python -m tools.suites everything|{'|'.join(SUITES)}", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
