"""The page behind a package's install link, where an admin installs it.

Plain server-rendered forms, no script. What an install does is in `orgs`.
"""

from orgsim.surfaces.install_pages.routes import install_routes

__all__ = ["install_routes"]
