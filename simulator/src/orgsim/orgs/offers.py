"""What an install link offers to an org, and what comes of taking it.

Acme's package, which the world has from the start, is offered as one version; it is in no hub.
"""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from orgsim.orgs.org import Org
from orgsim.sites import Face
from orgsim.world import World

_ID_LENGTHS = (15, 18)
_SHORT_ID = 15
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A package version as its install page shows it; `scopes` are what its app asks for."""

    subscriber_version_id: str
    name: str
    publisher: str
    number: str
    namespace: str | None
    description: str | None
    scopes: frozenset[str]
    post_install_urls: tuple[str, ...]


def first_offer(world: World) -> Offer:
    """Return the version of Acme's package that the world has from the start."""
    acme = next(iter(world.apps.values()))
    return Offer(
        subscriber_version_id=world.seeded.record_id("04t", acme.name),
        name=acme.name,
        publisher="Acme Inc.",
        number="1.0.0.1",
        namespace=acme.namespace,
        description="Usage, renewal alerts, and the app that connects Acme with this org.",
        scopes=acme.scopes,
        post_install_urls=world.post_install_urls,
    )


def offer_of(world: World, written: str) -> Offer | None:
    """Find what a link offers by its version ID (`04t`), of 15 or 18 characters."""
    offer = first_offer(world)
    same = offer.subscriber_version_id[:_SHORT_ID] == written[:_SHORT_ID]
    return offer if same and len(written) in _ID_LENGTHS else None


def has_it(world: World, org: Org) -> bool:
    """Tell whether the org has the package."""
    acme = next(iter(world.apps))
    return world.installation(org.org_id, acme).installed


def take(world: World, org: Org) -> None:
    """Install it: the app is known in the org from now on, under the policies that it had."""
    acme = next(iter(world.apps))
    world.put_installation(replace(world.installation(org.org_id, acme), installed=True))


def post_install_url(offer: Offer, face: Face) -> str | None:
    """Return where the browser goes on to after the install, on the face it came by.

    At Salesforce there is one address for each version. One world shows several faces, and whoever
    runs it may name one address for each.
    """
    fitting = (url for url in offer.post_install_urls if _fits(url, face))
    return next(fitting, next(iter(offer.post_install_urls), None))


def _fits(url: str, face: Face) -> bool:
    parts = urlsplit(url)
    at_loopback = parts.hostname in _LOOPBACK
    if face.kind == "names":
        return not at_loopback
    return at_loopback and (parts.scheme == "https") == face.secure
