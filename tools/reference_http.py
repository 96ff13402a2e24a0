"""Reference tables of the REST API: errors, calls and what goes over the wire."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from keyturn_core.salesforce.catalogue import CATALOGUE, RefusalClass
from keyturn_service.bootstrap import make_key_file, open_house
from keyturn_service.bootstrap_web import joined_web
from keyturn_service.settings import read_settings
from keyturn_service.web.api.openapi import write_openapi
from keyturn_service.web.api.route import May
from keyturn_service.web.refusals import ENTRIES, Entry
from tools.reference_code import table

_ORIGIN: Final = "https://connect.acme.example"
_CLASSES: Final[Mapping[RefusalClass, str]] = {
    RefusalClass.SERVING: "A connection cannot serve",
    RefusalClass.CONNECT: "Connecting ends",
    RefusalClass.DEAD_GRANT: "Salesforce ended the grant",
    RefusalClass.ADMIN: "The customer's admin has to act",
    RefusalClass.OUR_FAULT: "The app or this service has to be set right",
    RefusalClass.BUSY: "It passes",
    RefusalClass.TRANSIENT: "It passes",
    RefusalClass.RATE: "It passes",
    RefusalClass.UNKNOWN: "It passes",
}
_LEAN: Final[Mapping[str, str]] = {
    "/v1/connections/{connection_id}/access-token": "tokens:read",
    "/v1/connections/{connection_id}/salesforce/{path}": "proxy",
    "/api/v1/connections": "connections:read",
    "/api/v1/connections/{connection_id}/credentials": "tokens:read",
    "/api/v1/proxy/salesforce": "proxy",
}
_ADDRESSES: Final = "#/components/schemas/"
_PAGE: Final = "Page_"


# --- errors ------------------------------------------------------------------------------------


def error_tables() -> str:
    """Return a table for each kind of error; every code stands in one."""
    groups: dict[str, list[Entry]] = {title: [] for title in dict.fromkeys(_CLASSES.values())}
    groups["The REST API refuses"] = []
    for code, entry in ENTRIES.items():
        known = CATALOGUE.get(code)
        title = "The REST API refuses" if known is None else _CLASSES[known.refusal_class]
        groups[title].append(entry)
    return "\n\n".join(f"## {title}\n\n{_errors(found)}" for title, found in groups.items())


def _errors(entries: list[Entry]) -> str:
    return table(
        ("Code", "Status", "Who", "Remedy", "What it means, and where it is mended"),
        (
            (
                f"`{entry.code}`",
                str(int(entry.status)),
                f"`{entry.who}`",
                f"`{entry.remedy}`" + _patience(entry),
                f"**{entry.title}.** {_plain(entry.cause)} *Where:* {_plain(entry.where)}",
            )
            for entry in entries
        ),
    )


def _patience(entry: Entry) -> str:
    return "" if entry.retry_after is None else f" after {entry.retry_after} s"


def _plain(text: str) -> str:
    """Return text that Markdown takes for nothing but text."""
    for mark in ("\\", "*", "_", "`", "<", ">", "[", "]"):
        text = text.replace(mark, f"\\{mark}")
    return text


# --- calls -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a fresh service says of itself: document, rights, and the addresses of its routes."""

    document: dict[str, Any]
    rights: Mapping[tuple[str, str], str]
    addresses: frozenset[str]


@functools.cache
def described() -> Described:
    """Return what a fresh service says of itself."""
    return asyncio.run(_described())


async def _described() -> Described:
    with tempfile.TemporaryDirectory(prefix="keyturn-reference-") as folder:
        settings = read_settings(
            public_urls=_ORIGIN,
            data_dir=Path(folder),
            database_url=f"sqlite:///{folder}/reference.sqlite",
            key_file=Path(folder) / "reference.key",
        )
        await make_key_file(settings)
        async with open_house(settings, background=False) as house:
            app = joined_web(house.wiring)
            return Described(
                document=write_openapi(app, servers=[_ORIGIN]),
                rights=dict(_rights(app)),
                addresses=frozenset(route.path for route in app.state.routes),
            )


def _rights(app: FastAPI) -> Iterator[tuple[tuple[str, str], str]]:
    for route in app.state.routes:
        if not isinstance(route, APIRoute):
            continue
        for dependency in route.dependant.dependencies:  # codespell:ignore dependant
            if isinstance(dependency.call, May):
                for method in route.methods or ():
                    yield (method, route.path), str(dependency.call.right.value)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return method, path and description of every call of the OpenAPI document."""
    document = described().document
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation


def _grouped() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return the calls by tag, the methods of the proxy as one."""
    seen: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for method, path, operation in operations():
        group = seen.setdefault(operation["tags"][0], [])
        if operation["tags"][0] == "proxy":
            if not group:
                group.append(("ANY", path, operation))
        else:
            group.append((method, path, operation))
    for group in seen.values():
        yield from group


def _right(method: str, path: str) -> str:
    right = described().rights.get((method, path)) or _LEAN.get(path)
    return f"`{right}`" if right else "none"


def _said(operation: Mapping[str, Any]) -> str:
    return str(operation.get("description") or operation["summary"])


def call_index() -> str:
    """Return a row for each call."""
    return table(
        ("Call", "Right", "What it does"),
        (
            (f"`{method} {path}`", _right(method, path), _said(operation))
            for method, path, operation in _grouped()
        ),
    )


def calls() -> str:
    """Return a section for each call with its parameters, body and answer."""
    return "\n\n".join(_call(*found) for found in _grouped())


def _call(method: str, path: str, operation: Mapping[str, Any]) -> str:
    lines = [f"### `{method} {path}`", _said(operation), f"Right: {_right(method, path)}."]
    parameters = [
        parameter for parameter in operation.get("parameters", []) if parameter["in"] == "query"
    ]
    if parameters:
        rows = [(f"`{one['name']}`", _type(one["schema"])) for one in parameters]
        lines.append(table(("Parameter", "Value"), rows))
    body = operation.get("requestBody")
    if body:
        need = "" if body.get("required") else " (may be left out)"
        lines.append(f"Body: {_content(body['content'])}{need}.")
    lines += [
        f"Answer: {_answer(status, response)}."
        for status, response in sorted(operation["responses"].items())
        if status != "default" or "*/*" in response.get("content", {})
    ]
    return "\n\n".join(lines)


def _answer(status: str, response: Mapping[str, Any]) -> str:
    if status == "default":
        return "Salesforce's own, or a problem of this service's with `Keyturn-Problem`"
    phrase = HTTPStatus(int(status)).phrase
    content = response.get("content")
    return f"{status} {phrase}" + (f", {_content(content)}" if content else ", no body")


def _content(content: Mapping[str, Any]) -> str:
    found = [_type(one["schema"]) for kind, one in content.items() if kind != "*/*"]
    return ", ".join(found) or "any"


def _type(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one line a kind of schema
    """Return what a value may be, in a few words."""
    match schema:
        case {"$ref": str(ref)}:
            return _reference(ref.removeprefix(_ADDRESSES))
        case {"anyOf": list(options)} | {"oneOf": list(options)}:
            return " or ".join(dict.fromkeys(_type(option) for option in options))
        case {"enum": list(values)}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_type(items)}"
        case {"type": "object", "properties": dict(members)}:
            return "object of " + ", ".join(f"`{name}`" for name in members)
        case {"type": "object"}:
            return "object"
        case {"type": "string", "format": str(kind)}:
            return {"date-time": "time", "uri": "URL"}.get(kind, "text")
        case {"type": "string"}:
            return "text"
        case {"type": str(kind)}:
            return {"integer": "number", "null": "null", "boolean": "true or false"}.get(kind, kind)
        case _:
            return "anything"


def _reference(name: str) -> str:
    document = described().document
    schema = document["components"]["schemas"][name]
    if "enum" in schema:
        return _type(schema)
    if name.startswith(_PAGE):
        return f"page of {_type(schema['properties']['data']['items'])}"
    return f"[{name}](#{name.lower()})"


def wire_types() -> str:
    """Return the members of every object that goes over the wire."""
    document = described().document
    found = document["components"]["schemas"].items()
    return "\n\n".join(
        _schema(name, schema)
        for name, schema in found
        if "enum" not in schema and not name.startswith(_PAGE)
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = [
        (f"`{member}`", _type(value), "yes" if member in needed else "")
        for member, value in schema.get("properties", {}).items()
    ]
    said = " ".join(str(schema.get("description", "")).split())
    return f"### {name}\n\n{said}\n\n{table(('Member', 'Value', 'Always there'), rows)}"
