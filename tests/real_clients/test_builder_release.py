"""From an empty folder to install links, by Salesforce's own `sf` against the simulated Dev Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.sf import callback_port
from tests.support.vendor_machine import ADDRESSES, Machine
from tools.reference_code import commands
from tools.vendor_machine import ALIAS
from tools.world import World, running_world

PAGE = Path("docs/how-to/ship-the-app-in-your-package.md")
NAME, OTHER = "Acme Connect", "Acme Second"
GROUPS = {("app",), ("config",), ("package",), ("connection",)}
REPORT = ["package", "version", "create", "report"]
RELEASE = ("package", "release", "--api-key-file")
FIRST_WAIT, LONGER = 2.0, 1.5  # seconds between two looks at a build, and how much longer each is
LINK = "/packaging/installPackage.apexp?p0=04t"


# A command of `sf` takes a second or two by itself, and a release is a dozen of them.
pytestmark = [pytest.mark.timeout(480), pytest.mark.takes(390)]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the commands said, apply and release each run twice."""

    plan: dict[str, Any]
    applied: list[dict[str, Any]]
    released: list[dict[str, Any]]
    own_seconds: float
    apps: list[dict[str, Any]]
    """As the service knew them then."""


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
    machine.log_in()
    machine.start_config(*ADDRESSES)
    return machine


@pytest.fixture(scope="module")
def told(machine: Machine) -> Told:
    """From the config to a release, each step twice."""
    key = ("--api-key-file", str(machine.key_file), "--json")
    plan = machine.keyturn("app", "plan", *key).result
    applied = [machine.keyturn("app", "apply", *key).result for _ in range(2)]
    calls = machine.calls
    first = machine.keyturn("package", "release", *key)
    looks = sum(call[:4] == REPORT for call in machine.argvs(since=calls))
    waits = sum(FIRST_WAIT * LONGER**look for look in range(looks))
    own_seconds = first.seconds - machine.seconds_in_sf(since=calls) - waits
    return Told(
        plan=plan,
        applied=applied,
        released=[first.result, machine.keyturn("package", "release", *key).result],
        own_seconds=own_seconds,
        apps=apps_of(machine),
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
    """For production, sandboxes and a My Domain."""
    first = told.released[0]
    assert (first["package_created"], first["built"], first["released"]) == (True, True, True)
    assert set(first["install_links"]) == {"production", "sandbox", "my_domain"}
    assert all(LINK in link for link in first["install_links"].values())


def test_keyturns_own_share_of_a_release_is_under_ten_seconds(told: Told) -> None:
    """By a watch outside: all of the time but that in `sf` and in waiting for Salesforce."""
    print(f"own share: {told.own_seconds:.2f} s")
    assert 0 < told.own_seconds < 10
    assert told.released[0]["seconds"]["keyturn"] < told.own_seconds


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


def test_the_service_learns_where_the_package_is_installed(told: Told) -> None:
    """Its connect page shows the links."""
    (app,) = [app for app in told.apps if app["name"] == "Acme Connect"]
    assert app["has_consumer_credentials"]
    assert told.released[0]["id"] in app["package"]["install_urls"]["production"]


def test_no_secret_is_in_what_any_command_said_or_left(told: Told, machine: Machine) -> None:
    """Every secret of the world carries a mark; each private home was copied before it went.

    The session has every command that reaches the org or the service, the vendor's own home, what
    was said, and the arguments and files of `sf`, which has not begun to update itself either.
    """
    assert told.released
    key = ("--url", machine.world.service_url, "--api-key-file", str(machine.key_file), "--json")
    known = machine.world.line["connections"][0]["id"]
    for words in (
        ("config", "check", "--json"),
        ("config", "schema", "--json"),
        ("package", "lint", "--json"),
        ("package", "build", "--json"),
        ("package", "versions", "--json"),
        ("connection", "list", *key),
        ("connection", "show", known, *key),
        ("connection", "verify", known, *key),
        ("connection", "create", "--customer", "canary", "--username", "nobody@acme.example", *key),
        ("connection", "disconnect", "con_unknown", *key),
    ):
        machine.keyturn(*words)
    typed = {tuple(words[1:]) for words, found in commands() if not hasattr(found, "commands")}
    assert {words for words in typed if words[:1] in GROUPS} == machine.ran
    arguments = [path.read_text() for path in machine.record.rglob("argv")]
    assert len(arguments) > 15
    assert [text for text in arguments if machine.world.canary in text] == []
    assert machine.files_with(machine.world.canary) == []
    homes = (machine.record, machine.sf.home)
    assert [path for home in homes for path in home.rglob("autoupdate*")] == []
    assert list(machine.temporary.iterdir()) == []


@pytest.mark.timeout(2400)
def test_killed_at_each_step_a_release_ends_the_same(
    told: Told, machine: Machine, tmp_path: Path
) -> None:
    """By `kill -9`, for a new package: it is made once, and each content is built once.

    A step that a run no longer comes to, because what it does is done, is met with other content.
    """
    other = machine.beside(tmp_path)
    config = other.work / "keyturn.toml"
    config.write_text(config.read_text().replace('name = "Acme Connect"', f'name = "{OTHER}"'))
    numbers = [f"1.{minor}.0" for minor in range(len(told.released[0]["steps"]))]
    current, met = 0, []

    for step in dict.fromkeys(one["name"] for one in told.released[0]["steps"]):
        while not other.kill_at_step(_said_of(step, numbers[current]), *RELEASE, other.key_file):
            current += 1
            _take_other_content(other, numbers[current])
        met.append(step)
    done = other.keyturn(*RELEASE, str(other.key_file), "--json").result

    assert {f"look for the package {NAME}", f"make the package {NAME}", "promote 1.0.0"} < set(met)
    assert (done["version"], done["released"]) == (numbers[current], True)
    packages = other.sf.run("package", "list", "--target-dev-hub", ALIAS).result
    assert [one["Name"] for one in packages].count(OTHER) == 1
    versions = other.keyturn("package", "versions", "--json").result["versions"]
    built = [(one["number"], one["build"], one["released"]) for one in versions]
    assert built == [(number, 1, True) for number in numbers[: current + 1]]
    recorded = json.loads((other.work / "keyturn.versions.json").read_text())["versions"]
    assert {one["id"] for one in recorded} == {one["id"] for one in versions}
    assert list(other.temporary.iterdir()) == []


def test_the_pages_own_commands_lead_from_an_empty_folder_to_install_links(
    told: Told, machine: Machine, tmp_path: Path
) -> None:
    """The rehearsal of the how-to, as it is pasted; what is released is not built again."""
    second = Machine(tmp_path, machine.world)
    second.sit_down_at_browser()
    (second.work / "key.txt").write_text(machine.world.api_key)
    text = PAGE.read_text()
    for written, real in (
        ("https://connect.acme.example", machine.world.service_url),
        ("http://127.0.0.1:40968", machine.world.line["simulator"]["login_url"]),
    ):
        text = text.replace(written, str(real))
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (log_in,) = [block for block in blocks if "--instance-url" in block]
    commands = [block for block in blocks if block.startswith("keyturn")]
    commands = [block for block in commands if not block.startswith("keyturn dev")]

    with callback_port():
        logged_in = second.script(log_in)
    done = second.script("\n".join(commands))

    assert logged_in.status == 0, logged_in.out + logged_in.err
    assert done.status == 0, done.out + done.err
    assert len(commands) == 4
    assert told.released[0]["id"] in done.out
    assert f"install, production: https://login.salesforce.com{LINK}" in done.out
    assert "warning" not in done.out + done.err
    assert "... ask for the build" not in done.err


def _said_of(step: str, number: str) -> str:
    """Return how a step of the first release is told for another package and version."""
    return step.replace(NAME, OTHER).replace("1.0.0", number)


def _take_other_content(machine: Machine, number: str) -> None:
    config = machine.work / "keyturn.toml"
    flow = machine.work / "salesforce/force-app/main/default/flows/Renewal_Alert.flow-meta.xml"
    config.write_text(_with_version(config.read_text(), number))
    flow.write_text(flow.read_text().replace("Renewal at risk", f"Renewal at risk, {number}"))


def _with_version(text: str, number: str) -> str:
    lines = [
        f'version = "{number}"' if line.startswith("version = ") else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"
