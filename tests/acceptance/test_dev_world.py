"""`keyturn dev`: one line, clean ends, and a world that comes back as it was."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.vendor import Vendor
from tools.world import BIN, World, running_world

pytestmark = pytest.mark.takes(50)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False


def _pids(world: World) -> list[int]:
    return [process["pid"] for process in world.line["processes"]]


def test_the_world_is_as_promised(sqlite_world: World) -> None:
    """Orgs, users, connections and addresses that the line names."""
    line = sqlite_world.line
    orgs = line["simulator"]["orgs"]
    assert len(line["connections"]) >= 2
    assert {org["environment"] for org in orgs} == {"production", "sandbox"}
    assert any(not org["package_installed"] for org in orgs)
    assert any(org["permitted_users"] == "pre_authorized" for org in orgs)
    for org in orgs:
        assert {user["role"] for user in org["users"]} == {"admin", "standard", "integration"}
    assert sqlite_world.api_key.startswith("kt_test_")
    assert {"Acme", "Scratch"} <= {app["name"] for app in line["simulator"]["apps"]}
    for url in (*line["service_urls"], line["acme"]["url"]):
        assert httpx2.get(f"{url}/healthz", trust_env=False).status_code in {200, 404}


def test_sigterm_ends_all_of_it_with_status_zero(tmp_path: Path) -> None:
    """Within ten seconds; no process and no temporary file is left."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary)}
    with running_world(log=tmp_path / "dev.log", environment=environment) as world:
        pids = _pids(world)
        assert list(temporary.iterdir())
        began = time.monotonic()
        assert world.stop() == 0
        assert time.monotonic() - began < 10
    assert [pid for pid in pids if _alive(pid)] == []
    assert list(temporary.iterdir()) == []


def test_killed_it_takes_its_children_along(tmp_path: Path) -> None:
    """After `kill -9` of `keyturn dev` nothing of its world goes on."""
    with running_world("--data", str(tmp_path / "world"), log=tmp_path / "dev.log") as world:
        pids = _pids(world)
        world.process.kill()
        world.process.wait()
        Vendor.until(lambda: not [pid for pid in pids if _alive(pid)], seconds=10)


def test_a_kept_world_comes_back_as_it_was(kept_folder: Path, tmp_path: Path) -> None:
    """Same addresses, ids, API key; the connections go on, and no secret rests in the folder."""
    with running_world("--data", str(kept_folder), log=tmp_path / "dev.log") as world:
        first: dict[str, Any] = world.line
        vendor = Vendor(world)
        generation = vendor.token(first["connections"][0]["id"]).json()["generation"]
        vendor.close()
    _see_no_canary(kept_folder, world.canary)
    with running_world("--data", str(kept_folder), log=tmp_path / "dev.log") as world:
        for name in ("service_url", "api_key", "workspace_id", "app_id", "connections", "acme"):
            assert world.line[name] == first[name], name
        for name in ("login_url", "control_url", "canary"):
            assert world.line["simulator"][name] == first["simulator"][name], name
        vendor = Vendor(world)
        again = vendor.token(first["connections"][0]["id"], rejected_generation=generation)
        assert again.json()["generation"] == generation + 1
        vendor.close()


def _see_no_canary(folder: Path, canary: str) -> None:
    mark = canary.encode()
    holding = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and mark in path.read_bytes()
    ]
    assert holding == []


def test_several_replicas_need_postgresql() -> None:
    """Wrong usage is status 2, and says what to do."""
    ended = subprocess.run(
        [BIN / "keyturn", "dev", "--replicas", "2"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "--database" in ended.stderr


@pytest.mark.parametrize("group", ["dev", "serve", "keys", "audit", "incident", "connection"])
def test_help_has_an_example(group: str) -> None:
    """`--help` of each group has an example that works."""
    ended = subprocess.run(
        [BIN / "keyturn", group, "--help"], capture_output=True, text=True, check=True
    )
    assert f"keyturn {group}" in ended.stdout.partition("xample")[2]


def test_wrong_usage_in_json_is_an_envelope() -> None:
    """Programs get one object on stdout whatever happens."""
    ended = subprocess.run(
        [BIN / "keyturn", "keys", "issue", "--json"], capture_output=True, text=True, check=False
    )
    said = json.loads(ended.stdout)
    assert ended.returncode == said["status"] == 2
    assert said["problem"]["title"]
