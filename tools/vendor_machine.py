"""A vendor's machine: a home in which the real `sf` is logged in, and a folder for the product.

The Dev Hub org is the world's simulated one; `sf` and `keyturn` are the programs themselves.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tools.world import BIN, World

ALIAS: Final = "acme-hub"
LABEL: Final = "Acme Connect"
CONTACT: Final = "integrations@acme.example"
NAMESPACE: Final = "acme"
_COMPILED: Final = Path("build/node").absolute()  # what Node keeps of `sf`'s scripts: code alone
_WITHIN: Final = 300  # seconds for one command
_SETTINGS_PROJECT: Final = (
    '{"packageDirectories": [{"path": "force-app", "default": true}], "sourceApiVersion": "68.0"}'
)
_SETTINGS: Final = """<?xml version="1.0" encoding="UTF-8"?>
<ExternalClientAppSettings xmlns="http://soap.sforce.com/2006/04/metadata">
    <enableClientSecretInRestApiAccess>true</enableClientSecretInRestApiAccess>
</ExternalClientAppSettings>
"""


def sf_environment(home: Path) -> dict[str, str]:
    """Return what `sf` sees in a home of its own; nothing of the caller's but the path."""
    return {
        "HOME": str(home),
        "NODE_COMPILE_CACHE": str(_COMPILED),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "SF_AUTOUPDATE_DISABLE": "true",
        "SF_DISABLE_AUTOUPDATE": "true",
        "SF_DISABLE_DNS_CHECK": "true",
        "SF_DISABLE_LOG_FILE": "true",
        "SF_DISABLE_TELEMETRY": "true",
        "SF_SKIP_NEW_VERSION_CHECK": "true",
        "SF_USE_GENERIC_UNIX_KEYCHAIN": "true",
        "SF_USE_PROGRESS_BAR": "false",
        "TERM": "dumb",
    }


class CommandFailed(Exception):
    """A command of `sf` or `keyturn` ended with another status than 0; the text is its own."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, after so many seconds."""

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
        """The result of a command that went well.

        Raises:
            CommandFailed: it did not.
        """
        if self.status:
            raise CommandFailed((self.out + self.err)[-3000:])
        return self.said["result"]


class VendorMachine:
    """Runs `sf` and `keyturn` as the vendor does, in folders below the one that is given."""

    def __init__(self, folder: Path, world: World) -> None:
        self.world = world
        self.folder = folder
        self.home = folder / "home"
        self.work = folder / "product"
        self.temporary = folder / "tmp"
        for one in (self.home, self.work, self.temporary):
            one.mkdir()
        self.environment = {**sf_environment(self.home), "TMPDIR": str(self.temporary)}
        self.key_file = folder / "key.txt"
        self.key_file.write_text(world.api_key)

    @property
    def hub(self) -> dict[str, Any]:
        """The Dev Hub org."""
        return dict(self.world.line["simulator"]["dev_hub"])

    def log_in(self) -> None:
        """Log `sf` in to the Dev Hub org, as the vendor did long ago."""
        key, certificate = new_certificate(self.folder)
        admin = next(user for user in self.hub["users"] if user["role"] == "admin")
        app = {
            "name": f"Tools_{os.urandom(4).hex()}",
            "certificate_pem": certificate,
            "pre_authorized": [admin["user_id"]],
        }
        made = httpx2.post(f"{self.world.control_url}/apps", json=app, trust_env=False)
        made.raise_for_status()
        self.sf_said(
            *("org", "login", "jwt", "--client-id", made.json()["consumer_key"]),
            *("--jwt-key-file", str(key), "--username", admin["username"], "--alias", ALIAS),
            *("--instance-url", self.world.line["simulator"]["login_url"]),
            *("--set-default-dev-hub",),
        )
        self._allow_credentials()

    def _allow_credentials(self) -> None:
        """Allow access to consumer secrets via REST API, as the how-to asks for."""
        project = self.folder / "org-settings"
        settings = project / "force-app/settings"
        settings.mkdir(parents=True)
        (project / "sfdx-project.json").write_text(_SETTINGS_PROJECT)
        (settings / "ExternalClientApp.settings-meta.xml").write_text(_SETTINGS)
        arguments = ("project", "deploy", "start", "--source-dir", "force-app")
        self.sf_said(*arguments, "--target-org", ALIAS, cwd=project)

    def sf_said(self, *arguments: str, cwd: Path | None = None) -> Any:
        """Run a command of `sf`; return its result.

        Raises:
            CommandFailed: it failed.
        """
        ended = self._ended([str(BIN / "sf"), *arguments, "--json"], cwd or self.home)
        if ended.status:
            raise CommandFailed((ended.out + ended.err)[-3000:])
        return ended.said["result"]

    def argv(self, *arguments: str) -> list[str]:
        """Return the words of a command of `keyturn`."""
        return [str(BIN / "keyturn"), *arguments]

    def keyturn(self, *arguments: str) -> Ended:
        """Run a command of `keyturn` in the product's folder."""
        return self._ended(self.argv(*arguments), self.work)

    def script(self, text: str) -> Ended:
        """Run a shell script in the product's folder, as it is pasted."""
        return self._ended(["sh", "-eux"], self.work, typed=text)

    def _ended(self, argv: list[str], folder: Path, *, typed: str = "") -> Ended:
        begun = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=folder,
            env=self.environment,
            input=typed,
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

    def start_config(self, *options: str, **changes: str) -> None:
        """Write a `keyturn.toml` for the service of this world.

        `options` are further ones of `keyturn config init`; `changes` are values by name, as they
        stand in the file.
        """
        written = self.keyturn(
            *("config", "init", "--label", LABEL, "--contact", CONTACT, "--namespace", NAMESPACE),
            *("--service-url", self.world.service_url, *options, "--no-input", "--json"),
        ).result
        file = self.work / str(written["file"])
        text = file.read_text()
        for name, value in changes.items():
            lines = [
                f"{name} = {value}" if line.startswith(f"{name} = ") else line
                for line in text.splitlines()
            ]
            text = "\n".join(lines) + "\n"
        file.write_text(text)

    def files_with(self, text: str) -> list[str]:
        """Return the files of product and temporary folder that hold a text."""
        return [
            str(path.relative_to(self.folder))
            for folder in (self.work, self.temporary)
            for path in folder.rglob("*")
            if path.is_file() and text.encode() in path.read_bytes()
        ]


def new_certificate(folder: Path) -> tuple[Path, str]:
    """Make a key pair; return the private key's file and the certificate in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "release.acme.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    file = folder / "release.key"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file, certificate.public_bytes(serialization.Encoding.PEM).decode()
