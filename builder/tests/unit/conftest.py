"""A sound `keyturn.toml`, and a Dev Hub org in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.config_file import parse_config
from keyturn_builder.dev_hub import DevHub, dev_hub
from keyturn_builder.sf_cli import SfAnswer
from keyturn_builder.steps import Steps
from keyturn_core.salesforce.ids import widened
from keyturn_core.secrets import AccessToken

SOUND = """\
[app]
name = "Acme_Connect"
label = "Acme Connect"
contact = "integrations@acme.example"
description = "Connects Acme to Salesforce."
scopes = ["api", "refresh_token"]
callback_urls = [
  "https://connect.acme.example/oauth/callback",
]
flows = ["code", "jwt"]
egress = ["192.0.2.10", "192.0.2.16/29"]

[package]
name = "Acme"
namespace = "acme"
version = "1.0.0"
post_install_url = "https://connect.acme.example/installed"

[dev_hub]
alias = "acme-hub"

[service]
url = "https://connect.acme.example"

[objects.Contact]
access = ["read", "edit"]
fields = ["Email", "Phone"]
"""


@pytest.fixture
def sound() -> str:
    """The text of a sound file."""
    return SOUND


@pytest.fixture
def config() -> AppConfig:
    """What it says."""
    return parse_config(SOUND, file="keyturn.toml")


TOKEN = "00D5g00000AcmeX!dummy.access.token"
ORG_ID = widened("00D5g00000AcmeX")
OWNER = ORG_ID[:15]


class Killed(BaseException):
    """The program ends here, as by `kill -9`: nothing of ours may catch it."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One command: what follows each word, the folder, the token in its environment."""

    given: dict[str, str]
    folder: Path | None
    token: AccessToken | None


class FakeSf:
    """`sf_cli.Sf` over a Dev Hub org in memory.

    `kill_at` ends the program at the call of that number: before it did anything, or after.
    """

    killed = Killed

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.texts: dict[str, str] = {}
        self.packages: dict[str, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.versions: list[dict[str, Any]] = []
        self.refuses: dict[str, SfAnswer] = {}
        self.build_looks = 1
        self.build_errors: list[str] = []
        self.reverts: dict[str, str] = {}
        self.homes: set[Path] = set()
        self.kill_at: int | None = None
        self.kill_after = False

    def run(
        self,
        *arguments: str,
        home: Path | None = None,
        folder: Path | None = None,
        access_token: AccessToken | None = None,
    ) -> SfAnswer:
        """Carry out a command."""
        number = len(self.calls)
        self.calls.append(arguments)
        assert TOKEN not in " ".join(arguments)
        if home is not None:
            self.homes.add(home)
        if number == self.kill_at and not self.kill_after:
            raise Killed
        answer = self._answer(arguments, folder, access_token)
        if number == self.kill_at:
            raise Killed
        return answer

    def named(self, *words: str) -> list[tuple[str, ...]]:
        """Return the calls that begin with these words."""
        return [call for call in self.calls if call[: len(words)] == words]

    def _answer(
        self, arguments: tuple[str, ...], folder: Path | None, token: AccessToken | None
    ) -> SfAnswer:
        words = " ".join(arguments[: next(i for i, a in enumerate(arguments) if a[:2] == "--")])
        if words in self.refuses:
            return self.refuses[words]
        run = Run(given=dict(itertools.pairwise(arguments)), folder=folder, token=token)
        return getattr(self, "_" + words.replace(" ", "_").replace("-", "_"))(run)

    def _org_display(self, _: Run) -> SfAnswer:
        shown = {"id": ORG_ID, "instanceUrl": "https://hub.my.salesforce.com/"}
        return SfAnswer(status=0, result={**shown, "username": "release@acme.example"})

    def _org_auth_show_access_token(self, _: Run) -> SfAnswer:
        return SfAnswer(status=0, result={"accessToken": TOKEN})

    def _org_login_access_token(self, run: Run) -> SfAnswer:
        assert run.token is not None
        assert run.token.reveal() == TOKEN
        return SfAnswer(status=0, result={})

    def _package_list(self, _: Run) -> SfAnswer:
        return SfAnswer(status=0, result=list(self.packages.values()))

    def _package_version_list(self, _: Run) -> SfAnswer:
        return SfAnswer(status=0, result=self.versions)

    def _package_version_create_list(self, _: Run) -> SfAnswer:
        return SfAnswer(status=0, result=self.requests[::-1])

    def _package_version_promote(self, run: Run) -> SfAnswer:
        (one,) = [found for found in self.versions if found["Id"] == run.given["--package"]]
        one["IsReleased"] = True
        return SfAnswer(status=0, result={})

    def _project_retrieve_start(self, run: Run) -> SfAnswer:
        assert run.folder is not None
        wanted = {word.partition(":")[2] for word in run.given if ":" in word}
        for name, text in self.texts.items():
            if name.rpartition("/")[2].partition(".")[0] in wanted:
                path = run.folder / "app/main/default" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return SfAnswer(status=0, result={"files": []})

    def _project_deploy_start(self, run: Run) -> SfAnswer:
        assert run.folder is not None
        for path in sorted((run.folder / "app").rglob("*-meta.xml")):
            text = path.read_text()
            link = f"{OWNER}:8885g00000AcmeY"
            if path.name.endswith(".eca-meta.xml") and "orgScoped" not in text:
                text = _with(text, "orgScopedExternalApp", f"{OWNER}:{path.name.split('.')[0]}")
            if path.name.endswith(".ecaOauth-meta.xml") and "oauthLink" not in text:
                text = _with(text, "oauthLink", link)
            for before, after in self.reverts.items():
                text = text.replace(before, after)
            self.texts[f"{path.parent.name}/{path.name}"] = text
        return SfAnswer(status=0, result={})

    def _package_create(self, run: Run) -> SfAnswer:
        name = run.given["--name"]
        made = {"Id": f"0Ho5g000000000{len(self.packages)}CAA", "Name": name}
        self.packages[name] = {**made, "NamespacePrefix": "acme"}
        return SfAnswer(status=0, result=made)

    def _package_version_create(self, run: Run) -> SfAnswer:
        given = run.given
        assert run.folder is not None
        assert list((run.folder / "force-app").rglob("*.eca-meta.xml"))
        number = len(self.requests)
        request = {
            "Id": f"08c5g000000000{number}AAA",
            "Package2Id": given["--package"],
            "Status": "InProgress",
            "Tag": given["--tag"],
            "looks": self.build_looks,
            "number": given["--version-number"],
            "Error": [],
        }
        self.requests.append(request)
        return SfAnswer(status=0, result=request)

    def _package_version_create_report(self, run: Run) -> SfAnswer:
        wanted = run.given["--package-create-request-id"]
        (request,) = [one for one in self.requests if one["Id"] == wanted]
        request["looks"] -= 1
        if request["looks"] <= 0 and request["Status"] == "InProgress":
            if self.build_errors:
                request.update(Status="Error", Error=self.build_errors)
            else:
                request.update(Status="Success")
                self._version(request)
        return SfAnswer(status=0, result=[request])

    def _version(self, request: dict[str, Any]) -> None:
        major, minor, patch, _ = request["number"].split(".")
        version = f"04t5g000000000{len(self.versions)}AAA"
        request["SubscriberPackageVersionId"] = version
        self.versions.append(
            {
                "Id": version,
                "SubscriberPackageVersionId": version,
                "MajorVersion": int(major),
                "MinorVersion": int(minor),
                "PatchVersion": int(patch),
                "BuildNumber": len(self.versions) + 1,
                "IsReleased": False,
                "Tag": request["Tag"],
                "CreatedDate": "2026-11-25 16:00",
            }
        )


def _with(text: str, name: str, value: str) -> str:
    head, end, tail = text.rpartition("</Ext")
    return f"{head}    <{name}>{value}</{name}>\n{end}{tail}"


@pytest.fixture
def sf() -> FakeSf:
    """A Dev Hub org in memory."""
    return FakeSf()


@pytest.fixture
def told() -> list[str]:
    """What was told to people."""
    return []


@pytest.fixture
def open_hub(sf: FakeSf, told: list[str]) -> Callable[[], AbstractContextManager[DevHub]]:
    """Open the Dev Hub org, as each run does."""
    return lambda: dev_hub(sf, "acme-hub", Steps(tell=told.append))
