"""The reference says all that there is, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from enum import StrEnum
from pathlib import Path

import httpx2
import pytest
from tools.reference import PAGES, PARTS, parts_in, written
from tools.reference_code import commands, event_types
from tools.reference_http import described
from tools.world import BIN, World

import keyturn
import keyturn.cli.frame
import orgsim.cli
from keyturn import KeyturnError
from keyturn_service import ports
from keyturn_service.domain.attempt import AttemptOutcome
from keyturn_service.domain.connect_session import SessionStatus
from keyturn_service.domain.connection import ConnectionState, DiesBecause
from keyturn_service.settings import Settings
from keyturn_service.web.refusals import ENTRIES

ROOT = Path(__file__).parents[2]
REFERENCE = sorted(path.name for path in (ROOT / PAGES).glob("*.md"))
RFC = re.compile(r"RFC (\d{4})")
SOURCES = ("core/src", "service/src", "sdk/src")


def page(name: str) -> str:
    """Return the text of a page of the reference."""
    return (ROOT / PAGES / name).read_text(encoding="utf-8")


def first_column(text: str) -> set[str]:
    """Return the code spans that the first cells of all tables hold."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {span for cell in cells for span in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("name", REFERENCE)
def test_generated_parts_are_what_the_code_says(name: str) -> None:
    """`python -m tools.reference` would change nothing."""
    assert page(name) == written(page(name))


def test_every_generated_part_stands_on_a_page() -> None:
    """And on one only."""
    standing = [part for name in REFERENCE for part in parts_in(page(name))]
    assert sorted(standing) == sorted(PARTS)


def test_every_setting_is_documented() -> None:
    """With what it means."""
    rows = {
        line.split("|")[1].strip(): line.split("|")[3].strip()
        for line in page("settings.md").splitlines()
        if line.startswith("| `KEYTURN_")
    }
    assert set(rows) == {f"`KEYTURN_{name.upper()}`" for name in Settings.model_fields}
    assert all(rows.values())


def test_every_error_is_documented() -> None:
    """With its status, who mends it, and how."""
    rows = {
        cells[1].strip(" `"): (
            cells[2].strip(),
            cells[3].strip(" `"),
            cells[4].split()[0].strip("`"),
        )
        for line in page("errors.md").splitlines()
        if len(cells := line.split("|")) > 6 and cells[2].strip().isdigit()
    }
    assert rows == {
        code: (str(int(entry.status)), str(entry.who), str(entry.remedy))
        for code, entry in ENTRIES.items()
    }


def test_every_error_class_of_the_sdk_is_documented() -> None:
    """With what it is raised for."""
    classes = {
        name
        for name, found in vars(keyturn).items()
        if isinstance(found, type) and issubclass(found, KeyturnError)
    }
    text = page("errors.md")
    assert {
        name for name in classes if f"`{name}`" not in text and f".{name}`" not in text
    } == set()


def test_every_call_is_documented(world: World) -> None:
    """By the document that a running service gives: method, address, body, answer."""
    document = httpx2.get(f"{world.service_url}/openapi.json", trust_env=False).json()
    text = page("rest-api.md")
    missing = [
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
        and f"### `{'ANY' if '/salesforce/' in path else method.upper()} {path}`" not in text
    ]
    assert missing == []
    assert len(document["paths"]) >= 16


def test_every_member_on_the_wire_is_documented(world: World) -> None:
    """By the same document."""
    document = httpx2.get(f"{world.service_url}/openapi.json", trust_env=False).json()
    text = page("rest-api.md")
    for name, schema in document["components"]["schemas"].items():
        if "enum" in schema or name.startswith("Page_"):
            continue
        section = text.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert set(schema.get("properties", {})) <= first_column(section), name


def test_every_address_of_the_service_is_documented() -> None:
    """Also those beside the document: pages, probes, faces for other people's clients."""
    text = page("rest-api.md")
    addresses = {address.replace(":path}", "}") for address in described().addresses}
    assert {address for address in addresses if not _is_said(address, text)} == set()
    assert len(addresses) > 20


def _is_said(address: str, text: str) -> bool:
    return re.search(rf"[` ]{re.escape(address)}`", text) is not None


def test_every_command_that_a_text_names_is_there() -> None:
    """In pages, errors and help: `keyturn`, a group of commands, and one of its own."""
    known = {" ".join(words) for words, _ in commands()}
    groups = {words[1] for words, _ in commands() if len(words) == 3}
    named = re.compile(rf"\bkeyturn (?:{'|'.join(sorted(groups))}) [a-z][a-z-]*")
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for source in (*SOURCES, "builder/src"):
        files += (ROOT / source).rglob("*.py")

    unknown = {
        f"{path.relative_to(ROOT)}: {words}"
        for path in files
        if "adr" not in path.parts
        for words in named.findall(path.read_text(encoding="utf-8"))
        if words not in known
    }

    assert unknown == set()


@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_help_is_what_the_program_prints(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word for word, in a window that is wide enough."""
    monkeypatch.setenv("COLUMNS", "120")
    arguments = [*words[1:], "--help"]
    if words[0] == "keyturn":
        status = keyturn.cli.frame.run(arguments)
    else:
        status = orgsim.cli.main(arguments, prog_name="orgsim", standalone_mode=False)
    assert status == 0
    assert help_on_page(words) == capsys.readouterr().out.rstrip()


@pytest.mark.parametrize("name", ["keyturn", "orgsim"])
def test_the_installed_programs_print_it_too(name: str) -> None:
    """As they are started by a shell."""
    done = subprocess.run(
        [str(BIN / name), "--help"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert help_on_page([name]) == done.stdout.rstrip()


def help_on_page(words: list[str]) -> str:
    """Return the help text of a command as the page has it."""
    section = page("cli.md").partition(f"## `{' '.join(words)}`\n\n```text\n")[2]
    return section.partition("\n```")[0]


def test_every_port_is_documented() -> None:
    """Under a heading of its own, and with an adapter."""
    found = {
        name
        for name, item in vars(ports).items()
        if isinstance(item, type) and getattr(item, "_is_protocol", False)
    }
    text = page("ports.md")
    rows = {
        line.split("]")[0].removeprefix("| [").strip("`"): line.split("|")[3].strip()
        for line in text.splitlines()
        if line.startswith("| [")
    }
    assert found == set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == set(rows)
    assert [name for name, adapters in rows.items() if not adapters] == []


def test_every_audit_event_is_documented() -> None:
    """And none that nobody records."""
    assert first_column(page("audit-events.md")) == set(event_types())


@pytest.mark.parametrize("states", [ConnectionState, SessionStatus, AttemptOutcome, DiesBecause])
def test_every_state_is_documented(states: type[StrEnum]) -> None:
    """With what it means."""
    text = page("states.md")
    later = {DiesBecause.CERTIFICATE}  # kept for JWT Bearer, which is not there
    assert {state for state in states if f"`{state.value}`" not in text} - later == set()


def test_every_standard_is_documented() -> None:
    """A module that follows an RFC stands in the list beside it, with a test that is there."""
    rows = [line for line in page("standards.md").splitlines() if line.startswith("| RFC")]
    follows = {
        (number, str(path.relative_to(ROOT)))
        for source in SOURCES
        for path in (ROOT / source).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "Spec:" in line
        for number in RFC.findall(line)
    }
    unsaid = [
        (number, module)
        for number, module in sorted(follows)
        if not any(f"RFC {number}" in row and f"`{module}`" in row for row in rows)
    ]
    assert unsaid == []
    assert len(follows) > 10
