"""`keyturn package`: lint, build and release the managed package that ships the app."""

from __future__ import annotations

from pathlib import Path

import click

from keyturn.cli.outcome import Outcome
from keyturn_builder.bond import read_bond
from keyturn_builder.building import OUTPUT, Built, build_package, lint_folder
from keyturn_builder.cli.verb import config_option, outcome_of, verb
from keyturn_builder.config_file import read_config
from keyturn_builder.errors import BuilderError, Severity
from keyturn_builder.project import texts_below


@click.group()
def package() -> None:
    r"""Lint, build and release the managed package that ships the app.

    \b
    Example:
      keyturn package release
    """


@package.command()
@config_option
@verb
def lint(*, config_path: Path) -> Outcome:
    r"""Judge the package directory before Salesforce sees it; needs no org.

    Exit status: 0 no error, 1 at least one.

    \b
    Example:
      keyturn package lint --json
    """
    config = read_config(config_path)
    findings = lint_folder(config, config_path.absolute().parent)
    errors = [found for found in findings if found.severity is Severity.ERROR]
    if errors:
        return outcome_of(BuilderError("lint_failed", findings=findings))
    warnings = tuple(str(found) for found in findings)
    return Outcome(
        result={"errors": 0, "warnings": len(warnings)}, text="no errors", warnings=warnings
    )


@package.command()
@config_option
@click.option(
    "--retrieved",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder with the app's files, as sf retrieved them from the Dev Hub org.",
)
@verb
def build(*, config_path: Path, retrieved: Path) -> Outcome:
    r"""Write the app into the package directory; the same input gives the same bytes.

    Only the folder keyturn/ of the package directory is written, and keyturn-build/ with what
    customers' admins need. Where keyturn.toml names no project, one is started in salesforce/.

    \b
    Example:
      keyturn package build --retrieved retrieved
    """
    config = read_config(config_path)
    bond = read_bond(texts_below(retrieved), config.app)
    built = build_package(config, config_path.absolute().parent, bond)
    return Outcome(
        result=_result(built),
        text=_told(built),
        warnings=tuple(str(found) for found in built.warnings),
    )


def _result(built: Built) -> dict[str, object]:
    return {
        "content_hash": built.content_hash,
        "source": str(built.project.source),
        "written": built.written,
        "started": built.started,
        "beside": built.beside,
        "output": OUTPUT,
    }


def _told(built: Built) -> str:
    lines = [f"project started: {name}" for name in built.started]
    lines += [f"written: {built.project.source / name}" for name in built.written]
    lines += [f"for admins: {OUTPUT}/{name}" for name in built.beside]
    return "\n".join([*lines, f"content: sha256 {built.content_hash}"])
