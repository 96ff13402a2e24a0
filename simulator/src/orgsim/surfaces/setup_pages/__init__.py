"""Setup pages, where an org's admin decides about apps and packages.

Plain server-rendered forms, no script, at the paths that Setup has. What a decision does is in
`orgs`; who may decide is in `frame`.
"""

from starlette.routing import BaseRoute

from orgsim.surfaces.setup_pages.app_settings import settings_routes
from orgsim.surfaces.setup_pages.apps import app_routes
from orgsim.surfaces.setup_pages.packages import package_routes
from orgsim.surfaces.setup_pages.people import people_routes


def setup_routes() -> list[BaseRoute]:
    """Routes of all Setup pages."""
    return [*app_routes(), *package_routes(), *people_routes(), *settings_routes()]


__all__ = ["setup_routes"]
