"""What all verbs share: options, named steps, and errors turned into outcomes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from keyturn import Keyturn
from keyturn.cli.outcome import FAILED, SOMEBODY_ELSE, Outcome
from keyturn.errors import Problem
from keyturn_builder.app_config import AppConfig
from keyturn_builder.config_file import FILE_NAME
from keyturn_builder.errors import BuilderError, Finding
from keyturn_builder.steps import Steps
from keyturn_core.errors import Who

_OTHERS: Final = frozenset({Who.ADMIN, Who.USER, Who.SALESFORCE})
_JSON: Final = "keyturn_builder.json"
Option = Callable[[Callable[..., Any]], Callable[..., Any]]

config_option: Final[Option] = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=FILE_NAME,
    show_default=True,
    help="The file to read.",
)
dry_run_option: Final[Option] = click.option(
    "--dry-run", is_flag=True, help="Say what would be done; change nothing."
)
api_key_option: Final[Option] = click.option(
    "--api-key-file",
    envvar="KEYTURN_API_KEY_FILE",
    type=click.File(),
    help="File that holds an API key of the service, with the right admin; - reads it from stdin.",
)


def _remember(context: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's shape
    context.meta[_JSON] = value
    return value


_json_option: Final[Option] = click.option(
    "--json",
    "as_json",
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Say it in one JSON object.",
)


def verb(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Let a function be a verb: it takes `--json`, and the part's errors are its outcome."""

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Outcome:
        try:
            return function(*arguments, **named)
        except BuilderError as error:
            return outcome_of(error)
        except OSError as error:
            if error.filename is None:
                raise
            detail = f"{_shown(error.filename)}: {error.strerror}"
            return outcome_of(BuilderError("file_refused", detail))

    return _json_option(run)


def _shown(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, bytes) else str(path)


def new_steps() -> Steps:
    """Return the steps of this run: told on stderr to people, not at all beside `--json`."""
    silent = bool(click.get_current_context().meta.get(_JSON))
    return Steps(tell=_silence if silent else _tell)


def _tell(line: str) -> None:
    click.echo(f"... {line}", err=True)


def _silence(_: str) -> None:
    """Say nothing."""


@contextmanager
def service_of(config: AppConfig, api_key_file: Any) -> Iterator[Keyturn | None]:
    """Open the service that the config names; None where there is no service or no API key."""
    if config.service is None or api_key_file is None:
        yield None
        return
    try:
        keyturn = Keyturn(config.service.url, api_key=api_key_file.read().strip())
    except UnicodeDecodeError as error:
        raise click.UsageError("the file of --api-key-file is not UTF-8: save it so") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    with keyturn:
        yield keyturn


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
    text = f"{error}\nRemedy: {error.where} [{error.code}]"
    return Outcome(status=status, text=text, problem=problem)


def _member(finding: Finding) -> dict[str, str]:
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
