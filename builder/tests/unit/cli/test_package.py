"""`keyturn package lint` and `build`, as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from keyturn.cli.frame import run
from keyturn_builder.config_file import parse_config
from keyturn_builder.metadata.header import header
from keyturn_builder.metadata.oauth_settings import oauth_settings


@pytest.fixture
def folder(tmp_path: Path, sound: str) -> Path:
    """A folder with `keyturn.toml` and what was retrieved."""
    (tmp_path / "keyturn.toml").write_text(sound)
    app = parse_config(sound, file="keyturn.toml").app
    retrieved = tmp_path / "retrieved"
    retrieved.mkdir()
    for one in (
        header(app, org_scoped_external_app="00D5g00000AcmeX:Acme_Connect"),
        oauth_settings(app, oauth_link="00D5g00000AcmeX:8885g00000AcmeY"),
    ):
        (retrieved / one.path.rpartition("/")[2]).write_text(one.text)
    return tmp_path


def build(folder: Path, *more: str) -> int:
    """Run the build and return its exit status."""
    return run(
        [
            "package",
            "build",
            f"--config={folder / 'keyturn.toml'}",
            f"--retrieved={folder / 'retrieved'}",
            *more,
        ]
    )


def test_a_build_says_what_it_wrote(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To programs with the content hash, and the linter agrees."""
    assert build(folder, "--json") == 0
    result = json.loads(capsys.readouterr().out)["result"]

    assert run(["package", "lint", f"--config={folder / 'keyturn.toml'}"]) == 0
    assert len(result["content_hash"]) == 64
    assert [(folder / "salesforce/force-app" / name).is_file() for name in result["written"]]


def test_lint_says_each_finding_with_rule_source_and_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends with 1."""
    build(folder, "--json")
    eca = next(folder.rglob("force-app/**/*.eca-meta.xml"))
    eca.write_text(eca.read_text().replace("Packaged", "Packageable"))
    capsys.readouterr()

    assert run(["package", "lint", f"--config={folder / 'keyturn.toml'}", "--json"]) == 1

    problem = json.loads(capsys.readouterr().out)["problem"]
    assert problem["code"] == "lint_failed"
    assert {one["rule"] for one in problem["errors"]} == {"schema", "distribution-state"}
    assert all(one["source"] and one["remedy"] and one["line"] for one in problem["errors"])


def test_lint_of_a_directory_without_the_app_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a warning: the first build writes it. To people it does not only say "no errors"."""
    build(folder, "--json")
    shutil.rmtree(folder / "salesforce/force-app/keyturn")
    capsys.readouterr()

    assert run(["package", "lint", f"--config={folder / 'keyturn.toml'}"]) == 0
    people = capsys.readouterr()
    assert run(["package", "lint", f"--config={folder / 'keyturn.toml'}", "--json"]) == 0
    programs = json.loads(capsys.readouterr().out)

    assert "no app yet: keyturn package build" in people.out
    assert "warning: " in people.err
    assert programs["result"] == {"errors": 0, "warnings": 1, "app": False}
    assert "[app-missing]" in programs["warnings"][0]


def test_a_first_generation_package_is_told_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str], sound: str
) -> None:
    """In words that name the ways out."""
    (folder / "keyturn.toml").write_text(sound.replace("[dev_hub]", "generation = 1\n[dev_hub]"))
    assert build(folder) == 1
    said = capsys.readouterr().err
    assert "small one of its own" in said
    assert "sf package convert" in said


def test_an_api_key_file_that_is_no_text_is_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so in words, not in those of a codec."""
    key = folder / "key.txt"
    key.write_text("kt_test_x", encoding="utf-16")
    arguments = ["package", "release", f"--config={folder / 'keyturn.toml'}", "--json"]

    assert run([*arguments, f"--api-key-file={key}"]) == 2

    problem = json.loads(capsys.readouterr().out)["problem"]
    assert problem["title"] == "the file of --api-key-file is not UTF-8: save it so"
