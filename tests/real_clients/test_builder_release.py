"""From an empty folder to install links, by Salesforce's own `sf` against the simulated Dev Hub."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.vendor_machine import Machine
from tools.world import World, running_world

PAGE = Path("docs/how-to/ship-the-app-in-your-package.md")
LINK = "/packaging/installPackage.apexp?p0=04t"


# A command of `sf` takes a second or two by itself, and a release is a dozen of them.
pytestmark = pytest.mark.timeout(480)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the commands said, apply and release each run twice."""

    plan: dict[str, Any]
    applied: list[dict[str, Any]]
    released: list[dict[str, Any]]


@pytest.fixture(scope="module")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which packages are made."""
    with running_world(log=tmp_path_factory.mktemp("release") / "dev.log") as world:
        yield world


@pytest.fixture(scope="module")
def machine(own_world: World, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The vendor's machine, logged in, with a `keyturn.toml`."""
    folder = tmp_path_factory.mktemp("machine")
    machine = Machine(folder, own_world)
    machine.log_in(folder)
    machine.start_config()
    return machine


@pytest.fixture(scope="module")
def told(machine: Machine) -> Told:
    """From the config to a release, each step twice."""
    key = ("--api-key-file", str(machine.key_file), "--json")
    return Told(
        plan=machine.keyturn("app", "plan", *key).result,
        applied=[machine.keyturn("app", "apply", *key).result for _ in range(2)],
        released=[machine.keyturn("package", "release", *key).result for _ in range(2)],
    )


def apps_of(machine: Machine) -> list[dict[str, Any]]:
    """Return the apps as the service knows them."""
    answer = httpx2.get(
        f"{machine.world.service_url}/v1/apps",
        headers={"Authorization": f"Bearer {machine.world.api_key}"},
        trust_env=False,
    )
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def test_the_app_is_planned_then_made_then_left_alone(told: Told) -> None:
    """Salesforce took all of it; the vault has the credentials; a second run changes nothing."""
    first, second = told.applied
    assert told.plan["creates"]
    assert first["created"]
    assert first["not_taken"] == []
    assert first["credentials_stored"]
    left_alone = (second["created"], second["changes"], second["credentials_stored"])
    assert left_alone == (False, [], False)


def test_a_release_ends_with_install_links(told: Told) -> None:
    """For production, sandboxes and a My Domain; Keyturn's own share of the time is small."""
    first = told.released[0]
    assert (first["package_created"], first["built"], first["released"]) == (True, True, True)
    assert set(first["install_links"]) == {"production", "sandbox", "my_domain"}
    assert all(LINK in link for link in first["install_links"].values())
    assert first["seconds"]["keyturn"] < 10


def test_a_second_release_builds_nothing(told: Told, machine: Machine) -> None:
    """The same content is the same version, and the record has it once."""
    first, second = told.released
    assert (second["package_created"], second["built"]) == (False, False)
    assert (second["id"], second["content_hash"]) == (first["id"], first["content_hash"])
    versions = machine.keyturn("package", "versions", "--json").result["versions"]
    mine = [one for one in versions if one["content_hash"] == first["content_hash"]]
    assert [(one["id"], one["released"], one["scopes"]) for one in mine] == [
        (first["id"], True, ["api", "refresh_token"])
    ]
    recorded = json.loads((machine.work / "keyturn.versions.json").read_text())
    same = [one for one in recorded["versions"] if one["content_hash"] == first["content_hash"]]
    assert [one["id"] for one in same] == [first["id"]]


def test_the_service_learns_where_the_package_is_installed(told: Told, machine: Machine) -> None:
    """Its connect page shows the links."""
    (app,) = [app for app in apps_of(machine) if app["name"] == "Acme Connect"]
    assert app["has_consumer_credentials"]
    assert told.released[0]["id"] in app["package"]["install_urls"]["production"]


def test_no_secret_is_in_arguments_or_in_files_that_sf_left(told: Told, machine: Machine) -> None:
    """Every secret of the world carries a mark; each private home was copied before it went."""
    assert told.released
    arguments = [path.read_text() for path in machine.record.rglob("argv")]
    assert len(arguments) > 15
    assert [text for text in arguments if machine.world.canary in text] == []
    assert machine.files_with(machine.world.canary) == []
    assert list(machine.temporary.iterdir()) == []


@pytest.mark.parametrize("call", [5, 8])
def test_killed_and_run_again_a_release_ends_the_same(
    told: Told, machine: Machine, call: int
) -> None:
    """By `kill -9`, after a call of `sf`: one build for the new content, released and recorded."""
    assert told.released
    number = f"2.{call}.0"
    config = machine.work / "keyturn.toml"
    flow = machine.work / "salesforce/force-app/main/default/flows/Renewal_Alert.flow-meta.xml"
    config.write_text(_with_version(config.read_text(), number))
    flow.write_text(flow.read_text().replace("Renewal at risk", f"Renewal at risk, {number}"))
    machine.kill_at_call(call)

    killed = machine.keyturn("package", "release", "--json")
    done = machine.keyturn("package", "release", "--json").result

    assert killed.status == -signal.SIGKILL
    assert (done["version"], done["released"]) == (number, True)
    versions = machine.keyturn("package", "versions", "--json").result["versions"]
    assert [one["id"] for one in versions if one["number"] == number] == [done["id"]]
    assert list(machine.temporary.iterdir()) == []


def test_the_pages_own_commands_lead_a_second_machine_to_the_same_version(
    told: Told, machine: Machine, tmp_path: Path
) -> None:
    """As they stand in the how-to; what is released already is not built again."""
    second = Machine(tmp_path, machine.world)
    second.log_in(tmp_path)
    (second.work / "key.txt").write_text(machine.world.api_key)
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    commands = [block for block in blocks if block.startswith("keyturn")]
    text = "\n".join(commands).replace("https://connect.acme.example", machine.world.service_url)
    start, check, rest = text.partition("keyturn config check\n")

    started = second.script(start)
    second.complete_config()
    done = second.script(check + rest)

    assert (started.status, done.status) == (0, 0), started.err + done.err
    assert len(commands) == 5
    assert told.released[0]["id"] in done.out
    assert "... ask for the build" not in done.err


def _with_version(text: str, number: str) -> str:
    lines = [
        f'version = "{number}"' if line.startswith("version = ") else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"
