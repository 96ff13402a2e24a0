"""`find_workspaces`: by the id, or else by the name."""

from __future__ import annotations

from collections.abc import Sequence

from service.tests.support.values import START

from keyturn_service.domain.app import Workspace
from keyturn_service.domain.ids import WorkspaceId
from keyturn_service.use_cases.find_workspaces import find_workspaces


def workspace(name: str, of: str) -> Workspace:
    """Return a workspace."""
    return Workspace(id=WorkspaceId(name), name=of, created_at=START)


class Kept:
    """Three workspaces, of which one has the id of another for its name."""

    def __init__(self) -> None:
        self.one, self.two = workspace("ws_one", "Acme"), workspace("ws_two", "Acme")
        self.three = workspace("ws_three", "ws_one")

    async def ensure(self, workspace: Workspace) -> None:
        """Keep one."""
        raise AssertionError(workspace)

    async def all(self) -> Sequence[Workspace]:
        """Return them."""
        return [self.three, self.one, self.two]


async def test_an_id_goes_before_a_name() -> None:
    """Who writes the database gives names, and no ids."""
    kept = Kept()

    assert await find_workspaces(kept, "ws_one") == [kept.one]
    assert await find_workspaces(kept, "ws_three") == [kept.three]


async def test_a_name_may_be_of_several() -> None:
    """Whoever asked decides what to do then."""
    kept = Kept()

    assert await find_workspaces(kept, "Acme") == [kept.one, kept.two]
    assert await find_workspaces(kept, "Nobody") == []
