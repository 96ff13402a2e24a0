"""Reference tables read from code: settings, commands, ports, audit events."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, cast

import click
from pydantic_core import PydanticUndefined

import keyturn_service.adapters
import orgsim.cli
from keyturn.cli.frame import Groups, installed
from keyturn_service import ports
from keyturn_service.settings import Settings

_RECORDERS: Final = (
    *sorted(Path("service/src/keyturn_service/use_cases").glob("*.py")),
    Path("service/src/keyturn_service/adapters/sql/audit.py"),
    Path("service/src/keyturn_service/vault/data_key_rotation.py"),
    Path("service/src/keyturn_service/vault/refusals.py"),
    Path("service/src/keyturn_service/vault/resealing.py"),
    Path("service/src/keyturn_service/vault/root_keys.py"),
    Path("service/src/keyturn_service/domain/audit.py"),
)
_WIDTH: Final = 80  # columns of help texts at most, unless a program says more
_MARGIN: Final = 2  # columns that click leaves free
_EVENT: Final = re.compile(r"[a-z_]+\.[a-z_]+")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([_cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def first_sentence(documented: object) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


# --- settings ----------------------------------------------------------------------------------


def settings_table() -> str:
    """Return a row for each setting."""
    return table(
        ("Variable", "Default", "Meaning"),
        (
            (f"`KEYTURN_{name.upper()}`", _default(field), field.description or "")
            for name, field in Settings.model_fields.items()
        ),
    )


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "has to be set"
    return "none" if field.default in (None, "") else f"`{field.default}`"


# --- commands ----------------------------------------------------------------------------------


def commands() -> Iterator[tuple[list[str], click.Command]]:
    """Return every command with the words that are typed for it."""
    yield from _below(["keyturn"], Groups(installed))
    yield from _below(["orgsim"], orgsim.cli.main)


def _below(words: list[str], command: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=words[-1])
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _below([*words, name], found)


def command_help() -> str:
    """Return the help text of every command."""
    parts = [f"## `{' '.join(words)}`\n\n```text\n{_help(words)}\n```" for words, _ in commands()]
    return "\n\n".join(parts)


def _help(words: list[str]) -> str:
    """Return a command's help as the program prints it: contexts inherit from one another."""
    context: click.Context | None = None
    command: click.Command = Groups(installed) if words[0] == "keyturn" else orgsim.cli.main
    for word in words:
        if context is not None:
            command = cast("click.Command", cast("click.Group", command).get_command(context, word))
        context = click.Context(command, info_name=word, parent=context, **command.context_settings)
        context.terminal_width = (context.max_content_width or _WIDTH) - _MARGIN
    return command.get_help(cast("click.Context", context)).rstrip()


# --- ports -------------------------------------------------------------------------------------


def all_ports() -> dict[str, type]:
    """Return every port by its name, sorted."""
    return {
        name: found
        for name, found in sorted(vars(ports).items())
        if isinstance(found, type) and Protocol in found.__bases__
    }


def port_index() -> str:
    """Return a row for each port: what it is, and who carries it out."""
    adapters = _adapters()
    return table(
        ("Port", "What it is", "Adapters"),
        (
            (
                f"[`{name}`](#{name.lower()})",
                first_sentence(port),
                ", ".join(f"`{adapter}`" for adapter in adapters.get(name, [])),
            )
            for name, port in all_ports().items()
        ),
    )


def _adapters() -> dict[str, list[str]]:
    """Return the classes whose docstring starts by naming the port that they carry out."""
    found: dict[str, set[str]] = {}
    package = keyturn_service.adapters
    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if ".migrations" not in info.name
    ]
    modules += [
        importlib.import_module(f"keyturn_service.vault.{name}")
        for name in ("checkpoints", "hashes")
    ]
    for module in modules:
        for name, item in vars(module).items():
            named = re.match(r"`ports\.(\w+)`", item.__doc__ or "") if _is_class(item) else None
            if named and item.__module__ == module.__name__:
                place = module.__name__.removeprefix("keyturn_service.")
                found.setdefault(named[1], set()).add(f"{place}.{name}")
    return {port: sorted(names) for port, names in found.items()}


def _is_class(item: object) -> bool:
    return isinstance(item, type)


def port_methods() -> str:
    """Return what every port promises, method by method."""
    return "\n\n".join(_port(name, port) for name, port in all_ports().items())


def _port(name: str, port: type) -> str:
    rows = [
        (f"`{_signature(method, item)}`", first_sentence(_callable(item)))
        for method, item in vars(port).items()
        if (not method.startswith("_") or method == "__call__")
        and (inspect.isfunction(item) or isinstance(item, property))
    ]
    module = port.__module__.removeprefix("keyturn_service.")
    said = " ".join((inspect.getdoc(port) or "").split())
    return f"## {name}\n\n`{module}`. {said}\n\n{table(('Method', 'Promise'), rows)}"


def _callable(item: object) -> object:
    return item.fget if isinstance(item, property) else item


def _signature(name: str, item: object) -> str:
    if isinstance(item, property):
        return name
    function = cast("Any", item)
    given = list(inspect.signature(function).parameters.values())[1:]
    shown, keyword_only = [], False
    for parameter in given:
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            shown.append("*")
        shown.append(parameter.name)
    return f"{name}({', '.join(shown)})"


# --- audit events ------------------------------------------------------------------------------


def event_types() -> dict[str, list[str]]:
    """Return every type of audit event that is recorded, with the modules that do."""
    found: dict[str, set[str]] = {}
    for path in _RECORDERS:
        for text in _texts(ast.parse(path.read_text(encoding="utf-8"))):
            if _EVENT.fullmatch(text):
                found.setdefault(text, set()).add(path.stem)
    return {type_: sorted(modules) for type_, modules in sorted(found.items())}


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
