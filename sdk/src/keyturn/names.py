"""Names of custom things: which of them belong into the app's namespace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_SUFFIXES: Final = frozenset(
    {
        "b", "c", "changeevent", "e", "feed", "hd", "history", "kav", "latitude", "longitude",
        "mdt", "pc", "pr", "r", "share", "tag", "x",
    }
)  # fmt: skip


def is_bare(name: str) -> bool:
    """Tell whether a name is custom and names no namespace: `Usage__c`, not `acme__Usage__c`.

    Names of Salesforce's own (`Name`, `AccountId`) are not custom. Names are compared without
    regard to case, as Salesforce does.
    """
    parts = name.split("__")
    return len(parts) == 2 and all(parts) and parts[1].casefold() in _SUFFIXES  # noqa: PLR2004 - name and suffix


def qualified(name: str, namespace: str | None) -> str:
    """Return a name of an object or field as the customer's org knows it."""
    return f"{namespace}__{name}" if namespace and is_bare(name) else name


def qualified_flow(name: str, namespace: str | None) -> str:
    """Return a flow's name as the customer's org knows it; flows carry no suffix."""
    return name if not namespace or "__" in name else f"{namespace}__{name}"


def qualified_record(record: Mapping[str, Any], namespace: str | None) -> dict[str, Any]:
    """Return a record with its fields' names as the customer's org knows them.

    A record inside, which names a parent by its external id, is treated the same way.
    """
    return {
        qualified(name, namespace): (
            qualified_record(value, namespace)
            if isinstance(value, Mapping) and name != "attributes"
            else value
        )
        for name, value in record.items()
    }


def names_of(record: Mapping[str, Any]) -> Iterator[str]:
    """Find the names of a record's fields, those of parents inside too."""
    for name, value in record.items():
        yield name
        if isinstance(value, Mapping) and name != "attributes":
            yield from names_of(value)
