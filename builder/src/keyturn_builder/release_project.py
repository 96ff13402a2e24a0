"""The project that `sf` builds from: a copy with one package directory, in a folder that goes.

The vendor's own `sfdx-project.json` is never written to; ids and the ancestor stand in the copy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from keyturn_builder.project import PROJECT_FILE, Project, copy_project

_ANCESTORS: Final = ("ancestorId", "ancestorVersion")
_HIGHEST: Final = "HIGHEST"


def stage(project: Project, folder: Path, *, package_id: str | None, has_release: bool) -> str:
    """Copy what a build needs; return the path of the package directory in the copy.

    The highest release is the ancestor where the vendor names no other, once there is one.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy_project(project, folder)
    entry = staged_entry(project.entry, has_release=has_release)
    said = staged_file(project.said, entry, package_id=package_id)
    (folder / PROJECT_FILE).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    return str(project.entry["path"])


def staged_entry(entry: Mapping[str, Any], *, has_release: bool) -> dict[str, Any]:
    """Return the package directory's entry; `HIGHEST` fails while nothing is released."""
    staged = dict(entry) | {"default": True}
    if not has_release:
        return {name: said for name, said in staged.items() if not _is_highest(name, said)}
    if not any(staged.get(name) for name in _ANCESTORS):
        staged["ancestorVersion"] = _HIGHEST
    return staged


def _is_highest(name: str, said: object) -> bool:
    return name in _ANCESTORS and said == _HIGHEST


def staged_file(
    said: Mapping[str, Any], entry: Mapping[str, Any], *, package_id: str | None
) -> dict[str, Any]:
    """Return the project file of the copy."""
    aliases = dict(said.get("packageAliases") or {})
    if package_id is not None:
        aliases[str(entry["package"])] = package_id
    return {**said, "packageDirectories": [entry], "packageAliases": aliases}
