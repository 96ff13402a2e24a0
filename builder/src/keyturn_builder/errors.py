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


ENTRIES: Final[Mapping[str, Entry]] = MappingProxyType(
    {
        "config_missing": _vendor(
            "There is no keyturn.toml", "keyturn config init, or --config with its path"
        ),
        "config_invalid": _vendor("keyturn.toml is not right", "keyturn config check"),
        "config_exists": _vendor(
            "There is a keyturn.toml already", "edit it; keyturn config check says what is wrong"
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
