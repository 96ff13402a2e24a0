"""The copy that `sf` builds from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from keyturn_builder.app_config import AppConfig
from keyturn_builder.project import Project, find_project
from keyturn_builder.release_project import stage, staged_entry

FIXTURE = Path(__file__).parents[1] / "fixtures/northstar"


@pytest.fixture
def project(tmp_path: Path, config: AppConfig) -> Project:
    """A vendor's own project."""
    shutil.copytree(FIXTURE, tmp_path / "northstar")
    package = config.package.model_copy(update={"source": "force-app"})
    return find_project(config.model_copy(update={"package": package}), tmp_path / "northstar")


def test_the_copy_has_one_package_directory_and_the_packages_id(
    project: Project, tmp_path: Path
) -> None:
    """What it is built with comes along, other directories do not."""
    path = stage(project, tmp_path / "copy", package_id="0Ho1", has_release=True)

    said = json.loads((tmp_path / "copy/sfdx-project.json").read_text())
    assert path == "force-app"
    assert [entry["path"] for entry in said["packageDirectories"]] == ["force-app"]
    assert said["packageAliases"]["Northstar"] == "0Ho1"
    assert (tmp_path / "copy/config/package.json").is_file()
    assert (tmp_path / "copy/.forceignore").is_file()
    assert not (tmp_path / "copy/unpackaged").exists()
    assert project.said["packageAliases"]["Northstar"].startswith("0Ho5g")


@pytest.mark.parametrize(
    ("entry", "has_release", "ancestor"),
    [
        ({}, False, {}),
        ({}, True, {"ancestorVersion": "HIGHEST"}),
        ({"ancestorVersion": "HIGHEST"}, False, {}),
        ({"ancestorId": "HIGHEST"}, False, {}),
        ({"ancestorVersion": "2.3.0"}, False, {"ancestorVersion": "2.3.0"}),
        ({"ancestorId": "04t1"}, True, {"ancestorId": "04t1"}),
        ({"ancestorVersion": "NONE"}, True, {"ancestorVersion": "NONE"}),
    ],
)
def test_the_ancestor_is_the_highest_release_once_there_is_one(
    entry: dict[str, Any], ancestor: dict[str, Any], *, has_release: bool
) -> None:
    """`sf` refuses to look for it before; what the vendor says otherwise stays."""
    staged = staged_entry({"path": "force-app", **entry}, has_release=has_release)
    assert staged == {"path": "force-app", "default": True, **ancestor}
