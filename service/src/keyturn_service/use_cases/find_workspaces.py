"""Find what workspace an operator means."""

from __future__ import annotations

from collections.abc import Sequence

from keyturn_service.domain.app import Workspace
from keyturn_service.ports import Workspaces


async def find_workspaces(workspaces: Workspaces, which: str) -> Sequence[Workspace]:
    """Return the workspace of that id, or else all of that name: names are for people."""
    kept = await workspaces.all()
    return [one for one in kept if one.id == which] or [one for one in kept if one.name == which]
