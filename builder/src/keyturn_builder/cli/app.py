"""`keyturn app`: the External Client App in the Dev Hub org."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from keyturn.cli.outcome import Outcome
from keyturn_builder.app_apply import Applied, Plan, apply_app, plan_app
from keyturn_builder.cli.verb import (
    api_key_option,
    config_option,
    dry_run_option,
    new_steps,
    service_of,
    verb,
)
from keyturn_builder.config_file import read_config
from keyturn_builder.dev_hub import dev_hub
from keyturn_builder.errors import BuilderError
from keyturn_builder.service_app import find_app, register_app
from keyturn_builder.sf_cli import find_sf
from keyturn_builder.steps import Steps


@click.group()
def app() -> None:
    r"""Make the External Client App in the Dev Hub org, and keep it as keyturn.toml says.

    \b
    Example:
      keyturn app plan
      keyturn app apply --api-key-file key.txt
    """


@app.command()
@config_option
@api_key_option
@verb
def plan(*, config_path: Path, api_key_file: Any) -> Outcome:
    r"""Show what apply would change, field by field; changes nothing.

    \b
    Example:
      keyturn app plan --json
    """
    return _plan(config_path, api_key_file)


@app.command()
@config_option
@api_key_option
@click.option(
    "--renew-credentials",
    is_flag=True,
    help="Hand the service key and secret again, if it has them.",
)
@dry_run_option
@verb
def apply(
    *, config_path: Path, api_key_file: Any, renew_credentials: bool, dry_run: bool
) -> Outcome:
    r"""Deploy the app, read it back, and hand its credentials to the service's vault.

    A second run changes nothing. Consumer key and secret pass through memory only.

    \b
    Example:
      keyturn app apply --api-key-file key.txt
    """
    if dry_run:
        return _plan(config_path, api_key_file)
    config, steps = read_config(config_path), new_steps()
    cli = find_sf()
    with service_of(config, api_key_file) as keyturn:
        if keyturn is None:
            raise BuilderError("service_missing" if config.service is None else "api_key_missing")
        with steps.step("look for the app at the service"):
            service = find_app(keyturn, config) or register_app(keyturn, config)
        with dev_hub(cli, config.dev_hub.alias, steps) as hub:
            applied = apply_app(hub, config, service, renew_credentials=renew_credentials)
            org_id = hub.org_id
        differing = service.drift(config)
        if differing:
            with steps.step("bring the service up to date"):
                keyturn.apps.update(service.app.id, **differing)
    return _applied(applied, steps, app_id=service.app.id, org_id=org_id)


def _plan(config_path: Path, api_key_file: Any) -> Outcome:
    config, steps = read_config(config_path), new_steps()
    cli = find_sf()
    with service_of(config, api_key_file) as keyturn:
        service = None if keyturn is None else find_app(keyturn, config)
        with dev_hub(cli, config.dev_hub.alias, steps) as hub:
            found = plan_app(hub, config, service, make_key=False)
            org_id = hub.org_id
    return _planned(found, steps, org_id=org_id)


def _planned(found: Plan, steps: Steps, *, org_id: str) -> Outcome:
    head = "the app would be made" if found.creates else "the app is there"
    lines = [f"{head}, in org {org_id}", *map(str, found.drift)]
    if not found.drift:
        lines.append("nothing would change")
    lines.append("Next: keyturn app apply --api-key-file key.txt")
    result = {
        "org_id": org_id,
        "creates": found.creates,
        "changes": [asdict(one) for one in found.drift],
        **steps.summed(),
    }
    return Outcome(result=result, text="\n".join(lines))


def _applied(applied: Applied, steps: Steps, *, app_id: str, org_id: str) -> Outcome:
    lines = [f"{'made' if applied.created else 'there'}: the app in org {org_id}"]
    lines += [f"changed: {one}" for one in applied.changed] or ["nothing had to change"]
    if applied.credentials_stored:
        lines.append(f"the service has consumer key and secret of {app_id}")
    lines.append("Next: keyturn package release --api-key-file key.txt")
    result = {
        "org_id": org_id,
        "app_id": app_id,
        "created": applied.created,
        "changes": [asdict(one) for one in applied.changed],
        "not_taken": [asdict(one) for one in applied.left],
        "credentials_stored": applied.credentials_stored,
        **steps.summed(),
    }
    warnings = tuple(f"Salesforce did not take {one}" for one in applied.left)
    return Outcome(result=result, text="\n".join(lines), warnings=warnings)
