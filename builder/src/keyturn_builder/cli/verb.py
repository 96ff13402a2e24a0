"""What all verbs share: the option for the file, and errors turned into outcomes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from keyturn.cli.outcome import FAILED, SOMEBODY_ELSE, Outcome, json_option
from keyturn.errors import Problem
from keyturn_builder.config_file import FILE_NAME
from keyturn_builder.errors import BuilderError
from keyturn_core.errors import Who

_OTHERS: Final = frozenset({Who.ADMIN, Who.USER, Who.SALESFORCE})

config_option: Final[Callable[[Callable[..., Any]], Callable[..., Any]]] = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=FILE_NAME,
    show_default=True,
    help="The file to read.",
)
dry_run_option: Final[Callable[[Callable[..., Any]], Callable[..., Any]]] = click.option(
    "--dry-run", is_flag=True, help="Say what would be done; change nothing."
)


def verb(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Let a function be a verb: it takes `--json`, and the part's errors are its outcome."""

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Outcome:
        try:
            return function(*arguments, **named)
        except BuilderError as error:
            return outcome_of(error)

    return json_option(run)


def outcome_of(error: BuilderError) -> Outcome:
    """Return what an error ends a verb with."""
    entry = error.entry
    problem = Problem(
        code=error.code,
        title=entry.title,
        detail="; ".join(part for part in (error.detail, error.said) if part),
        remedy=entry.remedy.value,
        who=entry.who.value,
        where=error.where,
        errors=tuple(_member(finding) for finding in error.findings),
    )
    status = SOMEBODY_ELSE if entry.who in _OTHERS else FAILED
    return Outcome(status=status, text=f"{error}\nWhere: {error.where}", problem=problem)


def _member(finding: Any) -> dict[str, str]:
    said = {
        "field": finding.place,
        "message": finding.message,
        "file": finding.file,
        "line": "" if finding.line is None else str(finding.line),
        "remedy": finding.remedy,
        "rule": finding.rule,
        "source": finding.source,
        "severity": finding.severity.value,
    }
    return {name: text for name, text in said.items() if text}
