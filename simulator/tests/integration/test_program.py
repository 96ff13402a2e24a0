"""`orgsim serve` as a program: how it starts, what it keeps, how it ends."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from orgsim_caller import Caller
from orgsim_program import COMMAND, OrgsimProgram


def _scratch(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith("orgsim-")]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Give the program a temporary folder of its own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal_with_nothing_left(temporary, number):
    """Status 0, within seconds, no file and no word."""
    with OrgsimProgram() as program, Caller(program) as caller:
        caller.connect(program.org())
        assert _scratch(temporary)
        assert program.end(number) == 0
        assert program.stderr == ""
    assert list(temporary.iterdir()) == []


def test_it_ends_with_open_requests(temporary):
    """A slow answer does not hold it up."""
    with OrgsimProgram() as program, Caller(program) as caller:
        program.fault("slow", options={"delay": "PT10M"})
        request = f"GET {caller.login_url}/id/keys"
        hanging = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys, urllib.request as u; u.urlopen(sys.argv[1].split()[1])",
                request,
            ],
            stderr=subprocess.DEVNULL,
        )
        while not program.journal(path="/id/keys"):
            assert hanging.poll() is None
        assert program.end() == 0
        hanging.wait(10)
    assert list(temporary.iterdir()) == []


def test_it_ends_with_its_standard_input_if_asked(temporary):
    """So that it cannot outlive whoever holds the other end."""
    with OrgsimProgram("--exit-with-stdin") as program:
        program.process.stdin.close()
        assert program.ended() == 0
    assert list(temporary.iterdir()) == []


def test_it_does_not_read_its_standard_input_otherwise():
    """A closed one is no reason to end."""
    with OrgsimProgram() as program:
        program.process.stdin.close()
        assert program.control.get("/clock").status_code == 200


def test_it_ends_when_its_parent_is_killed(temporary):
    """The kernel tells it."""
    script = textwrap.dedent(
        """
        import subprocess, sys, time
        child = subprocess.Popen([sys.argv[1], "serve", "--json"], stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
        sys.stdin.read()
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        child = int(parent.stdout.readline())
        handle = os.pidfd_open(child)
        parent.kill()
    with os.fdopen(handle) as ended:
        readable, _, _ = select.select([ended], [], [], 10)  # as soon as the process is gone
        assert readable
    assert list(temporary.iterdir()) == []


def test_a_kept_world_answers_again_after_a_restart(tmp_path):
    """The same ids, ports, people and clock; tokens stay valid."""
    kept = str(tmp_path / "world")
    with OrgsimProgram("--data", kept) as program, Caller(program) as caller:
        first = program.line
        tokens = caller.connect(program.org())
        program.advance("P3D")
        program.change_app(scopes=["api", "refresh_token", "id"])
        program.change_policy(program.org("Stonebridge"), installed=True)
        tokens = caller.refresh(tokens["refresh_token"]).json()
        now = program.control.get("/clock").json()["now"]
    with OrgsimProgram("--data", kept) as program, Caller(program) as caller:
        for name in ("login_url", "sandbox_login_url", "control_url", "canary"):
            assert program.line[name] == first[name]
        assert program.line["tls"]["connect_proxy_url"] == first["tls"]["connect_proxy_url"]
        assert _public(program.line["orgs"]) == _public(first["orgs"])
        assert program.app()["consumer_secret"] == first["apps"][0]["consumer_secret"]
        assert program.app()["scopes"] == ["api", "id", "refresh_token"]
        assert program.org("Stonebridge")["package_installed"]
        assert program.control.get("/clock").json()["now"] > now
        assert caller.call(tokens["access_token"]).status_code == 200
        assert caller.refresh(tokens["refresh_token"]).status_code == 200
        assert caller.http.get(f"{caller.login_url}/id/keys").status_code == 200


def _public(orgs):
    return [(org["org_id"], org["my_domain_url"], org["users"]) for org in orgs]


def test_a_killed_program_has_lost_nothing(tmp_path):
    """What was told was kept first."""
    kept = str(tmp_path / "world")
    with OrgsimProgram("--data", kept) as program, Caller(program) as caller:
        tokens = caller.connect(program.org())
        renewed = caller.refresh(tokens["refresh_token"]).json()
        program.end(signal.SIGKILL)
    with OrgsimProgram("--data", kept) as program, Caller(program) as caller:
        assert caller.refresh(renewed["refresh_token"]).status_code == 200


def test_what_is_kept_holds_no_secret_as_it_is(tmp_path):
    """Every secret carries the canary, and no file does; files are for their owner only."""
    kept = tmp_path / "world"
    with OrgsimProgram("--data", str(kept)) as program, Caller(program) as caller:
        tokens = caller.connect(program.org())
        caller.refresh(tokens["refresh_token"])
        _assert_free_of(kept, program.line["canary"])
    _assert_free_of(kept, program.line["canary"])
    assert kept.stat().st_mode & 0o077 == 0
    for private in (kept / "seal.key", kept / "tls" / "ca.key"):
        assert private.stat().st_mode & 0o077 == 0


def _assert_free_of(folder: Path, canary: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 10
    assert [path.name for path in files if canary.encode() in path.read_bytes()] == []


def test_a_reset_of_a_kept_world_is_kept(tmp_path):
    """Started again, it is the fresh one."""
    kept = str(tmp_path / "world")
    with OrgsimProgram("--data", kept, seed=7) as program, Caller(program) as caller:
        tokens = caller.connect(program.org())
        program.reset(seed=9)
        fresh = program.orgs()
    with OrgsimProgram("--data", kept, seed=9) as program, Caller(program) as caller:
        assert program.orgs() == fresh
        assert caller.refresh(tokens["refresh_token"]).status_code == 400


def test_the_canary_callbacks_and_ports_can_be_given(tmp_path):
    """As `keyturn dev` gives them."""
    ports = tmp_path / "ports.json"
    arguments = (
        "--canary",
        "canaryabcdef",
        "--app-callback",
        "http://127.0.0.1:1/a",
        "--app-callback",
        "http://127.0.0.1:1/b",
        "--ports-file",
        str(ports),
        "--switch",
        "logins_per_hour=1",
    )
    with OrgsimProgram(*arguments) as program:
        assert program.line["canary"] == "canaryabcdef"
        assert program.app()["callback_urls"] == ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"]
        address = program.line["login_url"]
    with OrgsimProgram("--ports-file", str(ports)) as program:
        assert program.line["login_url"] == address


@pytest.mark.parametrize(
    "arguments",
    [
        ("--canary", "too-short!"),
        ("--route", "nonsense"),
        ("--switch", "nonsense"),
        ("--switch", "no_such_switch=1"),
        ("--switch", "identity_host=moon"),
    ],
)
def test_wrong_usage_is_told_with_status_2(arguments):
    """In one clear sentence, without a traceback."""
    ended = subprocess.run(
        [COMMAND, "serve", *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_its_arguments_hold_no_secret():
    """Whoever lists processes learns nothing; people are pointed to the control port."""
    with subprocess.Popen(
        [COMMAND, "serve", "--seed", "7"], stdout=subprocess.PIPE, text=True
    ) as process:
        told = [process.stdout.readline() for _ in range(4)]
        process.terminate()
        assert process.wait(10) == 0
    assert told[0].startswith("login_url")
    assert "control" in told[3]
