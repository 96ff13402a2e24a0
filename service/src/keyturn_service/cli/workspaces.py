"""Workspaces as an operator names them."""

from __future__ import annotations

from collections.abc import Iterable

from keyturn_service.domain.app import Workspace


def not_found(which: str, there_are: Iterable[Workspace]) -> str:
    """Say that a workspace is not there, and which are."""
    names = ", ".join(sorted(f"{one.name} ({one.id})" for one in there_are))
    return f"there is no workspace {which}; there are: {names or 'none'}"


def ambiguous(name: str, found: Iterable[Workspace]) -> str:
    """Say that a name is of several workspaces."""
    ids = ", ".join(sorted(one.id for one in found))
    return f"several workspaces are named {name}; name one by its id: {ids}"
