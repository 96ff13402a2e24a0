"""`keyturn config`: start and check `keyturn.toml`, and its JSON Schema."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import click

from keyturn.cli.outcome import Outcome
from keyturn_builder.cli.verb import config_option, dry_run_option, verb
from keyturn_builder.config_file import FILE_NAME, parse_config, read_config, schema_text
from keyturn_builder.config_start import Answers, already_said, file_text
from keyturn_builder.errors import BuilderError

_QUESTIONS = {
    "label": "Name of the app, as people see it",
    "contact": "E-mail address for support",
    "service_url": "Address of your Keyturn service (https://…)",
    "namespace": "Namespace of the package",
    "dev_hub": "Alias of the Dev Hub org at sf",
}


@click.group()
def config() -> None:
    r"""Start and check keyturn.toml, the one file that says what the app is.

    \b
    Example:
      keyturn config init --label "Acme Connect" --contact help@acme.example \
        --service-url https://connect.acme.example --namespace acme --dev-hub acme-hub
      keyturn config check
    """


@config.command()
@config_option
@verb
def check(*, config_path: Path) -> Outcome:
    r"""Check the file: each mistake with its line and what mends it.

    \b
    Example:
      keyturn config check --config keyturn.toml --json
    """
    read = read_config(config_path)
    return Outcome(
        result=json.loads(read.model_dump_json()),
        text=f"{config_path}: right\nNext: keyturn app plan",
        warnings=tuple(read.warnings()),
    )


@config.command()
@verb
def schema() -> Outcome:
    r"""Print the JSON Schema of the file, for editors.

    \b
    Example:
      keyturn config schema > keyturn.schema.json
    """
    text = schema_text()
    return Outcome(result=json.loads(text), text=text.rstrip())


@config.command()
@config_option
@click.option("--label", help="Name of the app, as people see it.")
@click.option("--contact", help="E-mail address that customers' admins see.")
@click.option("--service-url", help="Address of your Keyturn service.")
@click.option("--namespace", help="Namespace; sfdx-project.json's unless said.")
@click.option("--dev-hub", help="Alias of the Dev Hub org; sf's own default unless said.")
@click.option("--return-origin", help="Origin of your product, where browsers go back to.")
@click.option("--post-install-url", help='Page of your product that says "installed, now connect".')
@click.option("--egress", help="Addresses your calls leave from, with commas between them.")
@click.option("--no-input", is_flag=True, help="Ask nothing; what is missing is wrong usage.")
@dry_run_option
@verb
def init(*, config_path: Path, no_input: bool, dry_run: bool, **given: str | None) -> Outcome:
    r"""Start the file. Asks only what the project and sf do not say already.

    A file that is there is never changed.

    \b
    Example:
      keyturn config init --label "Acme Connect" --contact help@acme.example \
        --service-url https://connect.acme.example --namespace acme --dev-hub acme-hub \
        --return-origin https://app.acme.example \
        --post-install-url https://app.acme.example/installed --egress 192.0.2.8/29
    """
    if config_path.exists():
        raise BuilderError("config_exists", str(config_path))
    folder = config_path.absolute().parent
    known = Answers(**given).over(already_said(folder, Path.home()))
    text = file_text(_completed(known, ask=not no_input and sys.stdin.isatty()))
    parse_config(text, file=str(config_path))
    if not dry_run:
        config_path.write_text(text, encoding="utf-8")
    said = f"{config_path}: {'would be written' if dry_run else 'written'}"
    return Outcome(
        result={"file": str(config_path), "text": text, "written": not dry_run},
        text=f"{said}\nNext: keyturn config check",
    )


def _completed(known: Answers, *, ask: bool) -> Answers:
    """Ask for what is not known.

    Raises:
        click.UsageError: nobody can be asked.
    """
    missing = [name for name in _QUESTIONS if getattr(known, name) is None]
    if missing and not ask:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise click.UsageError(f"{FILE_NAME} needs more: give {flags}")
    asked = {name: click.prompt(_QUESTIONS[name], err=True) for name in missing}
    return replace(known, **asked)
