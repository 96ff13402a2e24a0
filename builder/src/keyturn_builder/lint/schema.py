"""Compares documents with the types that Salesforce generates from its WSDLs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from keyturn_builder.errors import Finding
from keyturn_builder.lint.rule import broken
from keyturn_builder.metadata.xml import Node

_READABLE: Final[Mapping[str, re.Pattern[str]]] = {
    "boolean": re.compile(r"true|false"),
    "number": re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"),
    "Date": re.compile(r"(?:\d{4}-\d{2}-\d{2})?T?[\d:.]*(?:Z|[+-]\d{2}:\d{2})?"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Types by name, each element's kind by name; `?` may be left out, `[]` may repeat."""

    source: str
    types: Mapping[str, Mapping[str, str]]
    enums: Mapping[str, tuple[str, ...]]


@cache
def salesforce_schema() -> Schema:
    """Return the table that ships with this part."""
    text = files("keyturn_builder.lint").joinpath("metadata_types.json").read_text("utf-8")
    read: Any = json.loads(text)
    return Schema(
        source=read["source"],
        types=read["types"],
        enums={name: tuple(values) for name, values in read["enums"].items()},
    )


def check_document(file: str, root: Node, schema: Schema) -> Iterator[Finding]:
    """Find what of a document is not as the schema has it; types it does not know pass."""
    if root.name in schema.types:
        yield from _struct(file, root, root.name, schema)


def _struct(file: str, node: Node, type_: str, schema: Schema) -> Iterator[Finding]:
    members = schema.types[type_]
    seen: set[str] = set()
    for child in node.children:
        kind = members.get(child.name)
        if kind is None:
            yield broken("schema", file, f"{type_} has no element {child.name}", node=child)
            continue
        if child.name in seen and not kind.endswith("[]"):
            yield broken("schema", file, f"{child.name} stands twice", node=child)
        seen.add(child.name)
        yield from _value(file, child, kind.rstrip("?[]"), schema)
    for name, kind in members.items():
        if not kind.endswith(("?", "[]")) and name not in seen:
            yield broken("schema", file, f"{type_} needs the element {name}", node=node)


def _value(file: str, node: Node, kind: str, schema: Schema) -> Iterator[Finding]:
    if kind in schema.types:
        yield from _struct(file, node, kind, schema)
        return
    if node.children:
        yield broken("schema", file, f"{node.name} holds text, not elements", node=node)
        return
    text = node.text.strip()
    if kind in schema.enums:
        allowed = schema.enums[kind]
        if text not in allowed:
            names = ", ".join(allowed[:8]) + (" …" if len(allowed) > 8 else "")  # noqa: PLR2004 - a line's worth
            yield broken("schema", file, f"{text} is none of {names}", node=node)
        return
    readable = _READABLE.get(kind)
    if readable is not None and not readable.fullmatch(text):
        yield broken("schema", file, f"{text!r} is no {kind}", node=node)
