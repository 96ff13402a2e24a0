"""Finds the groups of the `keyturn` command, runs one, and turns errors into exit statuses."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Final

import click

from keyturn.cli.outcome import WRONG_USAGE, Outcome, failure, refused_usage, show
from keyturn.errors import KeyturnError

GROUP: Final = "keyturn.commands"
_HELP: Final = r"""Connect your product to your customers' Salesforce orgs.

\b
Examples:
  keyturn dev                        run everything on this machine, orgs included
  keyturn serve --help               what a replica of the service needs
  keyturn connection list --help     your customers' connections, by the API

Exit status: 0 done, 1 failed, 2 wrong usage, 3 somebody else must act first.
"""


def installed() -> Mapping[str, EntryPoint]:
    """Return the groups that installed distributions name, by their word."""
    return {found.name: found for found in entry_points(group=GROUP)}


class _Said(Exception):
    """An option was all that was asked; it ends the command with an outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def _say_version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's shape
    if value and not context.resilient_parsing:
        number = version("keyturn")
        raise _Said(Outcome(result={"version": number}, text=f"keyturn {number}"))


def _refuse_json(_: click.Context, __: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's shape
    if value:
        raise click.UsageError("--json stands behind the verb: keyturn <group> <verb> --json")


class Groups(click.Group):
    """The groups of all parts that are installed; one is loaded when it is asked for."""

    def __init__(self, find: Callable[[], Mapping[str, EntryPoint]]) -> None:
        super().__init__(
            name="keyturn",
            help=_HELP,
            params=[
                click.Option(
                    ["--version"],
                    is_flag=True,
                    is_eager=True,
                    expose_value=False,
                    callback=_say_version,
                    help="Show the version and exit; with --json in one object.",
                ),
                click.Option(
                    ["--json"],
                    is_flag=True,
                    expose_value=False,
                    hidden=True,
                    callback=_refuse_json,
                ),
            ],
            context_settings={
                "max_content_width": 100,
                "help_option_names": ["-h", "--help"],
            },
        )
        _keep_line_breaks(self)
        self._find = find

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the words of all groups."""
        del ctx
        return sorted(self._find())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the group of a word; None where there is none."""
        del ctx
        found = self._find().get(cmd_name)
        if found is None:
            return None
        try:
            loaded = _load(found)
        except ImportError as error:
            return _broken(cmd_name, error)
        if not isinstance(loaded, click.Command):
            return None
        _keep_line_breaks(loaded)
        return loaded


def run(arguments: Sequence[str], find: Callable[[], Mapping[str, EntryPoint]] = installed) -> int:
    """Run the command with its arguments and return the exit status."""
    as_json = "--json" in arguments
    try:
        _see_text(arguments)
        ended = Groups(find).main(args=list(arguments), prog_name="keyturn", standalone_mode=False)
    except _Said as said:
        ended = said.outcome
    except click.UsageError as error:
        return _tell_usage(error, as_json=as_json)
    except click.ClickException as error:
        return show(failure("failed", error.format_message(), remedy="report"), as_json=as_json)
    except click.Abort:
        return show(failure("interrupted", "Interrupted", remedy="retry"), as_json=as_json)
    except KeyturnError as error:
        return show(Outcome.of_error(error), as_json=as_json)
    if isinstance(ended, Outcome):
        return show(ended, as_json=as_json)
    return ended if isinstance(ended, int) else 0


def _see_text(arguments: Sequence[str]) -> None:
    """See that every argument was text: of what is not come halves of characters.

    Raises:
        click.UsageError: one was not.
    """
    if any("\ud800" <= character <= "\udfff" for one in arguments for character in one):
        raise click.UsageError("an argument is not in UTF-8: set your terminal to it")


def _load(found: EntryPoint) -> object:
    """Load a group; what loading makes stays, so nobody looks for garbage meanwhile."""
    gc.disable()
    try:
        loaded: object = found.load()
    finally:
        gc.enable()
    return loaded


def _keep_line_breaks(command: click.Command) -> None:
    r"""Let `\b` on a line of its own mean to click what it means in a raw docstring to people."""
    if command.help is not None:
        command.help = command.help.replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _keep_line_breaks(inner)


def _tell_usage(error: click.UsageError, *, as_json: bool) -> int:
    if as_json:
        return show(refused_usage(error.format_message()), as_json=True)
    error.show()
    return WRONG_USAGE


def _broken(word: str, error: ImportError) -> click.Command:
    """Return a command that says why it cannot be loaded, so that the others still work."""

    def fail() -> None:
        raise click.ClickException(f"{word} is installed in part only: {error}")

    return click.Command(
        word,
        callback=fail,
        short_help="(cannot be loaded)",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
