"""What an install link offers to an org, and what comes of taking it.

A link names a version that was built in the Dev Hub, or Acme's package as the world has it from the
start, of which the hub knows only who runs it.
"""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from orgsim.orgs import installing
from orgsim.orgs.org import Org
from orgsim.orgs.packages import ForWhom, Version
from orgsim.sites import Face
from orgsim.world import World

_ID_LENGTHS = (15, 18)
_SHORT_ID = 15
_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A package version as its install page shows it; `scopes` are what its apps ask for.

    `version` is None for the package that was never built here.
    """

    subscriber_version_id: str
    name: str
    publisher: str
    number: str
    namespace: str | None
    description: str | None
    scopes: frozenset[str]
    post_install_urls: tuple[str, ...]
    release_notes_url: str | None = None
    version: Version | None = None


def first_offer(world: World) -> Offer:
    """Return the version of Acme's package that the world has from the start."""
    acme = next(iter(world.apps.values()))
    return Offer(
        subscriber_version_id=world.first_package.subscriber_version_id,
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
    if len(written) not in _ID_LENGTHS or not written.startswith("04t"):
        return None
    first = first_offer(world)
    if first.subscriber_version_id[:_SHORT_ID] == written[:_SHORT_ID]:
        return first
    version = world.packages.version(written)
    return None if version is None else _built_offer(world, version)


def _built_offer(world: World, version: Version) -> Offer:
    package = world.packages.package_of(version)
    asked = [scopes for _, scopes in installing.apps_of(world, version)]
    return Offer(
        subscriber_version_id=version.subscriber_version_id,
        name=package.name,
        publisher=world.hub.name,
        number=version.number,
        namespace=package.namespace,
        description=version.description or package.description,
        scopes=frozenset().union(*asked),
        post_install_urls=() if version.post_install_url is None else (version.post_install_url,),
        release_notes_url=version.release_notes_url,
        version=version,
    )


def has_package(world: World, org: Org, offer: Offer) -> bool:
    """Tell whether the org has the package, in whatever version."""
    if offer.version is not None:
        return installing.installed_version(world, org, offer.version) is not None
    acme = next(iter(world.apps))
    return world.installation(org.org_id, acme).installed


def has_this(world: World, org: Org, offer: Offer) -> bool:
    """Tell whether the org has the package in this very version."""
    if offer.version is None:
        return has_package(world, org, offer)
    there = installing.installed_version(world, org, offer.version)
    return there is not None and there.subscriber_version_id == offer.subscriber_version_id


def standing(world: World, org: Org, offer: Offer) -> str:
    """Tell whether the org can take it: `NO_ERRORS_DETECTED`, or why not."""
    if offer.version is not None:
        return installing.validation_status(world, org, offer.version)
    built = world.packages.installed_in(org.org_id)
    packages = (world.packages.packages.get(there.package_id) for there in built)
    if any(known is not None and known.namespace == offer.namespace for known in packages):
        return "NAMESPACE_COLLISION"
    return installing.FINE


def take(world: World, org: Org, offer: Offer, *, for_whom: ForWhom) -> None:
    """Install it: its app is known in the org from now on, under the policies that it had."""
    if offer.version is not None:
        installing.install(world, org, offer.version, for_whom=for_whom)
        return
    acme = next(iter(world.apps))
    world.put_installation(replace(world.installation(org.org_id, acme), installed=True))


def installed_offers(world: World, org: Org) -> list[Offer]:
    """Return the package versions that an org has."""
    first = first_offer(world)
    found = [first] if has_package(world, org, first) else []
    there = (
        world.packages.version(kept.subscriber_version_id)
        for kept in world.packages.installed_in(org.org_id)
    )
    return found + [_built_offer(world, version) for version in there if version is not None]


def give_back(world: World, org: Org, offer: Offer) -> None:
    """Uninstall it; what its app was granted is gone."""
    if offer.version is not None:
        installing.uninstall(world, org, offer.version)
        return
    acme = next(iter(world.apps))
    world.put_installation(replace(world.installation(org.org_id, acme), installed=False))
    world.end_app_in_org(org.org_id, acme, with_grants=True)


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
