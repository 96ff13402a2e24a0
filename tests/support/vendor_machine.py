"""A vendor's machine: a home in which the real `sf` is logged in, and a folder for the product."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.support.sf import SF, Sf, browser_of, new_certificate, user_of
from tools.world import BIN, World

_WITHIN = 300  # seconds for one command
ALIAS = "acme-hub"
_SETTINGS_PROJECT = (
    '{"packageDirectories": [{"path": "force-app", "default": true}], "sourceApiVersion": "68.0"}'
)
_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<ExternalClientAppSettings xmlns="http://soap.sforce.com/2006/04/metadata">
    <enableClientSecretInRestApiAccess>true</enableClientSecretInRestApiAccess>
</ExternalClientAppSettings>
"""
# Records arguments, and the private home as each command of `sf` leaves it.
_RECORDER = f"""#!{sys.executable}
import os, pathlib, shutil, subprocess, sys, time
record = pathlib.Path({{record!r}})
number = len(list(record.iterdir()))
mine = record / f"{{{{number:03}}}}"
mine.mkdir()
(mine / "argv").write_text("\\n".join(sys.argv[1:]))
begun = time.monotonic()
status = subprocess.run([{str(SF)!r}, *sys.argv[1:]]).returncode
(mine / "seconds").write_text(str(time.monotonic() - begun))
home = pathlib.Path(os.environ["HOME"])
if home.name.startswith("keyturn-sf-"):
    shutil.copytree(home, mine / "home", symlinks=True)
sys.exit(status)
"""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command of `keyturn` ended, after so many seconds."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> dict[str, Any]:
        """The one object of `--json`."""
        read: dict[str, Any] = json.loads(self.out)
        return read

    @property
    def result(self) -> Any:
        """The result of a command that went well."""
        assert self.status == 0, self.out + self.err
        return self.said["result"]


class Machine:
    """Runs `keyturn` as the vendor does; `record` has what `sf` was given and left."""

    def __init__(self, folder: Path, world: World) -> None:
        self.world = world
        self.sf = Sf(folder / "home")
        self.work = folder / "product"
        self.temporary = folder / "tmp"
        self.record = folder / "record"
        self.said = folder / "said"
        for one in (self.work, self.temporary, self.record, self.said):
            one.mkdir()
        self.ran: set[tuple[str, ...]] = set()
        recorder = folder / "sf"
        recorder.write_text(_RECORDER.format(record=str(self.record)))
        recorder.chmod(0o755)
        self.environment = {
            **self.sf.environment(),
            "KEYTURN_SF": str(recorder),
            "TMPDIR": str(self.temporary),
        }
        self.key_file = folder / "key.txt"
        self.key_file.write_text(world.api_key)

    def beside(self, folder: Path) -> Machine:
        """Return another machine of the same vendor, logged in, with its own `keyturn.toml`."""
        other = Machine(folder, self.world)
        other.log_in(folder)
        other.start_config()
        return other

    @property
    def calls(self) -> int:
        """How often `sf` was called."""
        return len(list(self.record.iterdir()))

    def argvs(self, since: int) -> list[list[str]]:
        """Return the arguments of the calls of `sf` from the one of that number on."""
        calls = sorted(self.record.iterdir())[since:]
        return [(call / "argv").read_text().splitlines() for call in calls]

    @property
    def hub(self) -> dict[str, Any]:
        """The Dev Hub org."""
        return dict(self.world.line["simulator"]["dev_hub"])

    def log_in(self, folder: Path) -> None:
        """Log `sf` in to the Dev Hub org, as the vendor did long ago."""
        key, certificate = new_certificate(folder)
        admin = user_of(self.hub)
        app = {
            "name": f"Tools_{len(list(folder.parent.iterdir()))}",
            "certificate_pem": certificate,
            "pre_authorized": [admin["user_id"]],
        }
        made = httpx2.post(f"{self.world.control_url}/apps", json=app, trust_env=False)
        assert made.is_success, made.text
        self.sf.run(
            *("org", "login", "jwt", "--client-id", made.json()["consumer_key"]),
            *("--jwt-key-file", str(key), "--username", admin["username"], "--alias", ALIAS),
            *("--instance-url", self.world.line["simulator"]["login_url"]),
            *("--set-default-dev-hub",),
        )
        self._allow_credentials(folder)

    def _allow_credentials(self, folder: Path) -> None:
        """Allow access to consumer secrets via REST API, as the how-to asks for."""
        project = folder / "org-settings"
        settings = project / "force-app/settings"
        settings.mkdir(parents=True)
        (project / "sfdx-project.json").write_text(_SETTINGS_PROJECT)
        (settings / "ExternalClientApp.settings-meta.xml").write_text(_SETTINGS)
        arguments = ("project", "deploy", "start", "--source-dir", "force-app")
        done = self.sf.run(*arguments, "--target-org", ALIAS, cwd=project)
        assert done.status == 0, done.body

    def argv(self, *arguments: str) -> list[str]:
        """Return the words of a command."""
        return [str(BIN / "keyturn"), *arguments]

    def keyturn(self, *arguments: str) -> Ended:
        """Run a command in the product's folder; what it says is kept in `said`."""
        begun = time.monotonic()
        done = subprocess.run(
            self.argv(*arguments),
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
        ended = Ended(
            status=done.returncode,
            out=done.stdout,
            err=done.stderr,
            seconds=time.monotonic() - begun,
        )
        self._keep(arguments[:2], ended)
        return ended

    def kill_at_step(self, name: str, *arguments: str | Path) -> bool:
        """Run a command, and kill it as it begins a step; tell whether it came so far."""
        with subprocess.Popen(
            self.argv(*map(str, arguments)),
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stderr is not None
            for line in running.stderr:
                if line.rstrip() == f"... {name}":
                    running.kill()
                    return True
        return False

    def _keep(self, words: tuple[str, ...], ended: Ended) -> None:
        self.ran.add(words)
        number = len(list(self.said.iterdir()))
        (self.said / f"{number:03}-{'-'.join(words)}").write_text(ended.out + ended.err)

    def seconds_in_sf(self, since: int) -> float:
        """Return how long the calls of `sf` took, from the one of that number on."""
        return sum(
            float((call / "seconds").read_text()) for call in sorted(self.record.iterdir())[since:]
        )

    def start_config(self) -> None:
        """Write a `keyturn.toml` as the how-to says, for the service of this world."""
        made = self.keyturn(
            *("config", "init", "--label", "Acme Connect"),
            *("--contact", "integrations@acme.example"),
            *("--service-url", self.world.service_url, "--namespace", "acme", "--no-input"),
            *("--return-origin", "https://app.acme.example", "--egress", "192.0.2.8/29"),
            *("--post-install-url", "https://app.acme.example/installed"),
        )
        assert made.status == 0, made.err

    def sit_down_at_browser(self) -> None:
        """Let the Dev Hub org's admin be at the browser that `sf` opens."""
        self.environment |= browser_of(self.record.parent, user_of(self.hub))

    def script(self, text: str) -> Ended:
        """Run a shell script in the product's folder, as it is pasted."""
        begun = time.monotonic()
        done = subprocess.run(
            ["sh", "-eux"],
            input=text,
            cwd=self.work,
            env={**self.environment, "PATH": f"{BIN}:{self.environment['PATH']}"},
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
        return Ended(
            status=done.returncode,
            out=done.stdout,
            err=done.stderr,
            seconds=time.monotonic() - begun,
        )

    def files_with(self, text: str) -> list[str]:
        """Return the files of home, product, temporary folder and records that hold a text."""
        return [
            os.path.relpath(path, folder.parent)
            for folder in (self.sf.home, self.work, self.temporary, self.record, self.said)
            for path in folder.rglob("*")
            if path.is_file() and text.encode() in path.read_bytes()
        ]
