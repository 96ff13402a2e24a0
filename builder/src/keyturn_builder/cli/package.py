"""`keyturn package`: lint, build and release the managed package that ships the app."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from keyturn import Keyturn
from keyturn.cli.outcome import Outcome
from keyturn_builder.app_apply import bond_of
from keyturn_builder.app_config import AppConfig
from keyturn_builder.app_plan import members, read_app
from keyturn_builder.bond import Bond, read_bond
from keyturn_builder.building import OUTPUT, Built, build_package, lint_folder
from keyturn_builder.cli.verb import (
    api_key_option,
    config_option,
    dry_run_option,
    new_steps,
    outcome_of,
    service_of,
    verb,
)
from keyturn_builder.config_file import read_config
from keyturn_builder.dev_hub import DevHub, dev_hub
from keyturn_builder.dev_hub_packages import find_package, versions_of
from keyturn_builder.errors import BuilderError, Severity
from keyturn_builder.install_links import install_links
from keyturn_builder.org_metadata import retrieve
from keyturn_builder.project import texts_below
from keyturn_builder.record import read_record
from keyturn_builder.releasing import Released, release_package
from keyturn_builder.service_app import ServiceApp, find_app
from keyturn_builder.sf_cli import find_sf
from keyturn_builder.steps import Steps


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

    A directory without the app, as before the first build, is warned of.
    Exit status: 0 no error, 1 at least one.

    \b
    Example:
      keyturn package lint --json
    """
    config = read_config(config_path)
    findings = lint_folder(config, config_path.absolute().parent)
    if any(found.severity is Severity.ERROR for found in findings):
        return outcome_of(BuilderError("lint_failed", findings=findings))
    warnings = tuple(str(found) for found in findings)
    there = all(found.rule != "app-missing" for found in findings)
    return Outcome(
        result={"errors": 0, "warnings": len(warnings), "app": there},
        text="no errors" if there else "no errors, and no app yet: keyturn package build writes it",
        warnings=warnings,
    )


@package.command()
@config_option
@click.option(
    "--retrieved",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the app's files as sf retrieved them; then no org is asked.",
)
@dry_run_option
@verb
def build(*, config_path: Path, retrieved: Path | None, dry_run: bool) -> Outcome:
    r"""Write the app into the package directory; the same input gives the same bytes.

    Only the folder keyturn/ of the package directory is written, and keyturn-build/ with what
    customers' admins need. Where keyturn.toml names no project, one is started in salesforce/.

    \b
    Example:
      keyturn package build
    """
    config, steps = read_config(config_path), new_steps()
    bond = _bond(config, retrieved, steps)
    built = build_package(config, config_path.absolute().parent, bond, dry_run=dry_run)
    warnings = tuple(str(found) for found in built.warnings)
    result = {**_result(built), **steps.summed(), "dry_run": dry_run}
    return Outcome(result=result, text=_told(built, dry_run=dry_run), warnings=warnings)


@package.command()
@config_option
@api_key_option
@click.option("--beta", is_flag=True, help="Do not promote: for sandboxes and scratch orgs alone.")
@dry_run_option
@verb
def release(*, config_path: Path, api_key_file: Any, beta: bool, dry_run: bool) -> Outcome:
    r"""Build a version, wait for it, promote it, and print its install links.

    Interrupted anywhere, run it again: it goes on where it was, and builds nothing twice. The
    same content is the same version. With --api-key-file the service learns the links too.

    \b
    Example:
      keyturn package release
    """
    config, steps = read_config(config_path), new_steps()
    folder = config_path.absolute().parent
    with service_of(config, api_key_file) as keyturn:
        service = _service(keyturn, config)
        with dev_hub(find_sf(), config.dev_hub.alias, steps) as hub:
            bond = _retrieved_bond(hub, config)
            if dry_run:
                built = build_package(config, folder, bond, dry_run=True)
                return _would(config, hub, built, steps)
            done = release_package(hub, config, folder, bond, beta=beta, wait=time.sleep)
        hosts = service.app.login_hosts if service is not None else None
        links = install_links(done.version.id, hosts)
        if service is not None and done.version.released:
            with steps.step("tell the service where the package is installed"):
                service.put_install_urls({name: links[name] for name in ("production", "sandbox")})
    return _released(done, links, steps)


@package.command()
@config_option
@verb
def versions(*, config_path: Path) -> Outcome:
    r"""List the versions of the package: number, id, content, scopes, date.

    \b
    Example:
      keyturn package versions --json
    """
    config, steps = read_config(config_path), new_steps()
    scopes = {one.id: one.scopes for one in read_record(config_path.absolute().parent)}
    with dev_hub(find_sf(), config.dev_hub.alias, steps) as hub:
        package_id = find_package(hub, name=config.package.name, namespace=config.package.namespace)
        found = versions_of(hub, package_id) if package_id else []
    rows = [
        {
            **{name: value for name, value in asdict(one).items() if name != "tag"},
            "content_hash": one.content_hash,
            "scopes": scopes.get(one.id),
        }
        for one in found
    ]
    lines = [
        f"{one.number}-{one.build}  {one.id}  {'released' if one.released else 'beta'}  "
        f"{one.created}  {(one.content_hash or 'not built by Keyturn')[:12]}  "
        f"{' '.join(scopes.get(one.id) or ('scopes not recorded',))}"
        for one in found
    ]
    text = "\n".join(lines) or "no versions"
    return Outcome(result={"package_id": package_id, "versions": rows}, text=text)


def _bond(config: AppConfig, retrieved: Path | None, steps: Steps) -> Bond:
    if retrieved is not None:
        return read_bond(texts_below(retrieved), config.app)
    with dev_hub(find_sf(), config.dev_hub.alias, steps) as hub:
        return _retrieved_bond(hub, config)


def _retrieved_bond(hub: DevHub, config: AppConfig) -> Bond:
    with hub.steps.step("read the app in the Dev Hub org"):
        return bond_of(read_app(config, retrieve(hub, members(config))), config, hub)


def _service(keyturn: Keyturn | None, config: AppConfig) -> ServiceApp | None:
    return None if keyturn is None else find_app(keyturn, config)


def _would(config: AppConfig, hub: DevHub, built: Built, steps: Steps) -> Outcome:
    package_id = find_package(hub, name=config.package.name, namespace=config.package.namespace)
    known = versions_of(hub, package_id) if package_id else []
    same = [one for one in known if one.content_hash == built.content_hash]
    text = f"{config.package.version} would be built and promoted"
    if same:
        state = "is released" if any(one.released for one in same) else "would be promoted"
        text = f"nothing would be built: {same[-1].number} has this content and {state}"
    result = {"content_hash": built.content_hash, "would_build": not same, "dry_run": True}
    return Outcome(result={**result, **steps.summed()}, text=text)


def _released(done: Released, links: dict[str, str], steps: Steps) -> Outcome:
    version = done.version
    state = "released" if version.released else "built as a beta"
    lines = [
        f"{version.version} ({version.id}) is {state}",
        *(f"install, {name.replace('_', ' ')}: {link}" for name, link in links.items()),
    ]
    result = {
        **asdict(version),
        "built": done.built,
        "package_created": done.package_created,
        "install_links": links,
        **steps.summed(),
    }
    return Outcome(result=result, text="\n".join(lines), warnings=done.warnings)


def _result(built: Built) -> dict[str, object]:
    return {
        "content_hash": built.content_hash,
        "source": str(built.project.source),
        "written": built.written,
        "started": built.started,
        "beside": built.beside,
        "output": OUTPUT,
    }


def _told(built: Built, *, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    lines = [f"{would}started: {name}" for name in built.started]
    lines += [f"{would}written: {built.project.source / name}" for name in built.written]
    lines += [f"{would}written, for admins: {OUTPUT}/{name}" for name in built.beside]
    return "\n".join([*lines, f"content: sha256 {built.content_hash}"])
