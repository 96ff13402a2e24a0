"""Permission Sets: make one, and assign it to people.

Spec: Salesforce Help, "Permission Sets" and "Assign a Permission Set to Multiple Users".
"""

import re

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.metadata.components import Component
from orgsim.orgs import admitting
from orgsim.surfaces.setup_pages.frame import Desk, for_admins

SETS = "/lightning/setup/PermSets"
_API_NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*", re.ASCII)
_LONGEST = 80
WRONG_NAME = "An API name has letters, digits and single underscores, and begins with a letter."
TAKEN = "There is a permission set of that API name already."


def list_sets(desk: Desk) -> Response:
    """List the permission sets of the org, and offer to make one."""
    return _list_page(desk)


def _list_page(desk: Desk, *, problem: str | None = None) -> Response:
    rows = [
        (kept.node().value("label") or kept.full_name, kept.full_name, _path(kept))
        for kept in admitting.permission_sets(desk.world, desk.org)
    ]
    status = 200 if problem is None else 422
    return desk.page("sets.html", status=status, rows=rows, action=f"{SETS}/new", problem=problem)


def _path(kept: Component, what: str = "view") -> str:
    return f"{SETS}/{kept.component_id}/{what}"


def make_set(desk: Desk) -> Response:
    """Make a permission set, and go on to assign it."""
    label, name = desk.form.get("label", "").strip(), desk.form.get("name", "").strip()
    if not label or len(name) > _LONGEST or _API_NAME.fullmatch(name) is None:
        return _list_page(desk, problem=WRONG_NAME)
    if desk.world.components.get(desk.org.org_id, "PermissionSet", name) is not None:
        return _list_page(desk, problem=TAKEN)
    made = admitting.make_permission_set(
        desk.world, desk.org, label=label, name=name, by=desk.user.user_id
    )
    return desk.back(_path(made))


def _asked(desk: Desk) -> Component | None:
    sets = admitting.permission_sets(desk.world, desk.org)
    return next((kept for kept in sets if kept.component_id == desk.path["set_id"]), None)


def show_set(desk: Desk) -> Response:
    """Show to whom a permission set is assigned."""
    kept = _asked(desk)
    if kept is None:
        return desk.gone()
    holders = admitting.assigned(desk.world, desk.org, kept.full_name)
    people = [
        (user, admitting.PROFILES[user.role], user.user_id in holders) for user in desk.org.users
    ]
    return desk.page(
        "set.html",
        label=kept.node().value("label") or kept.full_name,
        name=kept.full_name,
        people=people,
        action=_path(kept, "assignments"),
        said=desk.told(),
    )


def assign_set(desk: Desk) -> Response:
    """Assign a permission set to the people who are ticked, and to nobody else."""
    kept = _asked(desk)
    if kept is None:
        return desk.gone()
    ticked = [user.user_id for user in desk.org.users if f"user.{user.user_id}" in desk.form]
    admitting.assign(desk.world, desk.org, kept.full_name, ticked)
    return desk.back(_path(kept), said="saved")


def people_routes() -> list[BaseRoute]:
    """Routes of Permission Sets."""
    return [
        Route(f"{SETS}/home", for_admins(list_sets), methods=["GET"]),
        Route(f"{SETS}/new", for_admins(make_set), methods=["POST"]),
        Route(f"{SETS}/{{set_id}}/view", for_admins(show_set), methods=["GET"]),
        Route(f"{SETS}/{{set_id}}/assignments", for_admins(assign_set), methods=["POST"]),
    ]
