"""`keyturn dev`: the whole of Keyturn on one machine, with simulated orgs.

Simulator and Acme are programs to it: started by their commands, never imported.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import click
import uvloop

from keyturn_service.bootstrap import CannotStart
from keyturn_service.cli.dev.browser import PageUnexpected
from keyturn_service.cli.dev.programs import ProgramFailed
from keyturn_service.cli.dev.state import StateRefused, world_folder
from keyturn_service.cli.dev.world import Options, RunningWorld, running_world
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.settings import SettingsRefused


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Say in one line of JSON where all of it is.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the world there; started again, the same ids and addresses answer.",
)
@click.option(
    "--database",
    "database_url",
    default="",
    metavar="URL",
    envvar="KEYTURN_DATABASE_URL",
    help="PostgreSQL instead of SQLite; KEYTURN_DATABASE_URL keeps a password out of sight.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Services on one database; more than one needs PostgreSQL.",
)
@click.option(
    "--bare",
    is_flag=True,
    help="Begin without app, package and connections: make them from keyturn.toml.",
)
def dev(*, as_json: bool, data: Path | None, database_url: str, replicas: int, bare: bool) -> None:
    r"""Run service, simulated Salesforce orgs and the example product Acme.

    Everything listens on free loopback ports of this machine; two orgs are connected already.
    Ends on Ctrl-C with exit status 0, and removes all it made unless --data keeps it.

    \b
    Example:
      keyturn dev --data ./world
    """
    if replicas > 1 and not database_url:
        raise click.UsageError("several replicas need PostgreSQL: add --database postgresql://…")
    log_to_stderr()
    try:
        with world_folder(data) as folder:
            options = Options(
                folder=folder, database_url=database_url, replicas=replicas, bare=bare
            )
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_run(options, as_json=as_json))
    except (ProgramFailed, PageUnexpected, StateRefused, SettingsRefused, CannotStart) as error:
        click.echo(f"keyturn dev: {error}", err=True)
        sys.exit(1)


async def _run(options: Options, *, as_json: bool) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    starting = asyncio.create_task(_serve(options, as_json=as_json))
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not starting.done():
        starting.cancel()
    try:
        await starting
    except asyncio.CancelledError:
        if not told.is_set():
            raise


async def _serve(options: Options, *, as_json: bool) -> None:
    async with running_world(options) as world:
        if as_json:
            click.echo(json.dumps(world.line()))
        else:
            _print_for_people(world)
        await world.watch()


def _print_for_people(world: RunningWorld) -> None:
    """Say where to click, and as whom."""
    about = world.line()
    users = {user["customer_id"]: user for user in about["acme"]["users"]}
    connected = {connection["customer_id"] for connection in about["connections"]}
    click.echo(f"Acme, the example product   {about['acme']['url']}/login")
    for customer_id, user in users.items():
        mark = "connected" if customer_id in connected else "not connected yet"
        click.echo(f"  {user['username']}  {user['password']}  ({mark})")
    click.echo(f"Keyturn's REST API          {about['service_url']}/openapi.json")
    click.echo(f"  API key  {about['api_key']}")
    click.echo(f"Simulator's control port    {about['simulator']['control_url']}/openapi.json")
    click.echo(f"Salesforce's login host     {about['simulator']['login_url']}")
    hub = about["simulator"]["dev_hub"]
    click.echo(f"  {hub['name']} ({hub['my_domain_url']}, namespace {hub['namespace']})")
    for user in hub["users"]:
        click.echo(f"    {user['username']}  {user['password']}  ({user['role']})")
    for org in about["simulator"]["orgs"]:
        package = "" if org["package_installed"] else ", package not installed"
        click.echo(f"  {org['name']} ({org['environment']}{package})")
        for user in org["users"]:
            click.echo(f"    {user['username']}  {user['password']}  ({user['role']})")
    click.echo("Ctrl-C ends all of it.")
