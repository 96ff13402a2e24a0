"""`make mutants`: change the rules of tokens and keys in small ways; the unit tests must notice.

It works on a copy below `build/`, so that no changed line can get into the tree.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.checks import program

FLOOR: Final = 0.97
"""The least share of changed lines that the tests must notice."""
COPY: Final = Path("build/mutation")
_SOURCES: Final = ("core/src/keyturn_core", "service/src/keyturn_service")
_TESTS: Final = (
    "core/tests/unit/oauth",
    "service/tests/unit/vault",
    "service/tests/unit/domain",
)
_SUPPORT: Final = "service/tests/support"
_SETTINGS: Final = """\
[tool.pytest.ini_options]
addopts = ["--strict-markers", "--strict-config", "--import-mode=importlib"]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
timeout = 120

[tool.mutmut]
source_paths = ["src"]
only_mutate = [
    "src/keyturn_core/oauth/*", "src/keyturn_service/vault/*", "src/keyturn_service/domain/*",
]
also_copy = ["core", "service"]
pytest_add_cli_args = ["-p", "no:randomly"]
pytest_add_cli_args_test_selection = {tests}
use_git_change_detection = false
"""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What became of the changed lines."""

    noticed: int
    """Killed by a failing test, or by one that never ended."""
    total: int
    survivors: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share that was noticed; none of none is nothing."""
        return self.noticed / self.total if self.total else 0.0


def prepare(copy: Path = COPY) -> None:
    """Make the copy anew."""
    shutil.rmtree(copy, ignore_errors=True)
    for source in map(Path, _SOURCES):
        _copy(source, copy / "src" / source.name)
    for tests in map(Path, (*_TESTS, _SUPPORT)):
        _copy(tests, copy / tests)
    (copy / "pyproject.toml").write_text(_SETTINGS.format(tests=json.dumps(_TESTS)))


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))


def measure(copy: Path = COPY) -> Score:
    """Change, test and count; a run that comes to no end of its own counts nothing."""
    with (copy / "mutmut.log").open("w") as log:
        for command in (("run", "--max-children", "2"), ("export-cicd-stats",)):
            subprocess.run(
                program("mutmut", *command), cwd=copy, stdout=log, stderr=log, check=True
            )
    counted = json.loads((copy / "mutants" / "mutmut-cicd-stats.json").read_text())
    told = subprocess.run(
        program("mutmut", "results"), cwd=copy, capture_output=True, text=True, check=True
    )
    return Score(
        noticed=counted["killed"] + counted["timeout"],
        total=counted["total"],
        survivors=tuple(line.strip() for line in told.stdout.splitlines() if line.strip()),
    )


def main() -> int:
    """Print what nobody noticed, and the score; return whether it reaches the floor."""
    begun = time.monotonic()
    prepare()
    score = measure()
    for survivor in score.survivors:
        print(survivor)
    seconds = time.monotonic() - begun
    print(
        f"mutants: {score.noticed} of {score.total} noticed ({score.share:.1%}),"
        f" at least {FLOOR:.1%} wanted, in {seconds:.0f} s"
    )
    return 0 if score.share >= FLOOR and score.total else 1


if __name__ == "__main__":
    sys.exit(main())
