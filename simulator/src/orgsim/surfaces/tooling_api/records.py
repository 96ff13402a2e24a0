"""What may be created and changed of packaging objects.

Spec: Tooling API Reference; npm `@salesforce/packaging` for what its commands send.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orgsim.orgs import installing
from orgsim.orgs.org import Org, User
from orgsim.orgs.packages import ForWhom, InstallRequest, Package, Version, VersionRequest
from orgsim.orgs.subscribers import package_row, version_row
from orgsim.surfaces.rest_api.errors import not_found
from orgsim.surfaces.tooling_api import errors
from orgsim.surfaces.tooling_api.building import NotBuilt, build, key_hash, read_upload
from orgsim.world import World

_FOR_WHOM: Mapping[str, ForWhom] = {"none": "admins", "full": "all", "custom": "profiles"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls which org."""

    world: World
    org: Org
    user: User


def _needed(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise errors.required(name)
    return value


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value if isinstance(value, str) and value else None


def create_package(caller: Caller, values: Mapping[str, Any]) -> str:
    """Make a package; its namespace must stand in the Dev Hub's registry."""
    world, name = caller.world, _needed(values, "Name")
    namespace = _text(values, "NamespacePrefix")
    if namespace is not None and namespace.lower() not in world.namespaces:
        raise errors.no_namespace(namespace)
    if any(known.name.lower() == name.lower() for known in world.packages.packages):
        raise errors.name_taken(name)
    managed = values.get("ContainerOptions") == "Managed"
    package = Package(
        package_id=world.new_id(caller.org.org_id, "0Ho"),
        subscriber_package_id=world.new_id(caller.org.org_id, "033"),
        name=name,
        description=_text(values, "Description"),
        namespace=namespace,
        container="Managed" if managed else "Unlocked",
        org_dependent=values.get("IsOrgDependent") is True,
        error_username=_text(values, "PackageErrorUsername"),
        created_at=world.clock.now(),
        created_by=caller.user.user_id,
    )
    world.packages.packages.put(package)
    world.data(world.hub.org_id).put_told("MetadataPackage", package_row(package))
    return package.package_id


def request_version(caller: Caller, values: Mapping[str, Any], data: bytes) -> str:
    """Ask for a version; the content is judged, and the request tells by and by how it went."""
    world, wanted = caller.world, _needed(values, "Package2Id")
    package = world.packages.package(wanted)
    if package is None:
        raise errors.invalid_id(wanted)
    version: Version | None = None
    reasons: tuple[str, ...] = ()
    try:
        upload = read_upload(data)
        version = build(world, package, upload, values, by=caller.user.user_id)
    except NotBuilt as refused:
        reasons = refused.reasons
    else:
        _keep_version(world, version)
    request = VersionRequest(
        request_id=world.new_id(caller.org.org_id, "08c"),
        package_id=package.package_id,
        version_id=None if version is None else version.version_id,
        errors=reasons,
        tag=_text(values, "Tag"),
        branch=_text(values, "Branch"),
        created_at=world.clock.now(),
        created_by=caller.user.user_id,
    )
    return world.packages.requests.put(request).request_id


def change_version(caller: Caller, record_id: str, values: Mapping[str, Any]) -> None:
    """Promote a version, deprecate it, or change what is said of it."""
    books = caller.world.packages
    version = books.version(record_id)
    if version is None:
        raise not_found()
    if values.get("IsReleased") is True and not version.released:
        _check_promotable(caller.world, version)
        version = replace(version, released=True)
    if values.get("IsDeprecated") is True:
        version = replace(version, deprecated=True)
    if "InstallKey" in values:
        version = replace(version, key_hash=key_hash(_text(values, "InstallKey")))
    version = replace(
        version,
        name=_text(values, "Name") or version.name,
        description=_text(values, "Description") or version.description,
        tag=_text(values, "Tag") or version.tag,
        branch=_text(values, "Branch") or version.branch,
    )
    _keep_version(caller.world, version)


def _keep_version(world: World, version: Version) -> None:
    world.packages.versions.put(version)
    row = version_row(version, world.packages.package_of(version))
    world.data(world.hub.org_id).put_told("MetadataPackageVersion", row)


def _check_promotable(world: World, version: Version) -> None:
    """Spec: Second-Generation Managed Packaging Developer Guide, "Code Coverage" and "Promote"."""
    if version.skipped_validation:
        raise errors.not_promotable(errors.SKIPPED)
    if not version.passed_coverage and world.switches.promotion_needs_coverage:
        percent = version.coverage_percent
        raise errors.not_promotable(
            errors.NO_COVERAGE if percent is None else errors.low_coverage(percent)
        )
    for other in world.packages.versions_of(version.package_id):
        if other.released and other.numbers[:3] == version.numbers[:3]:
            number = ".".join(map(str, version.numbers[:3]))
            raise errors.not_promotable(errors.released_before(number))


def change_package(caller: Caller, record_id: str, values: Mapping[str, Any]) -> None:
    """Change what is said of a package."""
    books = caller.world.packages
    package = books.package(record_id)
    if package is None:
        raise not_found()
    books.packages.put(
        replace(
            package,
            name=_text(values, "Name") or package.name,
            description=_text(values, "Description") or package.description,
            deprecated=values.get("IsDeprecated") is True or package.deprecated,
        )
    )


def request_install(caller: Caller, values: Mapping[str, Any]) -> str:
    """Install a version; what forbids it is told by the request."""
    world = caller.world
    wanted = _needed(values, "SubscriberPackageVersionKey")
    version = world.packages.version(wanted)
    if version is None:
        raise errors.invalid_id(wanted)
    for_whom = _FOR_WHOM.get(str(values.get("SecurityType", "")).lower(), "admins")
    reasons = _install(caller, version, for_whom, _text(values, "Password"))
    return _keep_request(caller, "0Hf", version.subscriber_version_id, reasons)


def _install(
    caller: Caller, version: Version, for_whom: ForWhom, key: str | None
) -> tuple[str, ...]:
    if version.key_hash is not None and key_hash(key) != version.key_hash:
        return (errors.KEY_INVALID if key else errors.KEY_REQUIRED,)
    status = installing.validation_status(caller.world, caller.org, version)
    if status != installing.FINE:
        return (errors.VALIDATION.get(status, status),)
    installing.install(caller.world, caller.org, version, for_whom=for_whom)
    return ()


def request_uninstall(caller: Caller, values: Mapping[str, Any]) -> str:
    """Uninstall a version."""
    wanted = _needed(values, "SubscriberPackageVersionId")
    version = caller.world.packages.version(wanted)
    if version is None:
        raise errors.invalid_id(wanted)
    installed = installing.installed_version(caller.world, caller.org, version)
    reasons: tuple[str, ...] = ()
    if installed is None or installed.subscriber_version_id != version.subscriber_version_id:
        reasons = (errors.NOT_INSTALLED,)
    else:
        installing.uninstall(caller.world, caller.org, version)
    return _keep_request(caller, "06y", version.subscriber_version_id, reasons)


def _keep_request(
    caller: Caller, prefix: str, subscriber_version_id: str, reasons: tuple[str, ...]
) -> str:
    request = InstallRequest(
        request_id=caller.world.new_id(caller.org.org_id, prefix),
        org_id=caller.org.org_id,
        subscriber_version_id=subscriber_version_id,
        kind="install" if prefix == "0Hf" else "uninstall",
        errors=reasons,
        created_at=caller.world.clock.now(),
        created_by=caller.user.user_id,
    )
    return caller.world.packages.installs.put(request).request_id
