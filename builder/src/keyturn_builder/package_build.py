"""Makes the package's files: what the config and the project say, and nothing by chance."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keyturn_builder.app_config import AppConfig
from keyturn_builder.bond import Bond
from keyturn_builder.errors import BuilderError
from keyturn_builder.metadata.component import API_VERSION, Component
from keyturn_builder.metadata.custom_object import alert_event, usage_object
from keyturn_builder.metadata.flow import renewal_flow
from keyturn_builder.metadata.header import header
from keyturn_builder.metadata.oauth_settings import oauth_settings
from keyturn_builder.metadata.permission_set import admin_permission_set, package_permission_set
from keyturn_builder.own_objects import Split, contents_of, split
from keyturn_builder.project import (
    APP_FOLDER,
    PROJECT_FILE,
    STARTED_FOLDER,
    STARTED_SOURCE,
    Project,
    files_below,
    texts_below,
)

_MARK: Final = "# Written by `keyturn package build`; nothing in this folder is yours to edit.\n*\n"
_NOT_CONTENT: Final = ("versionNumber", "versionName", "versionDescription", "default")
_TEMPLATES: Final = "main/default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What the package is made of, before it is written."""

    app: tuple[Component, ...]
    """The builder's own components, below the app's folder."""
    beside: Component
    """The permission set that the customer's admin deploys."""
    split: Split


def start_project(config: AppConfig, folder: Path, *, dry_run: bool = False) -> list[str]:
    """Start a project from templates where none is named; return the files that were written.

    What is there is never touched: from its first day the project is the vendor's own.
    """
    if config.package.source is not None or config.package.generation == 1:
        return []
    written = []
    for name, text in started_files(config).items():
        path = folder / STARTED_FOLDER / name
        if not path.exists():
            written.append(f"{STARTED_FOLDER}/{name}")
            if not dry_run:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return written


def started_files(config: AppConfig) -> dict[str, str]:
    """Return the files of a project that is started, text by path."""
    said = {
        "namespace": config.package.namespace,
        "packageDirectories": [
            {
                "default": True,
                "package": config.package.name,
                "path": STARTED_SOURCE,
                "versionNumber": f"{config.package.version}.NEXT",
            }
        ],
        "sourceApiVersion": API_VERSION,
    }
    files = {PROJECT_FILE: json.dumps(said, indent=2) + "\n"}
    for one in templates():
        files[f"{STARTED_SOURCE}/{_TEMPLATES}/{one.path}"] = one.text
    return files


def templates() -> Iterator[Component]:
    """Return what a started project begins with: usage, alert, renewal."""
    yield from usage_object()
    yield from alert_event()
    yield renewal_flow()


def make_build(config: AppConfig, texts: Mapping[str, str], bond: Bond) -> Build:
    """Return the build for the files of a package directory, the builder's own left out.

    Raises:
        BuilderError: the config names what is not there, or the files hold the app already.
    """
    found = contents_of(texts)
    by_design = {one.name for one in templates() if one.type == "CustomObject"}
    permissions = split(config.objects, found, written=by_design)
    app = (
        header(config.app, org_scoped_external_app=bond.org_scoped_external_app),
        oauth_settings(config.app, oauth_link=bond.oauth_link),
        package_permission_set(
            config.app, permissions.packaged, flows=found.flows, required=found.required
        ),
    )
    _not_there_yet(app, texts)
    beside = admin_permission_set(config.app, permissions.beside)
    return Build(app=app, beside=beside, split=permissions)


def _not_there_yet(app: Iterable[Component], texts: Mapping[str, str]) -> None:
    for one in app:
        file = one.path.rpartition("/")[2]
        taken = [name for name in texts if name.rpartition("/")[2] == file]
        if taken:
            raise BuilderError("component_exists", taken[0])


def vendor_texts(project: Project) -> dict[str, str]:
    """Return the texts of the package directory, without the builder's own folder."""
    texts = texts_below(project.source)
    return {name: text for name, text in texts.items() if not name.startswith(f"{APP_FOLDER}/")}


def write_build(build: Build, project: Project) -> list[str]:
    """Write the app's folder anew; return its files, from the package directory.

    Raises:
        BuilderError: there is a folder of that name that the builder did not write.
    """
    folder, mark = project.app_folder, project.app_folder / ".gitignore"
    if folder.exists():
        if not mark.is_file() or mark.read_text(encoding="utf-8") != _MARK:
            raise BuilderError("folder_taken", str(folder))
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    mark.write_text(_MARK, encoding="utf-8")
    for one in build.app:
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one.text, encoding="utf-8")
    return [f"{APP_FOLDER}/{one.path}" for one in build.app]


def content_hash(project: Project, config: AppConfig) -> str:
    """Return SHA-256 of what a version is made of, in hexadecimal digits.

    Version number and name are no content: the same content is the same version.
    """
    digest = hashlib.sha256()
    _take(digest, "descriptor", json.dumps(_descriptor(project, config), sort_keys=True).encode())
    definition = project.entry.get("definitionFile")
    if definition:
        _take(digest, "definition", (project.root / str(definition)).read_bytes())
    for name, path in files_below(project.source):
        _take(digest, name, path.read_bytes())
    return digest.hexdigest()


def _descriptor(project: Project, config: AppConfig) -> dict[str, Any]:
    entry = {key: said for key, said in project.entry.items() if key not in _NOT_CONTENT}
    return {
        "entry": entry,
        "namespace": project.said.get("namespace"),
        "post_install_url": config.package.post_install_url,
        "source_api_version": project.said.get("sourceApiVersion"),
    }


def _take(digest: Any, name: str, content: bytes) -> None:
    for part in (name.encode(), content):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
