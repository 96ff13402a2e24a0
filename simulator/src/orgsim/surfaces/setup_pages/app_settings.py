"""External Client App Settings: whether an org gives out consumer secrets by the REST API.

Spec: Salesforce Help, "Enable REST API Access to External Client App Consumer Secrets".
"""

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.orgs import app_settings
from orgsim.surfaces.setup_pages.frame import Desk, for_admins

SETTINGS = "/lightning/setup/ExternalClientAppSettings"


def show_settings(desk: Desk) -> Response:
    """Show the setting, to be switched."""
    allowed = app_settings.gives_secrets_by_rest(desk.world, desk.org)
    return desk.page("settings.html", allowed=allowed, action=f"{SETTINGS}/save", said=desk.told())


def save_settings(desk: Desk) -> Response:
    """Switch it."""
    allowed = "secrets_by_rest" in desk.form
    app_settings.give_secrets_by_rest(desk.world, desk.org, allowed=allowed, by=desk.user.user_id)
    return desk.back(f"{SETTINGS}/home", said="saved")


def settings_routes() -> list[BaseRoute]:
    """Routes of External Client App Settings."""
    return [
        Route(f"{SETTINGS}/home", for_admins(show_settings), methods=["GET"]),
        Route(f"{SETTINGS}/save", for_admins(save_settings), methods=["POST"]),
    ]
