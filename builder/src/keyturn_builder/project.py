"""The vendor's second-generation project: what it says, and what its package directory holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keyturn_builder.app_config import AppConfig
from keyturn_builder.errors import BuilderError
from keyturn_builder.text_file import read_text_file

PROJECT_FILE: Final = "sfdx-project.json"
STARTED_FOLDER: Final = "salesforce"
STARTED_SOURCE: Final = "force-app"
_OTHER_FOLDERS: Final = ("unpackagedMetadata", "seedMetadata")
APP_FOLDER: Final = "keyturn"
"""Folder below the package directory that belongs to the builder alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project and the package directory that the app goes into.

    `said` is the whole of `sfdx-project.json`, `entry` what it says of that directory.
    """

    root: Path
    source: Path
    said: Mapping[str, Any]
    entry: Mapping[str, Any]

    @property
    def app_folder(self) -> Path:
        """Where the builder writes."""
        return self.source / APP_FOLDER


def find_project(config: AppConfig, folder: Path) -> Project:
    """Return the project of a config that stands in a folder.

    Raises:
        BuilderError: there is none, its package is of the first generation, or it says otherwise.
    """
    if config.package.generation == 1:
        raise BuilderError("first_generation")
    source = folder / STARTED_FOLDER / STARTED_SOURCE
    if config.package.source is not None:
        source = folder / config.package.source
    root = _root_of(source, started=config.package.source is None)
    said = read_project_file(root / PROJECT_FILE)
    entry = _entry(said, source.resolve().relative_to(root.resolve()).as_posix(), root)
    namespace = said.get("namespace")
    if namespace != config.package.namespace:
        detail = (
            f"{root / PROJECT_FILE} says {namespace!r}, keyturn.toml {config.package.namespace!r}"
        )
        raise BuilderError("namespace_mismatch", detail)
    return Project(root=root, source=source, said=said, entry=entry)


def read_project_file(path: Path) -> Mapping[str, Any]:
    """Return what a project file says.

    Raises:
        BuilderError: it is not there, or no JSON object.
    """
    try:
        read = json.loads(read_text_file(path))
    except FileNotFoundError as error:
        raise BuilderError("project_missing", str(path)) from error
    except RecursionError as error:
        detail = f"{path}: its brackets stand too deep in each other"
        raise BuilderError("project_invalid", detail) from error
    except ValueError as error:
        raise BuilderError("project_invalid", f"{path}: {error}") from error
    if not isinstance(read, dict):
        raise BuilderError("project_invalid", f"{path} is no JSON object")
    return read


def _root_of(source: Path, *, started: bool) -> Path:
    """Return the folder of the project that a package directory belongs to.

    `started` tells that it is the one that a build starts from templates.
    """
    for folder in (source, *source.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    if (source / "package.xml").is_file():
        raise BuilderError("first_generation", f"{source} has a package.xml and no {PROJECT_FILE}")
    where = "keyturn package build starts it; or name your own in package.source" if started else ""
    raise BuilderError("project_missing", f"no {PROJECT_FILE} in or above {source}", where=where)


def _entry(said: Mapping[str, Any], path: str, root: Path) -> Mapping[str, Any]:
    entries = said.get("packageDirectories")
    if not isinstance(entries, list):
        detail = f"{root / PROJECT_FILE}: packageDirectories is no list"
        raise BuilderError("project_invalid", detail)
    for entry in entries:
        if isinstance(entry, dict) and Path(str(entry.get("path"))).as_posix() == path:
            if not entry.get("package"):
                raise BuilderError(
                    "project_invalid", f"{root / PROJECT_FILE}: {path} is no package"
                )
            return entry
    raise BuilderError("project_invalid", f"{root / PROJECT_FILE} has no package directory {path}")


def files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Find the files of a folder, sorted, by path with `/`; hidden ones belong to nobody."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            yield relative.as_posix(), path


def texts_below(folder: Path) -> dict[str, str]:
    """Return the texts of a folder; pictures and the like are left out."""
    texts = {}
    for name, path in files_below(folder):
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return texts


def copy_project(project: Project, target: Path) -> None:
    """Copy what a version is built from: the project file, one package directory, its aids."""
    for path in _needed(project):
        _copy(project.root / path, target / path)


def _needed(project: Project) -> list[str]:
    found = [PROJECT_FILE, str(project.entry["path"])]
    if project.entry.get("definitionFile"):
        found.append(str(project.entry["definitionFile"]))
    for name in _OTHER_FOLDERS:
        other = project.entry.get(name)
        if isinstance(other, dict) and other.get("path"):
            found.append(str(other["path"]))
    if (project.root / ".forceignore").is_file():
        found.append(".forceignore")
    return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
