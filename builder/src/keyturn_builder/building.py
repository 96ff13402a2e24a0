"""Builds and lints on disk: what the verbs of `keyturn package` share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from keyturn_builder.admin_guide import admin_files
from keyturn_builder.app_config import AppConfig
from keyturn_builder.bond import Bond
from keyturn_builder.errors import BuilderError, Finding, Severity
from keyturn_builder.lint.package import lint_package
from keyturn_builder.package_build import (
    content_hash,
    make_build,
    start_project,
    vendor_texts,
    write_build,
)
from keyturn_builder.project import (
    APP_FOLDER,
    STARTED_FOLDER,
    STARTED_SOURCE,
    Project,
    copy_project,
    find_project,
    texts_below,
)

OUTPUT: Final = "keyturn-build"
_IGNORE: Final = "*\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A package directory that is ready to become a version."""

    project: Project
    content_hash: str
    written: tuple[str, ...]
    """Files of the app, from the package directory."""
    started: tuple[str, ...]
    """Files of the project that was started, if one was."""
    beside: tuple[str, ...]
    """Files for customers' admins, from the output folder."""
    warnings: tuple[Finding, ...]


def build_package(config: AppConfig, folder: Path, bond: Bond, *, dry_run: bool = False) -> Built:
    """Write the app into the vendor's project, and what its customers' admins need beside it.

    Raises:
        BuilderError: nothing was written that would break a rule of the linter.
    """
    if dry_run:
        return _in_a_copy(config, folder, bond)
    started = start_project(config, folder)
    project = find_project(config, folder)
    texts = vendor_texts(project)
    build = make_build(config, texts, bond)
    coming = {f"{APP_FOLDER}/{one.path}": one.text for one in build.app}
    warnings = lint_or_refuse(config, {**texts, **coming})
    written = write_build(build, project)
    beside = admin_files(config, build.beside)
    _write_beside(folder / OUTPUT, beside)
    return Built(
        project=project,
        content_hash=content_hash(project, config),
        written=tuple(written),
        started=tuple(started),
        beside=tuple(sorted(beside)),
        warnings=warnings,
    )


def _in_a_copy(config: AppConfig, folder: Path, bond: Bond) -> Built:
    """Return what a build would be, made in a copy that goes."""
    with tempfile.TemporaryDirectory(prefix="keyturn-build-") as name:
        copy = Path(name)
        started = start_project(config, folder, dry_run=True)
        inner, source = config, folder / STARTED_FOLDER / STARTED_SOURCE
        if config.package.source is not None:
            project = find_project(config, folder)
            copy_project(project, copy)
            path = {"source": str(project.entry["path"])}
            inner = config.model_copy(update={"package": config.package.model_copy(update=path)})
            source = project.source
        elif (folder / STARTED_FOLDER).is_dir():
            shutil.copytree(folder / STARTED_FOLDER, copy / STARTED_FOLDER)
        built = build_package(inner, copy, bond)
        return replace(built, project=replace(built.project, source=source), started=tuple(started))


def lint_folder(config: AppConfig, folder: Path) -> list[Finding]:
    """Return what the linter says of the package directory as it lies there."""
    texts = texts_below(find_project(config, folder).source)
    return lint_package(texts, full_allowed=bool(config.app.full_access_reason))


def lint_or_refuse(config: AppConfig, texts: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return the linter's warnings.

    Raises:
        BuilderError: it found errors.
    """
    findings = lint_package(texts, full_allowed=bool(config.app.full_access_reason))
    errors = [found for found in findings if found.severity is Severity.ERROR]
    if errors:
        raise BuilderError("lint_failed", findings=findings)
    return tuple(findings)


def _write_beside(output: Path, files: Mapping[str, str]) -> None:
    output.mkdir(exist_ok=True)
    (output / ".gitignore").write_text(_IGNORE, encoding="utf-8")
    for name, text in files.items():
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
