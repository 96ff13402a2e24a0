"""`keyturn config`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keyturn.cli.frame import run
from keyturn_builder.config_file import parse_config

FLAGS = (
    "--label=Acme Connect",
    "--contact=help@acme.example",
    "--service-url=https://connect.acme.example",
    "--namespace=acme",
    "--dev-hub=hub",
    "--no-input",
)


def envelope(capsys: pytest.CaptureFixture[str]) -> dict:
    """Return the one object that was printed."""
    return json.loads(capsys.readouterr().out)


def test_init_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is started is right, and check says what it warns of."""
    path = tmp_path / "keyturn.toml"

    assert run(["config", "init", "--config", str(path), *FLAGS]) == 0
    capsys.readouterr()
    assert run(["config", "check", "--config", str(path), "--json"]) == 0

    said = envelope(capsys)
    assert said["result"]["app"]["name"] == "Acme_Connect"
    assert said["warnings"]


def test_init_never_changes_a_file_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may hold a week's work."""
    path = tmp_path / "keyturn.toml"
    path.write_text("mine")

    assert run(["config", "init", "--config", str(path), *FLAGS, "--json"]) == 1

    assert envelope(capsys)["problem"]["code"] == "config_exists"
    assert path.read_text() == "mine"


def test_a_dry_run_of_init_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what it would write."""
    path = tmp_path / "keyturn.toml"

    assert run(["config", "init", "--config", str(path), *FLAGS, "--dry-run", "--json"]) == 0

    result = envelope(capsys)["result"]
    assert not path.exists()
    assert not result["written"]
    assert parse_config(result["text"], file="keyturn.toml").package.namespace == "acme"


def test_init_names_the_flags_that_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody can be asked, that is wrong usage."""
    path = tmp_path / "keyturn.toml"
    assert run(["config", "init", "--config", str(path), "--no-input", *FLAGS[1:3]]) == 2
    said = capsys.readouterr().err
    assert "--label" in said
    assert "--contact" not in said.partition("needs more")[2]


def test_check_says_file_line_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sound: str
) -> None:
    """To people and to programs."""
    path = tmp_path / "keyturn.toml"
    path.write_text(sound.replace('"1.0.0"', '"one"'))

    assert run(["config", "check", "--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert run(["config", "check", "--config", str(path), "--json"]) == 1
    (mistake,) = envelope(capsys)["problem"]["errors"]

    assert f"{path}:16: package.version" in said
    assert "remedy: Version that is built next" in said
    assert mistake["line"] == "16"
    assert mistake["field"] == "package.version"


def test_init_says_where_it_may_not_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is not there: a problem with its path, and no traceback."""
    path = tmp_path / "nowhere" / "keyturn.toml"

    assert run(["config", "init", "--config", str(path), *FLAGS, "--json"]) == 1

    problem = envelope(capsys)["problem"]
    assert problem["code"] == "file_refused"
    assert str(path) in problem["detail"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("config", "check"),
        ("app", "plan"),
        ("app", "apply"),
        ("package", "lint"),
        ("package", "build"),
        ("package", "release"),
        ("package", "versions"),
    ],
)
def test_every_verb_says_what_is_wrong_with_a_file_that_is_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str]
) -> None:
    """In one object, with the line of the first byte that is wrong."""
    path = tmp_path / "keyturn.toml"
    path.write_bytes("[app]\n\nlabel = 'é'".encode("latin-1"))

    assert run([*arguments, f"--config={path}", "--json"]) == 1

    problem = envelope(capsys)["problem"]
    assert problem["code"] == "config_invalid"
    assert problem["errors"][0]["line"] == "3"


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As it is published."""
    assert run(["config", "schema"]) == 0
    assert "full_access_reason" in capsys.readouterr().out
