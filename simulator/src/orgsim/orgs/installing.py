"""Installs a package version in an org, and takes it away again.

An install page, and the Tooling API, call `install` after `validation_status` has said that
nothing stands against it.

Spec: Second-Generation Managed Packaging Developer Guide, "Install and Uninstall", and its pages on
permission sets; Salesforce Help, "Configure Packageable External Client Apps".
"""

from collections.abc import Iterator
from dataclasses import replace

from orgsim.metadata import kinds
from orgsim.metadata.components import Component
from orgsim.metadata.kinds import BY_FOLDER
from orgsim.metadata.scopes import runtime_scopes
from orgsim.metadata.xml_text import Node, document, parse, tree
from orgsim.orgs.org import Org
from orgsim.orgs.packages import ForWhom, Installed, Version
from orgsim.orgs.registering import owner_of
from orgsim.world import World

FINE = "NO_ERRORS_DETECTED"
_DROPPED = ("userPermissions", "applicationVisibilities", "systemPermissions")
_STANDARD_TARGETS = {"objectPermissions": "object", "fieldPermissions": "field"}


def installed_version(world: World, org: Org, version: Version) -> Installed | None:
    """Return how a version's package stands in an org, whatever version of it."""
    return world.packages.installed.get(f"{org.org_id}:{version.package_id}")


def validation_status(world: World, org: Org, version: Version) -> str:
    """Tell whether a version may be installed in an org, and if not, why.

    Spec: npm `@salesforce/packaging` (`InstallValidationStatus`); a package that the world had
    from the start counts as another owner of its namespace.
    """
    if version.deprecated:
        return "DEPRECATED_INSTALL_PACKAGE"
    if not version.released and org.environment == "production" and not org.dev_hub:
        return "BETA_INSTALL_INTO_PRODUCTION_ORG"
    package = world.packages.packages.get(version.package_id)
    if package is not None and package.namespace in world.seeded_namespaces(org.org_id):
        return "NAMESPACE_COLLISION"
    present = installed_version(world, org, version)
    before = None if present is None else world.packages.version(present.subscriber_version_id)
    if before is not None and before != version:
        if not before.released:
            return "CANNOT_UPGRADE_BETA"
        if before.numbers > version.numbers:
            return "CANNOT_INSTALL_EARLIER_VERSION"
    return FINE


def install(world: World, org: Org, version: Version, *, for_whom: ForWhom) -> Installed:
    """Bring a version's components into an org, in place of those of an earlier one.

    An app it carries is known in the org from now on, under default policies, or under those that
    an admin gave it before.
    """
    package = world.packages.package_of(version)
    present = installed_version(world, org, version)
    if present is not None:
        _take_components(world, org, present.subscriber_version_id)
    for path, text in version.files.items():
        component = _component(world, org, version, path=path, text=text)
        if component is not None:
            world.components.put(component)
    _let_in(world, org, version)
    world.put_packaged(org.org_id)
    installed = world.packages.installed.put(
        Installed(
            installed_id=world.new_id(org.org_id, "0A3")
            if present is None
            else present.installed_id,
            org_id=org.org_id,
            package_id=package.package_id,
            subscriber_version_id=version.subscriber_version_id,
            for_whom=for_whom,
            at=world.clock.now(),
        )
    )
    _tell_hub(world, installed, gone=False)
    return installed


def uninstall(world: World, org: Org, version: Version) -> None:
    """Take a package's components away, its app with all that it was granted included."""
    present = installed_version(world, org, version)
    if present is None:
        return
    for consumer_key, _ in apps_of(world, version):
        policy = world.installation(org.org_id, consumer_key)
        world.put_installation(replace(policy, installed=False))
        world.end_app_in_org(org.org_id, consumer_key, with_grants=True)
    _take_components(world, org, present.subscriber_version_id)
    world.packages.installed.remove(f"{org.org_id}:{present.package_id}")
    world.put_packaged(org.org_id)
    _tell_hub(world, present, gone=True)


def _tell_hub(world: World, installed: Installed, *, gone: bool) -> None:
    package = world.packages.packages.get(installed.package_id)
    if package is not None:
        world.tell_hub(
            installed.org_id,
            package.subscriber_package_id,
            installed.subscriber_version_id,
            gone=gone,
        )


def _take_components(world: World, org: Org, subscriber_version_id: str) -> None:
    for component in world.components.of(org.org_id):
        if component.installed_by == subscriber_version_id:
            world.components.remove(component)


def apps_of(world: World, version: Version) -> Iterator[tuple[str, frozenset[str]]]:
    """Give consumer key and packaged scopes of each app that a version carries."""
    for path, text in version.files.items():
        if not path.startswith("extlClntAppOauthSettings/"):
            continue
        node = parse(text)
        owner = owner_of(world, node.value("oauthLink"))
        if owner is not None:
            scopes = runtime_scopes(node.value("commaSeparatedOauthScopes"))
            yield owner.live(world.seeded).consumer_key, scopes


def _let_in(world: World, org: Org, version: Version) -> None:
    for consumer_key, scopes in apps_of(world, version):
        policy = world.installation(org.org_id, consumer_key)
        world.put_installation(replace(policy, installed=True, scopes=scopes))


def _component(
    world: World, org: Org, version: Version, *, path: str, text: str
) -> Component | None:
    package = world.packages.package_of(version)
    folder, _, rest = path.partition("/")
    kind = BY_FOLDER[folder]
    if not rest.endswith(f".{kind.suffix}"):
        return None  # the file about one that has a language of its own
    name = rest[: -len(kind.suffix) - 1]
    if kind.name == "PermissionSet":
        text = document(without_what_is_not_packaged(parse(text)))
    now, admin = world.clock.now(), org.users[0].user_id
    return Component(
        org_id=org.org_id,
        kind=kind.name,
        full_name=_installed_name(name, package.namespace),
        component_id=world.new_id(org.org_id, _PREFIXES.get(kind.name, "0qA")),
        text=text,
        about=version.files.get(f"{path}-meta.xml"),
        namespace=package.namespace,
        installed_by=version.subscriber_version_id,
        key_prefix=_key_prefix(world, org, name) if kind.name == "CustomObject" else None,
        created_at=now,
        created_by=admin,
        modified_at=now,
        modified_by=admin,
    )


_PREFIXES = {kinds.HEADER: "0xI", "PermissionSet": "0PS", "Flow": "300", "CustomObject": "01I"}


def _installed_name(name: str, namespace: str | None) -> str:
    standard = namespace is None or ("__" not in name and name in _STANDARD_OBJECTS)
    return name if standard else f"{namespace}__{name}"


_STANDARD_OBJECTS = frozenset({"Account", "Contact", "Opportunity", "Task", "User"})


def _key_prefix(world: World, org: Org, name: str) -> str | None:
    """Return the key prefix that the org gives a new object: `a01` and on, `e01` and on."""
    if "__" not in name:
        return None
    letter = "e" if name.endswith("__e") else "a"
    return f"{letter}{world.next_serial(f'{org.org_id}:{letter}') + 0x10:02x}"


def without_what_is_not_packaged(node: Node) -> Node:
    """Return a permission set without standard objects, their fields, and user permissions.

    Spec: Second-Generation Managed Packaging Developer Guide, pages on permission sets and profile
    settings: a packaged permission set holds only what belongs to the package.
    """
    kept = [
        child
        for child in node.children
        if child.name not in _DROPPED
        and not (
            child.name in _STANDARD_TARGETS
            and _standard(child.value(_STANDARD_TARGETS[child.name]))
        )
    ]
    return tree(node.name, *kept)


def _standard(target: str) -> bool:
    """Tell whether an object, or a field as `Object.Field`, is Salesforce's own."""
    return "__" not in target.rpartition(".")[2]
