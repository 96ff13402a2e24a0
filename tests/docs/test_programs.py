"""The programs on the pages do what the pages say: each page's are run as one, in a world.

A block behind `<!-- run -->` is run with the world's addresses, key and ids in place of those of
the page; behind `<!-- run: names -->` the service goes by its true-looking name. A page's Python
blocks are one program. `<!-- person connects: session, query -->` is a person who walks the pages;
`<!-- vendor puts the certificate: key -->` changes the app's settings at Salesforce;
`<!-- time passes: … -->` waits until the service follows the clock, then runs the first again.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tools.world import BIN, World

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BACK = "https://app.acme.example"
BLOCK = re.compile(
    r"^<!-- (?P<mark>run|run: names|person connects: session, query"
    r"|vendor puts the certificate: key|time passes: step 3 is run again) -->\n"
    r"(?:```(?P<language>python|sh)\n(?P<source>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
PROGRAMS = sorted(
    str(path.relative_to(DOCS))
    for path in DOCS.rglob("*.md")
    if any(found["language"] == "python" for found in BLOCK.finditer(path.read_text()))
)
# What a page's program says when it has done its work.
SAID = {
    "tutorials/first-connection.md": ("Northwind", "@", "/services/oauth2/token"),
    "how-to/call-salesforce.md": ("1 saved, 0 refused", "400 INVALID_FIELD", "\n3\n"),
    "how-to/connect-a-customer.md": ("active Brightwater", "open"),
    "how-to/connect-server-to-server.md": (
        "active 2",
        "-----BEGIN CERTIFICATE-----",
        "active jwt_bearer Oakhollow",
        "3 contacts",
        "identity done",
        "works: True",
        "retired False",
    ),
    "how-to/move-in-from-a-hosted-platform.md": ("connected", "\n3\n"),
    "how-to/test-against-orgsim.md": ("connection_uncertain", "uncertain", "lost_answer"),
    "how-to/when-a-connection-fails.md": ("active None", "connection.confirmed"),
}
# Its program leaves a connection uncertain; the other pages want theirs active.
SPENDS = "how-to/test-against-orgsim.md"
PUT = """
from tests.docs.person import put_certificate
put_certificate({!r}, key.certificate_pem)
"""
WAIT = """
from tests.docs.person import wait_for_clock
wait_for_clock(control, {!r}, {!r}, {!r})
"""


def in_world(source: str, world: World, *, connection_id: str, names: bool = False) -> str:
    """Return a program with the world's values in place of the page's."""
    line = world.line
    service = line["tls"]["names"]["service"] if names else world.service_url
    for written, real in (
        ("https://connect.acme.example", service),
        ("http://127.0.0.1:40967", world.control_url),
        ("kt_live_…", world.api_key),
        ("con_…", connection_id),
        ("app_…", line["app_id"]),
    ):
        source = source.replace(written, str(real))
    return source


def person(world: World) -> str:
    """Return the program text for the person on the page."""
    org = next(org for org in world.orgs() if org["name"] == "Brightwater")
    admin = next(user for user in org["users"] if user["role"] == "admin")
    return (
        "from tests.docs.person import connect\n"
        f"query = connect(session.url, username={admin['username']!r},"
        f" password={admin['password']!r}, back={BACK!r})\n"
    )


def program_of(page: str, world: World) -> str:
    """Return the Python blocks of a page as one program."""
    connection_id = world.line["connections"][1 if page == SPENDS else 0]["id"]
    parts = []
    for found in BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")):
        if found["mark"].startswith("person"):
            parts.append(person(world))
        elif found["mark"].startswith("vendor"):
            parts.append(PUT.format(world.control_url))
        elif found["mark"].startswith("time"):
            parts += [WAIT.format(world.service_url, world.api_key, world.line["app_id"]), parts[0]]
        elif found["language"] == "python":
            names = found["mark"] == "run: names"
            parts.append(in_world(found["source"], world, connection_id=connection_id, names=names))
    return "\n".join(parts)


def run(program: str, world: World) -> subprocess.CompletedProcess[str]:
    """Run a program as a reader would; it comes by standard input, for it holds secrets."""
    tls = world.line["tls"]
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HTTPS_PROXY": tls["connect_proxy_url"],
        "NO_PROXY": "127.0.0.1",
        "SSL_CERT_FILE": tls["ca_file"],
        "REQUESTS_CA_BUNDLE": tls["ca_file"],
    }
    return subprocess.run(
        [sys.executable, "-"],
        input=program,
        env=environment,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(autouse=True)
def calm(world: World):
    """Leave no fault behind, and no connection that a page made: other pages list them all."""
    yield
    httpx2.delete(f"{world.control_url}/faults", trust_env=False).raise_for_status()
    own = {connection["id"] for connection in world.line["connections"]}
    headers = {"Authorization": f"Bearer {world.api_key}"}
    with httpx2.Client(base_url=world.service_url, headers=headers, trust_env=False) as api:
        for connection in api.get("/v1/connections?state=active&limit=100").json()["data"]:
            if connection["id"] not in own:
                api.delete(f"/v1/connections/{connection['id']}").raise_for_status()


def test_every_page_with_a_program_says_what_it_prints() -> None:
    """So that none is run without a look at what came out."""
    assert set(PROGRAMS) == set(SAID)


@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_of_a_page_run(page: str, world: World) -> None:
    """They end with status 0 and print what the page says."""
    done = run(program_of(page, world), world)

    assert done.returncode == 0, done.stderr
    assert [said for said in SAID[page] if said not in done.stdout] == [], done.stdout


def test_the_shortest_program_of_the_readme_runs(world: World) -> None:
    """It prints contacts of each org that is connected."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    source = re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)[0]

    done = run(in_world(source, world, connection_id=""), world)

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 5
    assert "Northwind" in done.stdout


def test_an_installation_begins_as_the_page_says(tmp_path: Path) -> None:
    """Key file and API key are made by the two commands."""
    page = (DOCS / "how-to/run-the-service.md").read_text(encoding="utf-8")
    (source,) = [found["source"] for found in BLOCK.finditer(page) if found["language"] == "sh"]

    done = subprocess.run(
        ["sh", "-eu"],
        input=source,
        cwd=tmp_path,
        env={"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "kt_live_" in done.stdout
    key_file = tmp_path / "keyturn-data/keyturn.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
