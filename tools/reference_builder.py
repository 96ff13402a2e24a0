"""Reference tables of the builder: the keys of `keyturn.toml`, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keyturn_builder.app_config import AppConfig
from keyturn_builder.errors import ENTRIES
from keyturn_builder.lint.rule import RULES
from tools.reference_code import table


def config_keys() -> str:
    """Return a section for each table of the file."""
    schema = AppConfig.model_json_schema()
    parts = []
    for name, field in AppConfig.model_fields.items():
        known = schema["properties"][name]
        found = _table_of(known, schema)
        head = f"[{name}.<API name>]" if name == "objects" else f"[{name}]"
        rows = [_row(key, said, found) for key, said in found["properties"].items()]
        meaning = " ".join((field.description or "").split())
        parts.append(
            f"## `{head}`\n\n{meaning}\n\n{table(('Key', 'Unless said', 'Meaning'), rows)}"
        )
    return "\n\n".join(parts)


def _table_of(known: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow the references to the table that a key of the file holds."""
    for said in _inside(known):
        if "$ref" in said:
            found: dict[str, Any] = schema["$defs"][said["$ref"].rpartition("/")[2]]
            return found
    raise KeyError(known)


def _inside(known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield known
    yield from known.get("anyOf", ())
    yield from known.get("patternProperties", {}).values()
    if isinstance(known.get("additionalProperties"), dict):
        yield known["additionalProperties"]


def _row(key: str, said: dict[str, Any], found: dict[str, Any]) -> tuple[str, str, str]:
    default = said.get("default")
    unless = "has to be said" if key in found.get("required", ()) else _written(default)
    return f"`{key}`", unless, " ".join(said.get("description", "").split())


def _written(default: object) -> str:
    if default in (None, "", []):
        return "none"
    shown = ", ".join(map(str, default)) if isinstance(default, list) else str(default)
    return f"`{shown}`"


def builder_errors() -> str:
    """Return a row for each error of the builder."""
    rows = [
        (f"`{code}`", f"`{entry.who}`", f"`{entry.remedy}`", f"**{entry.title}.** {entry.where}")
        for code, entry in sorted(ENTRIES.items())
    ]
    return table(("Code", "Who", "Remedy", "What it means, and where it is mended"), rows)


def lint_rules() -> str:
    """Return a row for each rule of the linter."""
    rows = [
        (f"`{name}`", rule.severity.value, rule.asks, rule.source, rule.remedy)
        for name, rule in RULES.items()
    ]
    return table(("Rule", "Severity", "What it asks for", "Source", "Remedy"), rows)
