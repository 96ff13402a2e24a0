"""What commands share that reach the service by its REST API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from keyturn.cli.outcome import json_option
from keyturn.client import Keyturn


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which service, and by which API key."""
    for option in (
        click.option(
            "--url", envvar="KEYTURN_URL", required=True, metavar="URL", help="The service's URL."
        ),
        click.option(
            "--api-key-file",
            envvar="KEYTURN_API_KEY_FILE",
            type=click.File(),
            default="-",
            help="File that holds the API key; standard input where none is named.",
        ),
        json_option,
    ):
        command = option(command)
    return command


def client_of(url: str, api_key_file: Any) -> Keyturn:
    """Return a client.

    Raises:
        click.UsageError: URL or API key cannot be used.
    """
    try:
        return Keyturn(url, api_key=api_key_file.read().strip())
    except UnicodeDecodeError as error:
        raise click.UsageError("the file of --api-key-file is not UTF-8: save it so") from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
