"""Starting programs: what a stand-in for `sf` is given, and what becomes of what it says.

The stand-in is a real program that shows its arguments and environment. The real `sf` is driven
in `tests/real_clients`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from keyturn_builder.errors import BuilderError
from keyturn_builder.sf_cli import SfCli, find_sf
from keyturn_core.secrets import AccessToken

SHOWS = """
import json, os, sys
print(json.dumps({"status": 0, "result": {"argv": sys.argv[1:], "env": dict(os.environ)}}))
"""
VERSION = """
import json
print(json.dumps({{"cliVersion": "@salesforce/cli/{cli}", "nodeVersion": "node-v{node}"}}))
"""


def program(folder: Path, text: str) -> str:
    """Write a program and return its path."""
    path = folder / "sf"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


def shown(cli: SfCli, **how: Any) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment that the program was given."""
    result = cli.run("org", "list", **how).result
    return result["argv"], result["env"]


# `sf` reads one of them, its updater the other.
UPDATES = ("SF_AUTOUPDATE_DISABLE", "SF_DISABLE_AUTOUPDATE")


def test_a_private_home_sees_nothing_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither secrets in the environment nor the user's home; the token by environment alone."""
    monkeypatch.setenv("KEYTURN_API_KEY", "kt_test_dummy")
    monkeypatch.setenv("SF_ACCESS_TOKEN", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    home = tmp_path / "home"
    home.mkdir()

    argv, environment = shown(
        SfCli(program=program(tmp_path, SHOWS)), home=home, access_token=AccessToken("00D!token")
    )

    assert argv == ["org", "list", "--json"]
    assert environment["HOME"] == environment["TMPDIR"] == str(home)
    assert environment["SF_ACCESS_TOKEN"] == "00D!token"
    assert environment["SF_USE_GENERIC_UNIX_KEYCHAIN"] == "true"
    assert environment["SF_DISABLE_LOG_FILE"] == "true"
    assert {environment[name] for name in UPDATES} == {"true"}
    assert not {"KEYTURN_API_KEY", "AWS_SECRET_ACCESS_KEY"} & set(environment)


def test_the_users_own_home_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their own key chain; still no log file and nothing of Keyturn's."""
    monkeypatch.setenv("HOME", "/home/vendor")
    monkeypatch.setenv("KEYTURN_API_KEY", "kt_test_dummy")
    _, environment = shown(SfCli(program=program(tmp_path, SHOWS)))
    assert environment["HOME"] == "/home/vendor"
    assert "SF_USE_GENERIC_UNIX_KEYCHAIN" not in environment
    assert environment["SF_DISABLE_LOG_FILE"] == "true"
    assert {environment[name] for name in UPDATES} == {"true"}
    assert "KEYTURN_API_KEY" not in environment


def test_an_error_comes_with_its_name_and_hints(tmp_path: Path) -> None:
    """Whatever the exit status."""
    said = {"status": 1, "name": "Broken", "message": "no\nway", "actions": ["try"], "warnings": []}
    cli = SfCli(program=program(tmp_path, f"print({json.dumps(json.dumps(said))})"))
    answer = cli.run("org", "list")
    assert (answer.status, answer.said) == (1, "Broken: no way (try)")


@pytest.mark.parametrize("text", ["print('<html>')", "print('[]')", "raise SystemExit('crash')"])
def test_what_is_no_answer_is_said_so(tmp_path: Path, text: str) -> None:
    """With what it said instead."""
    with pytest.raises(BuilderError) as refusal:
        SfCli(program=program(tmp_path, text)).run("org", "list")
    assert refusal.value.code == "sf_unreadable"


@pytest.mark.parametrize(
    ("cli", "node", "code"),
    [
        ("2.150.6", "24.19.0", None),
        ("2.151.0", "22.20.0", None),
        ("2.146.3", "24.19.0", "sf_too_old"),
        ("2.150.6", "20.20.2", "sf_too_old"),
    ],
)
def test_an_old_sf_is_told_how_to_be_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: str, node: str, code: str | None
) -> None:
    """Its Node too: older ones crash in the middle of a command."""
    monkeypatch.setenv("KEYTURN_SF", program(tmp_path, VERSION.format(cli=cli, node=node)))
    if code is None:
        assert find_sf().program == str(tmp_path / "sf")
        return
    with pytest.raises(BuilderError) as refusal:
        find_sf()
    assert refusal.value.code == code
    assert "npm install --global @salesforce/cli@2.150.6" in refusal.value.where
    assert ("nodejs.org" in refusal.value.where) == node.startswith("20.")


def test_a_missing_sf_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one line to copy."""
    monkeypatch.setenv("KEYTURN_SF", "/nowhere/sf")
    with pytest.raises(BuilderError) as refusal:
        find_sf()
    assert refusal.value.code == "sf_missing"
    assert "npm install" in refusal.value.where


def test_a_program_that_says_no_version_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are other programs of that name."""
    monkeypatch.setenv("KEYTURN_SF", program(tmp_path, "print('sf, the shell formatter')"))
    with pytest.raises(BuilderError) as refusal:
        find_sf()
    assert refusal.value.code == "sf_unreadable"
    assert "shell formatter" in refusal.value.said
