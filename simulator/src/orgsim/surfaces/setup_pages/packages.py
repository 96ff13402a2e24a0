"""Installed Packages: what an org has installed, and how it gets rid of it.

Spec: Salesforce Help, "View Installed Package Details" and "Uninstall a Managed Package".
"""

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from orgsim.orgs import offers
from orgsim.surfaces.setup_pages.frame import Desk, for_admins

PACKAGES = "/lightning/setup/ImportedPackage"


def list_packages(desk: Desk) -> Response:
    """List the installed packages, each with the address that goes on from its install."""
    rows = [
        (
            offer,
            offers.post_install_url(offer, desk.call.face),
            f"{PACKAGES}/{offer.subscriber_version_id}/uninstall",
        )
        for offer in offers.installed_offers(desk.world, desk.org)
    ]
    return desk.page("packages.html", rows=rows, said=desk.told())


def uninstall(desk: Desk) -> Response:
    """Uninstall a package, once it is confirmed that its data goes too."""
    offer = offers.offer_of(desk.world, desk.path["version_id"])
    if offer is None or not offers.has_this(desk.world, desk.org, offer):
        return desk.gone()
    if desk.form.get("confirm") != "yes":
        return desk.back(f"{PACKAGES}/home", said="unconfirmed")
    offers.give_back(desk.world, desk.org, offer)
    return desk.back(f"{PACKAGES}/home", said="uninstalled")


def package_routes() -> list[BaseRoute]:
    """Routes of Installed Packages."""
    path = f"{PACKAGES}/{{version_id}}/uninstall"
    return [
        Route(f"{PACKAGES}/home", for_admins(list_packages), methods=["GET"]),
        Route(path, for_admins(uninstall), methods=["POST"]),
    ]
