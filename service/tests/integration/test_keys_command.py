"""`keyturn keys`, as its operator runs it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from service.tests.support.values import NO_MOMENT
from tools.world import BIN

ISSUE = ("issue", "--workspace", "Acme (live)", "--name", "backend")


def keys(data: Path, *words: str) -> dict[str, Any]:
    """Run a verb; return the envelope that a program reads."""
    kept = {name: value for name, value in os.environ.items() if "KEYTURN_" not in name}
    own = {"KEYTURN_PUBLIC_URLS": "https://connect.acme.example", "KEYTURN_DATA_DIR": str(data)}
    argv = [BIN / "keyturn", "keys", *words, "--json"]
    ended = subprocess.run(argv, env=kept | own, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def execute(data: Path, statement: str) -> None:
    """Change the database behind the service's back."""
    with closing(sqlite3.connect(data / "keyturn.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()


def test_without_the_audit_no_api_key_is_issued_and_its_operator_is_told(tmp_path):
    """By a problem, also to a program; the same command issues it when the audit is back."""
    keys(tmp_path, "init")
    assert keys(tmp_path, *ISSUE)["status"] == 0
    execute(
        tmp_path,
        "CREATE TRIGGER away BEFORE INSERT ON audit_events WHEN NEW.type = 'api_key.created'"
        " BEGIN SELECT RAISE(FAIL, 'away'); END",
    )

    refused = keys(tmp_path, *ISSUE)
    execute(tmp_path, "DROP TRIGGER away")
    issued = keys(tmp_path, *ISSUE)

    assert (refused["status"], refused["result"]) == (1, None)
    assert refused["problem"]["code"] == "store_unavailable"
    assert "the database went away: run the command again" in refused["problem"]["title"]
    assert issued["result"]["api_key"].startswith("kt_live_")


def test_a_workspace_is_named_by_its_id_as_well(tmp_path):
    """Who writes the database can give its name to another one, but not its id."""
    keys(tmp_path, "init")
    ours = keys(tmp_path, *ISSUE)["result"]["workspace_id"]
    theirs = keys(tmp_path, "issue", "--workspace", "Theirs", "--name", "b")["result"]
    execute(tmp_path, "UPDATE workspaces SET name = 'Acme (live)'")

    by_id = keys(tmp_path, "issue", "--workspace", ours, "--name", "b")
    by_name = [
        keys(tmp_path, *ISSUE),
        keys(tmp_path, "rotate-data", "--workspace", "Acme (live)"),
    ]
    rotated = keys(tmp_path, "rotate-data", "--workspace", ours)
    nobodys = [
        keys(tmp_path, "issue", "--workspace", name, "--name", "b")
        for name in ("ws_0000", "ws_", f"{ours}_")
    ]

    assert by_id["result"]["workspace_id"] == ours != theirs["workspace_id"]
    for one in by_name:
        assert one["problem"]["code"] == "ambiguous"
        assert ours in one["problem"]["title"]
        assert theirs["workspace_id"] in one["problem"]["title"]
    assert list(rotated["result"]["made"]) == [ours]
    assert {one["problem"]["code"] for one in nobodys} == {"not_found"}
    assert ours in nobodys[0]["problem"]["title"]


def test_no_key_file_is_made_beside_a_database_that_needs_another(tmp_path):
    """It would open nothing; with an empty database there is nothing to open."""
    keys(tmp_path, "init")
    keys(tmp_path, *ISSUE)
    (tmp_path / "keyturn.key").rename(tmp_path / "lost.key")

    refused = keys(tmp_path, "init")
    execute(tmp_path, "DELETE FROM data_keys")
    made = keys(tmp_path, "init")

    assert "no key file is made: the database is sealed under kek_" in refused["problem"]["title"]
    assert made["result"]["is_new"]


def test_a_spool_that_was_heard_is_not_declared_lost_by_a_slip(tmp_path):
    """Its answers would be lost, and their tokens presented again."""
    keys(tmp_path, "init")
    keys(tmp_path, *ISSUE)
    execute(
        tmp_path,
        "INSERT INTO spool_keys (spool_id, key_id, files, seen_at) VALUES ('spool_here', 'kek_one',"
        " 1, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))",
    )

    refused = keys(tmp_path, "forget-spool", "spool_here")
    forgotten = keys(tmp_path, "forget-spool", "spool_here", "--disk-is-gone")

    assert (refused["status"], refused["problem"]["code"]) == (1, "spool_heard")
    assert "--disk-is-gone" in refused["problem"]["title"]
    assert forgotten["result"] == {"forgotten": "spool_here"}


def test_what_is_made_is_told_from_what_was_there(tmp_path):
    """A key file, and a workspace; a name that is a slip of the shell makes none."""
    made = [keys(tmp_path, "init")["result"]["is_new"] for _ in range(2)]
    issued = [
        keys(tmp_path, "issue", "--workspace", name, "--name", "backend")
        for name in ("Acme", "  Acme ", "", "  ", "x" * 201)
    ]

    assert made == [True, False]
    assert [one["result"]["workspace_is_new"] for one in issued[:2]] == [True, False]
    for one in issued[2:]:
        assert one["status"] == 2
        assert "a name of 1 to 200 characters" in one["problem"]["title"]


def test_a_rotation_said_again_makes_the_key_active_that_was_staged(tmp_path):
    """As its problem asks for: replicas were given the file with it, and open what it wraps."""
    keys(tmp_path, "init")
    keys(tmp_path, *ISSUE)
    staged = keys(tmp_path, "rotate", "--stage")["result"]["staged"]
    execute(
        tmp_path,
        "CREATE TRIGGER away BEFORE INSERT ON audit_events WHEN NEW.type = 'root_key.rotated'"
        " BEGIN SELECT RAISE(FAIL, 'away'); END",
    )

    refused = keys(tmp_path, "rotate")
    execute(tmp_path, "DROP TRIGGER away")

    assert "run the command again" in refused["problem"]["title"]
    assert keys(tmp_path, "rotate")["result"]["active"] == staged


def test_a_planted_data_key_of_an_odd_moment_is_refused_and_stops_nothing(tmp_path):
    """It is named by `rewrap`; status is told, and data keys are destroyed as ever."""
    keys(tmp_path, "init")
    keys(tmp_path, *ISSUE)
    execute(
        tmp_path,
        "INSERT INTO data_keys"
        f" SELECT 'dk_0', 'ws_odd', 'kek_odd', X'00', {NO_MOMENT}, {NO_MOMENT}, {NO_MOMENT}",
    )
    keys(tmp_path, "rotate")

    rewrapped, status, destroyed = (
        keys(tmp_path, *words) for words in (["rewrap"], ["status"], ["destroy-data"])
    )

    assert rewrapped["problem"]["code"] == "seal_refused"
    assert "1 data keys are under" in rewrapped["problem"]["title"]
    assert "dk_0" in rewrapped["problem"]["title"]
    assert status["status"] == 0
    assert destroyed["result"]["destroyed"] == ["dk_0"]
