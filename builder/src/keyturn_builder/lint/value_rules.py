"""Rules about the values in an app's files and in packaged permission sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from keyturn_builder.errors import Finding, Severity
from keyturn_builder.lint.package_rules import HEADER, OAUTH
from keyturn_builder.lint.rule import Document, broken
from keyturn_builder.metadata.xml import Node
from keyturn_core.salesforce.scopes import METADATA_NAMES, RUNTIME_NAMES, Scope

_MOST: Final = 128
# Names that Salesforce's types of October 2026 have, and the core has no runtime name for.
_NEW_SCOPES: Final = frozenset({"A2A", "CmdbDiscovery", "SemanticLayer"})


def value_rules(one: Document, *, full_allowed: bool) -> Iterator[Finding]:
    """Judge one document by what it says."""
    match one.root.name:
        case name if name == HEADER:
            yield from _header(one)
        case name if name == OAUTH:
            yield from _scopes(one, full_allowed=full_allowed)
            yield from _oauth(one)
        case "PermissionSet":
            yield from _dropped(one)
        case _:
            return


def _header(one: Document) -> Iterator[Finding]:
    state = one.root.said("distributionState")
    if state != "Packaged":
        node = next(iter(one.root.all("distributionState")), one.root)
        message = f"distributionState is {state or 'missing'}"
        yield broken("distribution-state", one.file, message, node=node)
    if not one.root.said("contactEmail"):
        yield broken("contact-email", one.file, "contactEmail is missing", node=one.root)
    for node in one.root.all("isProtected"):
        if node.text.strip() == "true":
            yield broken("protected", one.file, "the app is protected", node=node)
    yield from _addresses(one, "logoUrl", "iconUrl")


def _oauth(one: Document) -> Iterator[Finding]:
    yield from _addresses(one, "singleLogoutUrl")
    for name in ("trustedIpRanges", "customAttributes"):
        found = one.root.all(name)
        if len(found) > _MOST:
            message = f"{len(found)} {name} are more than {_MOST}"
            yield broken("list-length", one.file, message, node=found[_MOST])


def _addresses(one: Document, *names: str) -> Iterator[Finding]:
    for name in names:
        for node in one.root.all(name):
            if not node.text.strip().startswith("https://"):
                yield broken("https", one.file, f"{name} is no https address", node=node)


def _scopes(one: Document, *, full_allowed: bool) -> Iterator[Finding]:
    node = next(iter(one.root.all("commaSeparatedOauthScopes")), one.root)
    said = {name.strip() for name in (one.root.said("commaSeparatedOauthScopes") or "").split(",")}
    said.discard("")
    for name in sorted(said - set(RUNTIME_NAMES) - _NEW_SCOPES):
        meant = METADATA_NAMES.get(Scope(name.lower()))
        hint = f"; {meant} is meant" if meant else ""
        yield broken("scope-name", one.file, f"there is no scope {name}{hint}", node=node)
    if "Full" in said:
        severity = Severity.WARNING if full_allowed else Severity.ERROR
        message = "the scope Full opens everything the user may do"
        yield broken("scope-full", one.file, message, node=node, severity=severity)
    if not said & {"RefreshToken", "OfflineAccess"}:
        yield broken("scope-refresh", one.file, "there is no scope RefreshToken", node=node)


def _dropped(one: Document) -> Iterator[Finding]:
    """Find permissions that an install leaves out without a word."""
    for node in one.root.all("userPermissions"):
        yield _drop(one.file, node, f"the user permission {node.said('name')}")
    named: Mapping[str, str] = {"objectPermissions": "object", "fieldPermissions": "field"}
    for element, member in named.items():
        for node in one.root.all(element):
            target = node.said(member) or ""
            if not _is_custom(target.rpartition(".")[2]):
                yield _drop(one.file, node, f"the permission on {target}")


def _is_custom(name: str) -> bool:
    """Tell whether a name has a custom suffix, such as `Usage__c`."""
    return name.rpartition("__")[2] in {"c", "e", "mdt", "b", "x"} and "__" in name


def _drop(file: str, node: Node, what: str) -> Finding:
    return broken("dropped-permission", file, f"an install leaves out {what}", node=node)
