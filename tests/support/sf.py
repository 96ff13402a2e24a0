"""The unmodified `sf`, in a home of its own, against a simulator that is started alone."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.support.alone import alone
from tools.vendor_machine import new_certificate, sf_environment
from tools.world import BIN

SF = Path("tests/real_clients/sf/node_modules/.bin/sf").absolute()
_BROWSER = Path("tests/real_clients/sf_browser.py").absolute()
_PORT_LOCK = Path("build/sf-callback-port.lock").absolute()
BROWSER_LOCK = Path("build/sf-browser.lock").absolute()
_WITHIN = 100  # seconds for one command
_ENDS_WITHIN = 10


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended; `body` is its JSON."""

    status: int
    body: dict[str, Any]

    @property
    def result(self) -> Any:
        """What a command that went well answered."""
        assert self.status == 0, json.dumps(self.body)[:3000]
        return self.body["result"]

    @property
    def problem(self) -> tuple[str, str]:
        """Name and message of the error of a command that failed."""
        assert self.status != 0, json.dumps(self.body)[:3000]
        return str(self.body["name"]), str(self.body["message"])


@dataclass(frozen=True, kw_only=True)
class Orgsim:
    """A running `orgsim serve` and the line it printed."""

    line: dict[str, Any]
    control: httpx2.Client

    @property
    def hub(self) -> dict[str, Any]:
        """The Dev Hub org."""
        return dict(self.line["dev_hub"])

    def org(self, name: str) -> dict[str, Any]:
        """A customer's org by name."""
        return next(org for org in self.control.get("/orgs").json() if org["name"] == name)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Ask the control port."""
        answer = self.control.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """Change something by the control port."""
        answer = self.control.patch(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()


def user_of(org: dict[str, Any], role: str = "admin") -> dict[str, Any]:
    """Return an org's person of a role."""
    return next(user for user in org["users"] if user["role"] == role)


@contextlib.contextmanager
def running_orgsim(*arguments: str) -> Iterator[Orgsim]:
    """Start a simulator, and end it."""
    argv = [str(BIN / "orgsim"), "serve", "--json", "--exit-with-stdin", *arguments]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        line = json.loads(running.stdout.readline())
        try:
            with httpx2.Client(base_url=line["control_url"], trust_env=False, timeout=20) as http:
                yield Orgsim(line=line, control=http)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(_ENDS_WITHIN)


def log_in(sim: Orgsim, sf: Sf, org: dict[str, Any], folder: Path, *, alias: str) -> dict[str, Any]:
    """Log in to an org by assertion, with an app that is made there for it."""
    key, certificate = new_certificate(folder)
    admin = user_of(org)
    app = {"org_id": org["org_id"], "name": f"Release_Tools_{alias}"}
    app |= {"certificate_pem": certificate, "pre_authorized": [admin["user_id"]]}
    made = sim.post("/apps", app)
    host = "sandbox_login_url" if org.get("environment") == "sandbox" else "login_url"
    said = sf.run(
        *("org", "login", "jwt", "--client-id", made["consumer_key"], "--jwt-key-file", str(key)),
        *("--username", admin["username"], "--instance-url", sim.line[host]),
        *("--alias", alias),
    ).result
    assert said["orgId"] == org["org_id"]
    return dict(said)


def log_in_to_hub(sim: Orgsim, sf: Sf, folder: Path) -> None:
    """Log in to the Dev Hub, and make it the target of what follows."""
    assert log_in(sim, sf, sim.hub, folder, alias="hub")["isDevHub"] is True
    sf.run("config", "set", "target-dev-hub=hub", "target-org=hub", "--global")


def browser_of(folder: Path, user: dict[str, Any]) -> dict[str, str]:
    """Return the environment in which `sf` opens a browser at which this person is."""
    opener = folder / "browser"
    module = ".".join(_BROWSER.relative_to(Path.cwd()).with_suffix("").parts)
    opener.write_text(f'#!/bin/sh\ncd {Path.cwd()} && exec {BIN}/python -m {module} "$1"\n')
    opener.chmod(0o700)
    return {
        "BROWSER": str(opener),
        "SF_TEST_LOG": str(folder / "browser.log"),
        "SF_TEST_USERNAME": user["username"],
        "SF_TEST_PASSWORD": user["password"],
    }


def log_in_by_web(sim: Orgsim, sf: Sf, org: dict[str, Any], folder: Path) -> Said:
    """Log in as the org's admin in a browser."""
    with callback_port():
        try:
            return sf.run(
                *("org", "login", "web", "--instance-url", sim.line["login_url"], "--alias", "web"),
                cwd=None,
                **browser_of(folder, user_of(org)),
            )
        except subprocess.TimeoutExpired as late:
            walked = (folder / "browser.log").read_text()
            raise AssertionError(f"sf still waits; its browser: {walked}") from late


@contextlib.contextmanager
def callback_port() -> Iterator[None]:
    """Have the port on which `sf` waits for a browser to ourselves: it is always 1717.

    Until our browser has gone, too: it follows what `sf` answers to that port, behind its back.
    """
    with alone(_PORT_LOCK):
        yield
        with alone(BROWSER_LOCK):
            pass


class Sf:
    """Runs commands in one throwaway home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(exist_ok=True)

    def environment(self) -> dict[str, str]:
        """Return what the program sees; nothing of the caller's but the path."""
        return sf_environment(self.home)

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> Said:
        """Run a command with `--json` and read what it says."""
        ended = subprocess.run(
            [SF, *arguments, "--json"],
            cwd=cwd or self.home,
            env=self.environment() | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
        assert ended.stdout.strip(), ended.stderr[-3000:]
        return Said(status=ended.returncode, body=json.loads(ended.stdout))
