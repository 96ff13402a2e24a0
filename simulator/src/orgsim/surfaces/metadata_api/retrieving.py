"""Gives components back as files, with what only the org knows put in.

Spec: Metadata API Developer Guide, "retrieve()", "listMetadata()", "describeMetadata()";
Salesforce Help, "Configure Packageable External Client Apps" (the two references).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from orgsim.metadata import kinds
from orgsim.metadata.archive import Manifest, path_of, written_manifest, zipped
from orgsim.metadata.components import Component
from orgsim.metadata.kinds import BY_NAME, KINDS
from orgsim.metadata.xml_text import Node, document
from orgsim.orgs.org import Org
from orgsim.orgs.policies import Installation
from orgsim.surfaces.metadata_api import apps
from orgsim.world import World

_ROOT = "unpackaged"
_FLAGS_OFF = (
    "isClientCredentialsFlowEnabled",
    "isCodeCredFlowEnabled",
    "isCodeCredPostOnly",
    "isConsumerSecretOptional",
    "isDeviceFlowEnabled",
    "isIntrospectAllTokens",
    "isNamedUserJwtEnabled",
    "isSecretRequiredForTokenExchange",
    "isTokenExchangeEnabled",
)
_FLAGS_ON = ("isPkceRequired", "isRefreshTokenRotationEnabled", "isSecretRequiredForRefreshToken")
_NEWER_FLAGS = ("isDPopEnabled", "isEnforceRefreshTokenTTL")
_NEWER_SINCE = 67
_REFRESH = {
    "infinite": "Infinite",
    "zero": "Zero",
    "specific_lifetime": "SpecificLifetime",
    "specific_inactivity": "SpecificInactivity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """A retrieve that is done: its zip, the components in it, and what was not found."""

    job_id: str
    zip_file: bytes
    components: tuple[tuple[Component, str], ...]
    missing: tuple[str, ...]


def retrieve(world: World, org: Org, manifest: Manifest) -> Retrieved:
    """Gather what a manifest names."""
    found: list[tuple[Component, str]] = []
    missing: list[str] = []
    for kind, names in manifest.members.items():
        held = world.components.of(org.org_id, kind)
        wanted = held if "*" in names else [c for c in held if c.full_name in names]
        found += [(c, path_of(c.kind, c.full_name)) for c in wanted]
        there = {c.full_name for c in held}
        missing += [
            f"Entity of type '{kind}' named '{name}' cannot be found"
            for name in names
            if name != "*" and name not in there
        ]
    files: dict[str, bytes] = {}
    for component, path in found:
        files[f"{_ROOT}/{path}"] = text_of(world, org, component, version=manifest.version).encode()
        if component.about is not None:
            files[f"{_ROOT}/{path}-meta.xml"] = component.about.encode()
    members: dict[str, list[str]] = {}
    for component, _ in found:
        members.setdefault(component.kind, []).append(component.full_name)
    files[f"{_ROOT}/package.xml"] = written_manifest(members, version=f"{manifest.version:.1f}")
    return Retrieved(
        job_id=world.new_id(org.org_id, "09S"),
        zip_file=zipped(files),
        components=tuple(found),
        missing=tuple(missing),
    )


def text_of(world: World, org: Org, component: Component, *, version: float) -> str:
    """Return a component's file as the org writes it now."""
    if component.kind not in kinds.APP_KINDS:
        return component.text
    node, kind = component.node(), component.kind
    made = world.registrations.get(
        f"{org.org_id}:{node.value('externalClientApplication') or component.full_name}"
    )
    if kind == kinds.HEADER and not node.value("orgScopedExternalApp"):
        scoped = f"{org.org_id[:15]}:{component.full_name}"
        return document(node.with_values([("orgScopedExternalApp", scoped)]))
    if kind == kinds.OAUTH and made is not None:
        return document(node.with_values([("oauthLink", made.oauth_link)]))
    if kind == kinds.GLOBAL and made is not None:
        key = made.live(world.seeded).consumer_key
        return document(_complete(node, version).with_values([("consumerKey", key)]))
    if kind == kinds.OAUTH_POLICIES:
        return document(_policies(world, org, node))
    return document(node)


def _complete(node: Node, version: float) -> Node:
    """Return global settings with every default written out, of the version that was asked."""
    values = [(name, "false") for name in _FLAGS_OFF] + [(name, "true") for name in _FLAGS_ON]
    if version >= _NEWER_SINCE:
        values += [(name, "false") for name in _NEWER_FLAGS]
    else:
        node = node.without(*_NEWER_FLAGS)
    return node.with_values([(name, text) for name, text in values if node.find(name) is None])


def _policies(world: World, org: Org, node: Node) -> Node:
    """Return the policies that an admin has now, wherever they were changed."""
    key = apps.consumer_key_of(world, org, node.value("externalClientApplication"))
    if key is None:
        return node
    policy: Installation = world.installation(org.org_id, key)
    approved = policy.permitted_users == "pre_authorized"
    permitted = "AdminApprovedPreAuthorized" if approved else "AllSelfAuthorized"
    values = [
        ("permittedUsersPolicyType", permitted),
        ("refreshTokenPolicyType", _REFRESH[policy.refresh_policy]),
    ]
    if policy.refresh_policy.startswith("specific"):
        values += [
            ("refreshTokenValidityPeriod", str(policy.refresh_days)),
            ("refreshTokenValidityUnit", "Days"),
        ]
    for kind in ("PermissionSet", "Profile"):
        names = sorted(name for key in policy.through for name in _of_kind(key, kind))
        if names:
            values.append((f"commaSeparated{kind}", ",".join(names)))
    return node.with_values(values)


def _of_kind(key: str, kind: str) -> list[str]:
    found, _, name = key.partition(":")
    return [name] if found == kind else []


def listed(world: World, org: Org, kind: str) -> Iterable[tuple[Component, str]]:
    """Give the components of a kind, with their files."""
    for component in world.components.of(org.org_id, kind):
        yield component, path_of(component.kind, component.full_name)


def described() -> list[dict[str, object]]:
    """Return every kind as `describeMetadata` tells of it."""
    return [
        {
            "childXmlNames": list(kind.children),
            "directoryName": kind.folder,
            "inFolder": False,
            "metaFile": kind.content,
            "suffix": kind.suffix,
            "xmlName": kind.name,
        }
        for kind in KINDS
        if kind.name in BY_NAME
    ]
