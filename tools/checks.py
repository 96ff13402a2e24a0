"""`make check`: every gate that needs no running program, two at a time, the unit tests last."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PARTS = ("core", "sdk", "builder", "service", "simulator", "examples/acme")
BIN = Path(".venv/bin").absolute()
_QUICK = ("--hypothesis-profile", "quick")
_USE_CASES = "service/tests/unit/use_cases"
_LENT = [  # to the other run, which would end earlier
    f"{_USE_CASES}/test_{name}.py" for name in ("guard_connections", "missing_answers")
]
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
_ROOM = 2**30  # bytes

# Declared because a server or a web framework finds them by itself, not by an import of ours.
FOUND_BY_NAME = {
    "service": "httptools|uvloop|python-multipart|keyturn-example-acme|orgsim",
    "simulator": "httptools|uvloop|python-multipart",
    "examples/acme": "httptools|python-multipart|itsdangerous",
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One gate: a program with arguments, and the folder it is started in."""

    name: str
    argv: tuple[str, ...]
    folder: str = "."


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a check ended."""

    check: Check
    ok: bool
    seconds: float
    output: str

    @property
    def last_line(self) -> str:
        """The last line that says something: most programs sum up there."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else "nothing found"


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the argument list of a program of the environment."""
    return (str(BIN / name), *arguments)


def static_checks() -> list[Check]:
    """Return the gates that read the tree and run none of it, the slow ones first."""
    sources = [f"{part}/src" for part in PARTS]
    return [
        Check(name="mypy", argv=program("mypy", *sources, "tools", "tests/support")),
        Check(name="basedpyright", argv=program("basedpyright", "-p", "lint/pyright.json")),
        Check(name="imports", argv=program("lint-imports", "--no-cache")),
        Check(name="ruff format", argv=program("ruff", "format", "--check", ".")),
        Check(name="ruff check", argv=program("ruff", "check", "--output-format", "concise", ".")),
        Check(name="house rules", argv=program("ast-grep", "scan", "--error")),
        Check(name="house rules' tests", argv=program("ast-grep", "test", "--skip-snapshot-tests")),
        Check(name="codespell", argv=program("codespell", *tracked_files())),
        *(_deptry(part) for part in PARTS),
    ]


def _deptry(part: str) -> Check:
    ignored = FOUND_BY_NAME.get(part)
    rules = ("--per-rule-ignores", f"DEP002={ignored}") if ignored else ()
    return Check(name=f"deptry {part}", argv=program("deptry", *rules, "src"), folder=part)


def tracked_files() -> list[str]:
    """Return the text files that git knows or would add, vendored and locked ones left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    left_out = ("vendor/", "requirements/", "package-lock.json", "LICENSE")
    return [
        name
        for name in listed
        if name
        and not name.startswith(left_out)
        and not name.endswith("/package-lock.json")
        and is_file(name)
    ]


def is_file(name: str) -> bool:
    """Tell whether a listed file is still there."""
    return Path(name).is_file()


def unit_tests() -> list[Check]:
    """Return two runs of about the same length, which are all unit tests and the tree's own.

    Each collects its own half, which is quicker than two workers who both collect everything.
    """
    others = [str(path) for path in sorted(unit_folders())]
    kept = [str(path) for path in Path(_USE_CASES).glob("test_*.py") if str(path) not in _LENT]
    return [
        _run_of("use cases' tests", _USE_CASES, *(f"--ignore={path}" for path in _LENT)),
        _run_of("other unit tests", *others, *(f"--ignore={path}" for path in kept)),
    ]


def _run_of(name: str, *arguments: str) -> Check:
    argv = program("python", "-m", "pytest", "-q", "--no-header", *_QUICK, *arguments)
    return Check(name=name, argv=argv)


def unit_folders() -> list[Path]:
    """Return the folders of unit tests, one for each part, and of the architecture tests."""
    return [
        *Path().glob("*/tests/unit"),
        *Path().glob("*/*/tests/unit"),
        Path("tests/architecture"),
    ]


def carry_out(check: Check, variables: Mapping[str, str]) -> Outcome:
    """Run one check and keep what it said."""
    begun = time.monotonic()
    ended = subprocess.run(
        check.argv,
        cwd=check.folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **variables},
    )
    return Outcome(
        check=check,
        ok=ended.returncode == 0,
        seconds=time.monotonic() - begun,
        output=ended.stdout,
    )


def report(outcome: Outcome) -> Outcome:
    """Print how a check ended: one line, and all it said where it failed."""
    mark = "ok  " if outcome.ok else "FAIL"
    said = outcome.last_line[:100] if outcome.ok else ""
    print(f"{mark} {outcome.seconds:5.1f} s  {outcome.check.name:20} {said}", flush=True)
    if not outcome.ok:
        print(outcome.output, flush=True)
    return outcome


def report_all(checks: list[Check], variables: Mapping[str, str] | None = None) -> list[Outcome]:
    """Carry checks out, two at a time, with these variables in their environment."""
    carrying = functools.partial(carry_out, variables=variables or {})
    with ThreadPoolExecutor(max_workers=2) as pool:
        return [report(outcome) for outcome in pool.map(carrying, checks)]


@contextlib.contextmanager
def temporary_in_memory(*, wanted: bool = True) -> Iterator[Mapping[str, str]]:
    """Give the variables with which temporary files stay in memory, where there is room.

    Nothing of unit tests has to outlive them; the waits for a disk are a quarter of their time.
    """
    if not wanted or not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="keyturn-", dir=_MEMORY) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL refuses root and runs as a user who passes through
        yield {"TMPDIR": folder}


def main() -> int:
    """Run everything that stands before a commit; return the exit status."""
    begun = time.monotonic()
    with temporary_in_memory() as where:
        outcomes = report_all([*static_checks(), *unit_tests()], where)
    held = sum(outcome.ok for outcome in outcomes)
    took = time.monotonic() - begun
    failed = ", ".join(outcome.check.name for outcome in outcomes if not outcome.ok)
    tests = "; ".join(f"{one.check.name}: {one.last_line}" for one in outcomes[-2:])
    print(f"check: {held} of {len(outcomes)} held in {took:.0f} s; {tests}", end="")
    print(f"; failed: {failed}" if failed else "")
    return 0 if held == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
