"""The site as it is built, and a world for the programs on its pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tools.world import World, running_world

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="session")
def site() -> Path:
    """The site, built strictly: a warning of the builder's is a failure."""
    built = ROOT / "build/docs"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "--site-dir", str(built)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world on SQLite."""
    with running_world(log=tmp_path_factory.mktemp("docs") / "dev.log") as world:
        yield world


@pytest.fixture(scope="session")
def pages() -> dict[str, str]:
    """The text of every page by its path below `docs/`."""
    return {
        str(path.relative_to(DOCS)): path.read_text(encoding="utf-8")
        for path in sorted(DOCS.rglob("*.md"))
    }
