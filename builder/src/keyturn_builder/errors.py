"""The errors of this part: each has a code, says who mends it and how, and keeps the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from keyturn_core.errors import Remedy, Who


class Severity(StrEnum):
    """Whether a finding stops the work."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong in a file.

    `place` is the key or element inside it, `source` says where the rule comes from.
    """

    file: str
    message: str
    remedy: str
    line: int | None = None
    place: str = ""
    rule: str = ""
    source: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        place = f" {self.place}:" if self.place else ""
        rule = f" [{self.rule}]" if self.rule else ""
        return f"{where}:{place} {self.message}{rule}\n    remedy: {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of an error by its code. `where` is a command, a file or a Setup path."""

    title: str
    who: Who
    remedy: Remedy
    where: str


def _vendor(title: str, where: str, *, remedy: Remedy = Remedy.RECONFIGURE) -> Entry:
    return Entry(title=title, who=Who.VENDOR, remedy=remedy, where=where)


def _admin(title: str, where: str) -> Entry:
    """Return the entry of what an administrator of the Dev Hub org has to do."""
    return Entry(title=title, who=Who.ADMIN, remedy=Remedy.ASK_ADMIN, where=where)


ENTRIES: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "config_missing": _vendor(
            "There is no keyturn.toml", "keyturn config init, or --config with its path"
        ),
        "config_invalid": _vendor("keyturn.toml is not right", "keyturn config check"),
        "config_exists": _vendor(
            "There is a keyturn.toml already", "edit it; keyturn config check says what is wrong"
        ),
        "file_refused": _vendor(
            "A file or folder cannot be read or written",
            "the path in detail: that it is there, its permissions, room on the disk",
        ),
        "project_missing": _vendor(
            "There is no second-generation project",
            "package.source in keyturn.toml; leave it out to start a project from templates",
        ),
        "project_invalid": _vendor(
            "sfdx-project.json does not fit", "sfdx-project.json, packageDirectories"
        ),
        "namespace_mismatch": _vendor(
            "Project and keyturn.toml name two namespaces",
            "package.namespace in keyturn.toml, namespace in sfdx-project.json",
        ),
        "first_generation": _vendor(
            "The package is of the first generation",
            "Keyturn builds second-generation packages. Ship the app in a small one of its own "
            "beside yours: leave package.source out, give it a namespace of its own, set "
            "package.generation = 2. Or move your package over first: sf package convert "
            "(Second-Generation Managed Packaging Developer Guide, Package Migrations). The "
            "Winter '27 guide lets an app into a first-generation package too: there, add it to "
            "the package in the packaging org's Setup > Package Manager",
        ),
        "object_unknown": _vendor(
            "An object or field is neither standard nor in the package",
            "[objects] in keyturn.toml; write another package's names with its namespace",
        ),
        "component_exists": _vendor(
            "The project has this component already",
            "remove the file: keyturn package build writes it",
        ),
        "folder_taken": _vendor(
            "The folder for the app's files is somebody else's",
            "rename the folder; the builder writes into one called keyturn",
        ),
        "lint_failed": _vendor(
            "The package breaks rules", "keyturn package lint; each finding says what mends it"
        ),
        "record_invalid": _vendor(
            "keyturn.versions.json is out of shape", "keyturn.versions.json; take it from git"
        ),
        "return_origins_missing": _vendor(
            "The service does not know the app, and keyturn.toml does not say enough",
            'under [service] in keyturn.toml: return_origins = ["https://app.acme.example"], the '
            "origins of your product that browsers go back to; or app_id of an app that is there",
        ),
        "service_missing": _vendor(
            "keyturn.toml names no service", "[service] in keyturn.toml, and --api-key-file"
        ),
        "api_key_missing": _vendor(
            "The service needs an API key",
            "--api-key-file key.txt, or KEYTURN_API_KEY_FILE: a file that holds one with the right "
            "admin; on the service's machine keyturn keys issue shows one",
        ),
        "certificate_missing": _vendor(
            "The flow jwt needs a certificate",
            "the service makes it: POST /v1/apps/{id}/signing-keys",
        ),
        "sf_missing": _vendor("Salesforce's sf command is not installed", "npm install"),
        "sf_too_old": _vendor("Salesforce's sf command or its Node is too old", "npm install"),
        "sf_unreadable": _vendor(
            "sf said something that is no answer",
            "run the same command by hand",
            remedy=Remedy.REPORT,
        ),
        "sf_timed_out": _vendor("sf did not end", "run the command again", remedy=Remedy.RETRY),
        "sf_failed": _vendor(
            "sf could not do it", "sf's own words, in detail", remedy=Remedy.REPORT
        ),
        "dev_hub_unknown": _vendor(
            "sf is not logged in to the Dev Hub org",
            "sf org login web --set-default-dev-hub --alias <dev_hub.alias of keyturn.toml>",
        ),
        "dev_hub_session_ended": _vendor(
            "The session for the Dev Hub org has ended", "sf org login web --alias <dev_hub.alias>"
        ),
        "dev_hub_unreachable": _vendor(
            "The Dev Hub org does not answer",
            "network and proxy settings; status.salesforce.com",
            remedy=Remedy.RETRY,
        ),
        "not_a_dev_hub": _admin(
            "The org is no Dev Hub org", "Setup > Dev Hub > Enable Dev Hub, in that org"
        ),
        "packaging_off": _admin(
            "The Dev Hub org does not make second-generation packages",
            "Setup > Dev Hub > Enable Unlocked Packages and Second-Generation Managed Packages",
        ),
        "permission_missing": _admin(
            "The user of the Dev Hub org lacks a permission",
            "Setup > Permission Sets: Create and Update Second-Generation Packages, Promote a "
            "Package Version, Create/Edit/Delete External Client Apps",
        ),
        "credentials_api_off": _admin(
            "The org does not give out consumer secrets by REST API",
            "Setup > External Client App Settings > Allow access to External Client App consumer "
            "secrets via REST API",
        ),
        "credentials_refused": _admin(
            "The org does not give out the app's consumer key and secret",
            "Setup > Permission Sets: View Client Secret, for the user that sf is logged in as",
        ),
        "namespace_not_linked": _admin(
            "The namespace is not linked to the Dev Hub org",
            "App Launcher > Namespace Registries > Link Namespace, in the Dev Hub org",
        ),
        "package_of_another_hub": _vendor(
            "The package belongs to another Dev Hub org",
            "dev_hub.alias in keyturn.toml, packageAliases in sfdx-project.json",
        ),
        "app_of_scratch_org": _vendor(
            "The app is owned by a scratch org or sandbox, or not by the Dev Hub org",
            "dev_hub.alias in keyturn.toml; keyturn app apply makes the app in the Dev Hub org",
        ),
        "app_is_local": _vendor(
            "The app that the package refers to is not Packaged", "keyturn app apply sets it"
        ),
        "deploy_refused": _vendor(
            "Salesforce refuses the app's settings", "Salesforce's own words, in detail"
        ),
        "ancestor_wrong": _vendor(
            "The version does not follow the highest release",
            "package.version in keyturn.toml; ancestorVersion of the package directory: HIGHEST",
        ),
        "coverage_missing": _vendor(
            "The version cannot be promoted without code coverage of 75 %",
            "Apex tests of the package; versions that Keyturn builds are always measured",
        ),
        "version_taken": _vendor(
            "This version number was released already",
            "package.version in keyturn.toml: take the next",
        ),
        "build_failed": _vendor(
            "Salesforce could not build the version", "Salesforce's own words, in detail"
        ),
        "build_under_way": Entry(
            title="Salesforce is still building the version",
            who=Who.SALESFORCE,
            remedy=Remedy.RETRY,
            where="run the same command again: it goes on waiting, and builds nothing twice",
        ),
        "limit_reached": Entry(
            title="A limit of the Dev Hub org is reached",
            who=Who.SALESFORCE,
            remedy=Remedy.RETRY,
            where="sf limits api display; package versions count by the day",
        ),
        "app_missing": _vendor("The Dev Hub org has no such app", "keyturn app apply makes it"),
        "app_not_packaged": _vendor(
            "The app's distribution state is not Packaged", "keyturn app apply sets it"
        ),
        "app_of_another_org": _vendor(
            "The app belongs to another org than the Dev Hub org",
            "dev_hub.alias in keyturn.toml; the app has to be owned by the Dev Hub org",
        ),
    }
)


class BuilderError(Exception):
    """The root: the work cannot go on. The message holds no secret.

    `said` is what another program or Salesforce said, word for word.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        findings: Sequence[Finding] = (),
        said: str = "",
        where: str = "",
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.findings = tuple(findings)
        self.said = said
        self._where = where

    @property
    def entry(self) -> Entry:
        """What is known of the code."""
        return ENTRIES[self.code]

    @property
    def where(self) -> str:
        """Where it is mended: the case's own place before that of the code."""
        return self._where or self.entry.where

    def __str__(self) -> str:
        first = ": ".join(part for part in (self.entry.title, self.detail) if part)
        lines = [first, *(str(finding) for finding in self.findings)]
        if self.said:
            lines.append(f"Said: {self.said}")
        return "\n".join(lines)
