"""`keyturn keys`: the key file of a new installation, and API keys without asking an API key."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click

from keyturn.cli.outcome import Outcome, failure, json_option
from keyturn_service.bootstrap import CannotStart, House, make_key_file, open_house
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.domain.api_key import Right
from keyturn_service.domain.ids import WorkspaceId
from keyturn_service.settings import Settings, SettingsRefused, read_settings

_ACTOR = "operator"


@click.group()
def keys() -> None:
    r"""Make the key file, and issue API keys, on the machine of the service.

    Reads the same KEYTURN_… settings as `keyturn serve`.

    \b
    Examples:
      keyturn keys init
      keyturn keys issue --workspace "Acme (live)" --name backend --right tokens:read
    """


@keys.command()
@json_option
def init() -> Outcome:
    r"""Make the key file of a new installation; one that is there stays as it is.

    Whoever has this file and the database can open the tokens: keep a copy of it, apart from
    the database's backups.

    \b
    Example:
      KEYTURN_PUBLIC_URLS=https://connect.acme.example keyturn keys init
    """
    try:
        settings = _settings()
        asyncio.run(make_key_file(settings))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))
    path = str(settings.keys.absolute())
    return Outcome(result={"key_file": path}, text=f"The key file is {path}")


@keys.command()
@click.option("--workspace", required=True, metavar="NAME", help="Its name; made if it is new.")
@click.option("--name", required=True, help="Whose key it is, for you to tell keys apart.")
@click.option(
    "--right",
    "rights",
    multiple=True,
    type=click.Choice([right.value for right in Right]),
    default=[right.value for right in Right],
    help="May be given several times; all rights where none is named.",
)
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it ends; never if left out.")
@json_option
def issue(*, workspace: str, name: str, rights: tuple[str, ...], days: int | None) -> Outcome:
    r"""Issue an API key; it is shown once.

    \b
    Example:
      keyturn keys issue --workspace "Acme (live)" --name operations --right admin --days 90
    """
    try:
        return asyncio.run(_issue(_settings(), workspace, name, rights, days))
    except (SettingsRefused, CannotStart) as error:
        return failure("cannot_start", str(error))


async def _issue(
    settings: Settings, workspace: str, name: str, rights: tuple[str, ...], days: int | None
) -> Outcome:
    async with open_house(settings, background=False) as house:
        workspace_id = await _workspace(house, workspace)
        ends = None if days is None else house.clock.now() + timedelta(days=days)
        key, secret = await house.wiring.create_api_key(
            workspace_id,
            _ACTOR,
            name=name,
            rights=frozenset(Right(right) for right in rights),
            expires_at=ends,
        )
    result = {
        "id": key.id,
        "api_key": secret,
        "workspace_id": workspace_id,
        "rights": sorted(key.rights),
        "expires_at": None if ends is None else ends.isoformat(),
    }
    return Outcome(result=result, text=f"{secret}\n(shown once; workspace {workspace_id})")


async def _workspace(house: House, name: str) -> WorkspaceId:
    for kept in await house.wiring.workspaces.all():
        if kept.name == name:
            return kept.id
    return await house.new_workspace(name)


def _settings() -> Settings:
    log_to_stderr()
    return read_settings()
