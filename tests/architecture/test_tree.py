"""The tree itself: what every file keeps to, whoever wrote it."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("core", "sdk", "builder", "service", "simulator", "examples/acme")
LONGEST = 600
REGISTRIES = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "deb.de" + "bian.org",
)
UNFINISHED = (
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X ",
    "pytest.mark." + "skip",
    "xf" + "ail",
)
SECTIONS = ("Context", "Options", "Decision", "Consequences")
KINDS = ("added", "changed", "fixed", "removed", "security")


def tracked() -> list[Path]:
    """Return the files that git knows or would add, from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def texts() -> list[tuple[Path, str]]:
    """Return the text files with what they say."""
    return [
        (path, path.read_text(encoding="utf-8"))
        for path in tracked()
        if path.suffix not in {".whl", ".png", ".ico"}
    ]


@functools.cache
def parsed(path: Path) -> ast.Module:
    """Return what a module says."""
    return ast.parse(path.read_text())


def sources() -> list[Path]:
    """Return the modules of the parts."""
    return [path for path in tracked() if path.suffix == ".py" and "src" in path.parts]


def test_no_registry_is_named() -> None:
    """A vendor's mirror is another one: addresses stay out of the repository."""
    named = [path for path, text in texts() if any(host in text for host in REGISTRIES)]
    assert named == []


def test_nothing_is_left_for_later() -> None:
    """What is not done is an issue, not a mark in the code."""
    marked = [
        (str(path.relative_to(ROOT)), mark)
        for path, text in texts()
        if path.suffix in {".py", ".toml", ".html", ".css", ".sh"}
        for mark in UNFINISHED
        if mark in text
    ]
    assert marked == []


def test_modules_stay_readable() -> None:
    """Nobody reads a module of many hundred lines."""
    long = [
        (str(path.relative_to(ROOT)), count)
        for path in tracked()
        if path.suffix == ".py" and (count := len(path.read_text().splitlines())) > LONGEST
    ]
    assert long == []


def test_every_module_says_what_it_is() -> None:
    """Each module has a docstring, and each package's says what lives there."""
    silent = [
        str(path.relative_to(ROOT)) for path in sources() if not ast.get_docstring(parsed(path))
    ]
    assert silent == []


@pytest.mark.parametrize("name", ["utils.py", "helpers.py", "misc.py"])
def test_there_is_no_room_for_leftovers(name: str) -> None:
    """A module is named for what it does."""
    assert [path for path in tracked() if path.name == name] == []
    assert [path for path in tracked() if path.parent.name == "common"] == []


def test_only_settings_reads_the_environment() -> None:
    """A setting that two modules read is two settings."""
    readers = [
        str(path.relative_to(ROOT))
        for path in sources()
        if re.search(r"os\.(environ|getenv)", path.read_text())
    ]
    allowed = {
        "builder/src/keyturn_builder/settings.py",
        "service/src/keyturn_service/settings.py",
        "service/src/keyturn_service/cli/dev/programs.py",
        "simulator/src/orgsim/settings.py",
    }
    assert set(readers) <= allowed


def test_decisions_have_their_form() -> None:
    """Each record has a number of its own and says context, options, decision, consequences.

    Numbers may be left out: who works beside others takes a range of their own.
    """
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert len({record.name[:4] for record in records}) == len(records) > 0
    for record in records:
        text = record.read_text()
        assert re.match(r"# \d+\. \S", text), record.name
        assert re.search(r"^Status: (accepted|superseded by \d{4})$", text, re.MULTILINE), (
            record.name
        )
        assert tuple(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == SECTIONS, record.name


def test_change_fragments_are_of_a_known_kind() -> None:
    """A release gathers them by kind."""
    fragments = [path for path in (ROOT / "changes").glob("*.md") if path.name != "README.md"]
    assert [path.name for path in fragments if path.suffixes[-2].strip(".") not in KINDS] == []
    assert fragments, "a product that users notice has something to tell"


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_a_distribution_of_its_own(part: str) -> None:
    """Each has its metadata, a paragraph about itself, sources and typing marker."""
    folder = ROOT / part
    assert (folder / "pyproject.toml").is_file()
    assert len((folder / "README.md").read_text().split()) >= 25
    assert list((folder / "src").glob("*/py.typed"))


def test_product_and_simulator_share_no_line_of_thought() -> None:
    """Functions of ten lines or more are not the same in both, names apart."""
    ours, theirs = defaultdict(list), defaultdict(list)
    for path in sources():
        side = theirs if "orgsim" in path.parts else ours
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) >= 10:
                side[tuple(type(one) for one in node.body)].append(node)
    # To write a function out takes long: only where one on the other side begins to look like it.
    for shape in ours.keys() & theirs.keys():
        assert _written_out(ours[shape]) & _written_out(theirs[shape]) == set()


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how long a body is; written out by its meaning alone it is no longer."""
    return (function.end_lineno or 0) - function.body[0].lineno + 1


def _written_out(functions: list[ast.FunctionDef | ast.AsyncFunctionDef]) -> set[str]:
    bodies = [ast.unparse(ast.Module(body=one.body, type_ignores=[])) for one in functions]
    long = [body for body in bodies if len(body.splitlines()) >= 10]
    return {re.sub(r'"""[^"]*"""', "", body) for body in long}
