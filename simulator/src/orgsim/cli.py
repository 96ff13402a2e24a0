"""The `orgsim` command."""

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from orgsim.orgs.policies import Switches, switches_from
from orgsim.settings import Settings

_CANARY = re.compile(r"[A-Za-z0-9]{8,40}")
_PR_SET_PDEATHSIG = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Salesforce orgs to develop and test against."""


def _read_route(
    _context: object, _parameter: object, values: tuple[str, ...]
) -> tuple[tuple[str, str, int], ...]:
    routes = []
    for value in values:
        name, _, target = value.partition("=")
        host, _, port = target.rpartition(":")
        if not name or not host or not port.isdecimal():
            raise click.BadParameter("write it as name=host:port")
        routes.append((name, host, int(port)))
    return tuple(routes)


def _read_switch(
    _context: object, _parameter: object, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = [value.partition("=") for value in values]
    if any(not sign for _, sign, _ in pairs):
        raise click.BadParameter("write it as name=value")
    switches = tuple((name, value) for name, _, value in pairs)
    try:
        switches_from(switches, Switches())
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return switches


def _read_canary(_context: object, _parameter: object, value: str | None) -> str | None:
    if value is not None and _CANARY.fullmatch(value) is None:
        raise click.BadParameter("8 to 40 letters and digits")
    return value


@main.command()
@click.option("--seed", type=int, help="What the world is made from.  [default: 1]")
@click.option("--hostile", is_flag=True, help="Answer a share of calls late, oddly or not.")
@click.option("--port-base", type=click.IntRange(1024, 65_000), help="First of the ports in a row.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Keep the world.")
@click.option("--ports-file", type=click.Path(path_type=Path), help="Keep the ports there.")
@click.option("--tls-dir", type=click.Path(path_type=Path, file_okay=False), help="Certificates.")
@click.option("--json", "as_json", is_flag=True, help="Say in one line of JSON what answers.")
@click.option("--route", multiple=True, callback=_read_route, metavar="NAME=HOST:PORT")
@click.option("--issue", multiple=True, metavar="NAME", help="Sign a certificate for a name.")
@click.option("--app-callback", multiple=True, metavar="URL", help="A callback URL of Acme.")
@click.option(
    "--post-install-url",
    multiple=True,
    metavar="URL",
    help="Where Acme's install page leads on to.",
)
@click.option(
    "--hub-reader",
    type=click.File("r", encoding="ascii"),
    metavar="CERTIFICATE",
    help="Let a program read in the Dev Hub by assertion.",
)
@click.option("--canary", callback=_read_canary, help="The mark inside every secret.")
@click.option("--switch", multiple=True, callback=_read_switch, metavar="NAME=VALUE")
@click.option("--bare", is_flag=True, help="Begin with orgs that have no package of a vendor's.")
@click.option("--exit-with-stdin", is_flag=True, help="End when standard input ends.")
def serve(  # noqa: PLR0917 - click hands over each option by name
    seed: int | None,
    hostile: bool,  # noqa: FBT001 - as above
    port_base: int | None,
    data: Path | None,
    ports_file: Path | None,
    tls_dir: Path | None,
    as_json: bool,  # noqa: FBT001 - as above
    route: tuple[tuple[str, str, int], ...],
    issue: tuple[str, ...],
    app_callback: tuple[str, ...],
    post_install_url: tuple[str, ...],
    hub_reader: IO[str] | None,
    canary: str | None,
    switch: tuple[tuple[str, str], ...],
    bare: bool,  # noqa: FBT001 - as above
    exit_with_stdin: bool,  # noqa: FBT001 - as above
) -> None:
    """Start a world on free loopback ports and serve it until told to stop.

    Example: orgsim serve --json --seed 7

    With --data, started again on the same folder, the same ids and addresses answer. Ends with
    status 0 on SIGTERM and SIGINT, and when the program that started it dies.
    """
    settings = Settings(
        seed=seed,
        hostile=hostile,
        port_base=port_base,
        data_dir=data,
        tls_dir=tls_dir,
        ports_file=ports_file,
        canary=canary,
        app_callbacks=app_callback,
        post_install_urls=post_install_url,
        routes=route,
        issue=issue,
        switches=switch,
        bare=bare,
        hub_reader_certificate=None if hub_reader is None else hub_reader.read(),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="orgsim: %(message)s")
    _die_with_parent()
    try:
        asyncio.run(_serve(settings, as_json=as_json, exit_with_stdin=exit_with_stdin))
    except OSError as error:
        raise click.ClickException(f"cannot serve: {error}") from error


@main.command()
def coverage() -> None:
    """Print COVERAGE.md: every route this version answers.

    Example: orgsim coverage > COVERAGE.md
    """
    from orgsim.coverage import coverage_text

    click.echo(coverage_text(), nl=False)


def _die_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent process dies; elsewhere than on Linux, not."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


async def _serve(settings: Settings, *, as_json: bool, exit_with_stdin: bool) -> None:
    from orgsim.server import running_world

    told = asyncio.Event()
    with _stopping(told, watch_stdin=exit_with_stdin):
        async with running_world(settings) as running:
            summary = running.summary()
            if as_json:
                click.echo(json.dumps(summary))
            else:
                _print_for_people(summary)
            await told.wait()


def _print_for_people(summary: dict[str, object]) -> None:
    for name in ("login_url", "sandbox_login_url", "control_url"):
        click.echo(f"{name:20} {summary[name]}")
    click.echo("People and their passwords: GET /orgs at the control port.")


@contextlib.contextmanager
def _stopping(told: asyncio.Event, *, watch_stdin: bool) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)

    def read() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            told.set()

    if watch_stdin:
        loop.add_reader(sys.stdin.fileno(), read)
    yield
