"""Starts a `keyturn.toml`: what an existing project and the `sf` CLI say already is not asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from keyturn_builder.text_file import read_text_file

PROJECT_FILE: Final = "sfdx-project.json"
CALLBACK_PATH: Final = "/oauth/callback"
_NUMBER: Final = re.compile(r"(\d+\.\d+\.\d+)(?:\.\w+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What is known to start the file with; None is not known yet.

    `egress` are addresses with commas between them. The last three may stay unknown.
    """

    label: str | None = None
    contact: str | None = None
    service_url: str | None = None
    namespace: str | None = None
    dev_hub: str | None = None
    package: str | None = None
    source: str | None = None
    version: str | None = None
    return_origin: str | None = None
    post_install_url: str | None = None
    egress: str | None = None

    def over(self, other: Answers) -> Answers:
        """Return these answers, with the other's where these say nothing."""
        return Answers(
            **{
                field.name: getattr(self, field.name) or getattr(other, field.name)
                for field in fields(self)
            }
        )


def already_said(folder: Path, home: Path) -> Answers:
    """Return what the folder's project and the `sf` CLI's own settings say."""
    project = _object(folder / PROJECT_FILE)
    directory = _package_directory(project)
    number = _NUMBER.match(str(directory.get("versionNumber", "")))
    return Answers(
        namespace=_text(project.get("namespace")),
        dev_hub=_dev_hub(folder) or _dev_hub(home),
        package=_text(directory.get("package")),
        source=_text(directory.get("path")),
        version=number[1] if number else None,
    )


def file_text(answers: Answers) -> str:
    """Return the text of a file that says these answers, and explains what else it may say."""
    label = answers.label or ""
    service = (answers.service_url or "").rstrip("/")
    source = (
        f"source = {_quoted(answers.source)}"
        if answers.source
        else '# source = "force-app"  # your own project; without it one is started in salesforce/'
    )
    return f"""\
# What Keyturn makes of your app. `keyturn config check` says what is wrong, and where.

[app]
name = {_quoted(api_name(label))}  # permanent
label = {_quoted(label)}
contact = {_quoted(answers.contact)}
scopes = ["api", "refresh_token"]
callback_urls = [{_quoted(service + CALLBACK_PATH)}]
flows = ["code"]  # "jwt" as well, for server to server
egress = [{_listed(answers.egress)}]  # addresses your calls to Salesforce leave from

[package]
name = {_quoted(answers.package or label)}
namespace = {_quoted(answers.namespace)}
version = {_quoted(answers.version or "1.0.0")}
{source}
{_line("post_install_url", answers.post_install_url, example="https://app.acme.example/installed")}

[dev_hub]
alias = {_quoted(answers.dev_hub)}

[service]
url = {_quoted(service)}
{_line("return_origins", answers.return_origin, example="https://app.acme.example", several=True)}

# What the product reads and writes; customers' admins get a permission set for it.
# [objects.Contact]
# access = ["read", "edit"]
# fields = ["Email", "Phone"]
"""


def api_name(label: str) -> str:
    """Return a name as Salesforce takes it: letters, digits, single underscores."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", label).strip("_")
    return f"App_{name}" if name[:1].isdigit() else name


def _listed(text: str | None) -> str:
    return ", ".join(_quoted(part.strip()) for part in (text or "").split(",") if part.strip())


def _line(name: str, said: str | None, *, example: str, several: bool = False) -> str:
    """Return the line of a key; as a comment with an example where nothing is said."""
    value = _quoted(said or example)
    written = f"{name} = [{value}]" if several else f"{name} = {value}"
    return written if said else f"# {written}"


def _quoted(text: str | None) -> str:
    return json.dumps(text or "", ensure_ascii=False)  # TOML's basic strings are JSON's, nearly


def _object(path: Path) -> Mapping[str, Any]:
    """Return the JSON object of a file; nothing where there is none."""
    try:
        read = json.loads(read_text_file(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _package_directory(project: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the directory of a package: the only one, or the default among several."""
    said = project.get("packageDirectories")
    directories = [
        found
        for found in (said if isinstance(said, list) else ())
        if isinstance(found, dict) and found.get("package")
    ]
    default = [found for found in directories if found.get("default")]
    chosen = default or directories
    return chosen[0] if len(chosen) == 1 else {}


def _dev_hub(folder: Path) -> str | None:
    for name in (".sf/config.json", ".sfdx/sfdx-config.json"):
        said = _object(folder / name)
        alias = _text(said.get("target-dev-hub")) or _text(said.get("defaultdevhubusername"))
        if alias:
            return alias
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
