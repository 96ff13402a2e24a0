"""The command `keyturn-acme`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path

import click

from acme.config import ConfigRefused, read_config
from acme.serving import CannotServe, Ports, serve

_File = click.Path(dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Acme, an example of a product that connects to Salesforce through Keyturn."""


@main.command("serve")
@click.option("--config", "config_file", type=_File, required=True, help="JSON file, see README.")
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="Port of plain HTTP.")
@click.option("--tls-port", type=click.IntRange(1, 65535), help="Port of HTTPS.")
@click.option("--cert", type=_File, help="Certificate chain of the TLS port, PEM.")
@click.option("--key", type=_File, help="Private key of the TLS port, PEM.")
@click.option("--json", "as_json", is_flag=True, help="Say in one line of JSON when it answers.")
@click.option(
    "--exit-with-stdin",
    is_flag=True,
    help="Belong to the program that started it: end when standard input closes, and remove the"
    " configuration once it is read, because it was written for this run and holds secrets.",
)
def serve_command(
    *,
    config_file: Path,
    port: int,
    tls_port: int | None,
    cert: Path | None,
    key: Path | None,
    as_json: bool,
    exit_with_stdin: bool,
) -> None:
    r"""Serve Acme on loopback ports until SIGTERM or SIGINT.

    Exit status: 0 ended as told, 1 could not start.

    Example: keyturn-acme serve --config acme.json --port 8400
    """
    if tls_port is not None and (cert is None or key is None):
        raise click.UsageError("--tls-port needs --cert and --key")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    try:
        config = read_config(config_file)
        if exit_with_stdin:
            config_file.unlink()
        ports = Ports(plain=port, tls=tls_port, cert=cert, key=key)

        def ready() -> None:
            urls = list(config.service_urls)
            click.echo(json.dumps({"urls": urls}) if as_json else f"Acme answers at {urls[0]}")

        asyncio.run(serve(config, ports, ready=ready, until_stdin_ends=exit_with_stdin))
    except (ConfigRefused, CannotServe) as error:
        click.echo(f"keyturn-acme: {error}", err=True)
        sys.exit(1)
