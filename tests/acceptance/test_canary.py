"""Every secret of the world carries a mark; after use the mark is searched for everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.postgres import running_postgres
from tests.support.server_to_server import Road
from tests.support.vendor import Vendor
from tools.journey import Journey, plain_face
from tools.world import World, running_world

ASSERTION = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9"  # the header of every assertion of ours

pytestmark = pytest.mark.takes(50)


@dataclass
class Used:
    """A world that was used, and what it left behind."""

    world: World
    folder: Path
    log: Path
    pages: dict[str, str] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    """A kept world after the journey and after calls that are refused."""
    folder = tmp_path_factory.mktemp("canary")
    used_folder, log = folder / "world", folder / "dev.log"
    with running_world("--data", str(used_folder), log=log) as world:
        used = Used(world=world, folder=used_folder, log=log)
        journey = Journey(world, plain_face(world))
        assert all(step.ok for step in journey.steps())
        used.urls += journey.acme.seen
        used.pages["last page of Acme"] = journey.acme.text
        journey.close()
        _server_to_server(Vendor(world), used)
        _refused_calls(Vendor(world), used)
        yield used


def _server_to_server(vendor: Vendor, used: Used) -> None:
    """Make a signing key, connect by it, and be refused by it."""
    road = Road(vendor, str(used.world.line["app_id"]))
    key = road.signing_key()
    road.put_certificate(key)
    made = road.connect(vendor.org("Oakhollow")).raise_for_status()
    refused = road.connect(vendor.org("Oakhollow"), role="standard")
    verified = road.verify(made.json()["id"])
    used.pages |= {
        "signing key": str(key),
        "connection by assertion": made.text,
        "refused assertion": refused.text,
        "verification": str(verified),
    }
    vendor.close()


def _refused_calls(vendor: Vendor, used: Used) -> None:
    connection = vendor.world.line["connections"][0]["id"]
    session = vendor.begin("brightwater")
    with vendor.browser() as browser:
        vendor.to_login(browser, session)
        browser.submit("Login", username="nobody@example.com", pw=f"{vendor.world.canary}-typed")
        used.pages["login page"] = browser.text
        used.pages["connect page"] = vendor.api.get(session["url"]).text
    for path in ("/v1/connections", f"/v1/connections/{connection}", "/v1/audit-events?limit=200"):
        used.pages[path] = vendor.api.get(path).text
    used.pages["journal"] = vendor.control.get("/journal").text
    answer = vendor.api.post(
        "/v1/apps", json={"name": vendor.world.canary, "nonsense": f"{vendor.world.canary}"}
    )
    used.pages["refused write"] = answer.text
    vendor.close()


def holding(folder: Path, mark: str) -> list[str]:
    """Return the files below a folder that hold the mark."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and mark.encode() in path.read_bytes()
    ]


def test_files_hold_no_secret(used: Used) -> None:
    """Databases, spools, key files, the simulator's own store, settings."""
    assert len(list(used.folder.rglob("*"))) > 5
    assert holding(used.folder, used.world.canary) == []


def test_nothing_holds_an_assertion_or_a_private_key(used: Used) -> None:
    """They have no mark of the world's, but a beginning that all of them share."""
    kept = [name for name in holding(used.folder, "PRIVATE KEY") if not name.startswith("tls/")]
    assert kept == [], "the simulator's own keys apart"
    for mark in (ASSERTION, "PRIVATE KEY"):
        assert mark not in used.log.read_text()
        assert [name for name, text in used.pages.items() if mark in text] == []
    assert holding(used.folder, ASSERTION) == []


def test_logs_hold_no_secret(used: Used) -> None:
    """What service, simulator and Acme wrote to standard error."""
    text = used.log.read_text()
    assert "browser_sent_to_salesforce" in text
    assert used.world.canary not in text


def test_process_arguments_and_environments_hold_no_secret(used: Used) -> None:
    """Anybody on the machine can read arguments; environments end in crash reports."""
    for process in used.world.line["processes"]:
        for name in ("cmdline", "environ"):
            held = Path(f"/proc/{process['pid']}/{name}").read_bytes()
            assert used.world.canary.encode() not in held, (process["name"], name)


def test_pages_and_answers_hold_no_secret(used: Used) -> None:
    """Whatever is shown or listed, but for what interfaces allow."""
    marked = [name for name, text in used.pages.items() if used.world.canary in text]
    assert marked == []


def test_urls_that_browsers_keep_hold_no_secret(used: Used) -> None:
    """The callback's request carries the code by protocol; it is answered with a redirect."""
    kept = [url for url in used.urls if "/oauth/callback?" not in url]
    assert [url.partition("?")[0] for url in kept if used.world.canary in url] == []


def test_a_dump_of_the_database_holds_no_secret(tmp_path: Path) -> None:
    """PostgreSQL's own files, after connecting and reading a token."""
    with running_postgres(fsync=True) as server:
        environment = {"KEYTURN_DATABASE_URL": server.create_database()}
        with running_world(log=tmp_path / "dev.log", environment=environment) as world:
            vendor = Vendor(world)
            assert vendor.token(world.line["connections"][0]["id"]).status_code == 200
            vendor.close()
            if server.folder is None:  # a server of the environment's: its files are elsewhere
                return
            server.execute("CHECKPOINT")
            assert holding(server.folder, world.canary) == []


def test_a_planted_leak_is_found(used: Used, tmp_path: Path) -> None:
    """The search itself can fail."""
    (tmp_path / "leak.log").write_text(f"token={used.world.api_key}")
    assert holding(tmp_path, used.world.canary) == ["leak.log"]
