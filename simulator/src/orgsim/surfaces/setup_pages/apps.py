"""External Client App Manager and OAuth usage: the apps of an org, and its admin's policies.

Spec: Salesforce Help, "Manage External Client App Policies" and "Manage OAuth-Enabled Connected
Apps Access".
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.orgs import admitting
from orgsim.orgs.apps import App
from orgsim.orgs.policies import Installation, PermittedUsers, RefreshPolicy
from orgsim.surfaces.setup_pages.frame import HOME, Desk, for_admins

MANAGER = "/lightning/setup/ManageExternalClientApplication"
USAGE = "/lightning/setup/ConnectedAppsUsage"
_PERMITTED: Mapping[PermittedUsers, str] = {
    "all": "All users may self-authorize",
    "pre_authorized": "Admin approved users are pre-authorized",
}
_REFRESH: Mapping[RefreshPolicy, str] = {
    "infinite": "Refresh token is valid until revoked",
    "zero": "Immediately expire refresh token",
    "specific_inactivity": "Expire refresh token if not used for specific time",
    "specific_lifetime": "Expire refresh token after specific time",
}
_MOST_DAYS, _MOST_MINUTES = 3650, 1440
WRONG = "Check the figures: days from 1 to 3650, minutes from 1 to 1440."


def setup_home(desk: Desk) -> Response:
    """Show what there is in Setup."""
    return desk.page("home.html")


def list_apps(desk: Desk) -> Response:
    """List the External Client Apps of the org."""
    rows = [(app, policy, _path(desk, app)) for app, policy in apps_of(desk)]
    return desk.page("apps.html", rows=rows)


def apps_of(desk: Desk) -> list[tuple[App, Installation]]:
    """Return the apps that this org has, with its policies; those of every org are not managed."""
    world = desk.world
    held = [
        (app, world.installation(desk.org.org_id, app.consumer_key))
        for app in world.apps.values()
        if app.principal is None and app.distribution != "everywhere"
    ]
    return [(app, policy) for app, policy in held if policy.installed]


def _id_of(desk: Desk, app: App) -> str:
    made = desk.world.registration_of(app.consumer_key)
    return desk.world.seeded.record_id("0xI", app.name) if made is None else made.app_id


def _path(desk: Desk, app: App, what: str = "view") -> str:
    return f"{MANAGER}/{_id_of(desk, app)}/{what}"


def _asked(desk: Desk) -> tuple[App, Installation] | None:
    wanted = desk.path["app_id"]
    return next((held for held in apps_of(desk) if _id_of(desk, held[0]) == wanted), None)


def show_app(desk: Desk) -> Response:
    """Show one app with its policies, to be edited."""
    asked = _asked(desk)
    return desk.gone() if asked is None else _app_page(desk, *asked)


def _app_page(
    desk: Desk, app: App, policy: Installation, *, problem: str | None = None
) -> Response:
    return desk.page(
        "app.html",
        status=200 if problem is None else 422,
        app=app,
        policy=policy,
        action=_path(desk, app, "policies"),
        usage=f"{USAGE}/home",
        permitted=_PERMITTED,
        refresh=_REFRESH,
        gates=admitting.gates_of(desk.world, desk.org),
        problem=problem,
        said=desk.told(),
    )


def save_policies(desk: Desk) -> Response:
    """Save an app's policies and who is pre-authorized."""
    asked = _asked(desk)
    if asked is None:
        return desk.gone()
    app, policy = asked
    changes = _read_policies(desk)
    if changes is None:
        return _app_page(desk, app, policy, problem=WRONG)
    admitting.put_policy(desk.world, desk.org, replace(policy, **changes))
    return desk.back(_path(desk, app), said="saved")


def _read_policies(desk: Desk) -> dict[str, Any] | None:
    """Read the form; None where a value is none that the page offers."""
    form = desk.form
    permitted, refresh = form.get("permitted_users"), form.get("refresh_policy")
    days = _figure(form.get("refresh_days", ""), most=_MOST_DAYS)
    minutes = _figure(form.get("session_minutes", ""), most=_MOST_MINUTES)
    fits = permitted in get_args(PermittedUsers) and refresh in get_args(RefreshPolicy)
    if not fits or days is None or minutes is None:
        return None
    known = {gate.key for gate in admitting.gates_of(desk.world, desk.org)}
    return {
        "permitted_users": permitted,
        "refresh_policy": refresh,
        "refresh_days": days,
        "session_minutes": minutes,
        "through": frozenset(key for key in known if f"through.{key}" in form),
    }


def _figure(text: str, *, most: int) -> int | None:
    value = int(text) if text.isascii() and text.isdecimal() else 0
    return value if 1 <= value <= most else None


def show_usage(desk: Desk) -> Response:
    """List the apps that people of the org use, to block them or let them in again."""
    rows = [
        (app, policy, _users(desk, app), f"{USAGE}/{_id_of(desk, app)}/access")
        for app, policy in apps_of(desk)
    ]
    return desk.page("usage.html", rows=rows, said=desk.told())


def _users(desk: Desk, app: App) -> int:
    grants = desk.world.grants.all()
    key = (desk.org.org_id, app.consumer_key)
    return len({grant.user_id for grant in grants if (grant.org_id, grant.consumer_key) == key})


def change_access(desk: Desk) -> Response:
    """Block an app, which ends its sessions, or unblock it."""
    asked = _asked(desk)
    if asked is None:
        return desk.gone()
    blocked = desk.form.get("access") == "block"
    admitting.block(desk.world, asked[1], blocked=blocked)
    return desk.back(f"{USAGE}/home", said="blocked" if blocked else "unblocked")


def app_routes() -> list[BaseRoute]:
    """Routes of Setup's home, the app manager and OAuth usage."""
    return [
        Route(HOME, for_admins(setup_home), methods=["GET"]),
        Route(f"{MANAGER}/home", for_admins(list_apps), methods=["GET"]),
        Route(f"{MANAGER}/{{app_id}}/view", for_admins(show_app), methods=["GET"]),
        Route(f"{MANAGER}/{{app_id}}/policies", for_admins(save_policies), methods=["POST"]),
        Route(f"{USAGE}/home", for_admins(show_usage), methods=["GET"]),
        Route(f"{USAGE}/{{app_id}}/access", for_admins(change_access), methods=["POST"]),
    ]
