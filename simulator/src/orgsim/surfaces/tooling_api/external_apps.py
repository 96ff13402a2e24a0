"""An org's External Client Apps with their settings and policies, as rows; none can be written.

What files do not say here has Salesforce's default. Whether an app is blocked in OAuth usage is no
part of these rows.

Spec: npm `@salesforce/types`, `tooling.d.ts` (names of objects and columns); Metadata API Developer
Guide, the pages of the types (values and defaults).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orgsim.data.rows import Row
from orgsim.data.wire import stored_moment
from orgsim.metadata import kinds
from orgsim.metadata.components import Component
from orgsim.metadata.scopes import COLUMNS, RUNTIME, split_names
from orgsim.metadata.xml_text import Node
from orgsim.orgs.org import Org
from orgsim.orgs.policies import Installation
from orgsim.orgs.registering import owner_of
from orgsim.world import World

_FIRST_INSTALLS = datetime(2026, 1, 1, tzinfo=UTC)  # of the package that was never built here
_PERMITTED = {"all": "AllSelfAuthorized", "pre_authorized": "AdminApprovedPreAuthorized"}
_REFRESH = {
    "infinite": "Infinite",
    "zero": "Zero",
    "specific_lifetime": "SpecificLifetime",
    "specific_inactivity": "SpecificInactivity",
}
_DEFAULT_POLICIES = {"ipRelaxationPolicyType": "Enforce", "requiredSessionLevel": "STANDARD"}
_EMPTY = Node("")
_METADATA_NAME = {runtime: name for name, runtime in reversed(RUNTIME.items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """One app of an org: its files, and its consumer key if it is registered anywhere."""

    app_id: str
    name: str
    namespace: str | None
    header: Node
    scopes: frozenset[str]  # metadata's names
    settings: Node
    oauth_policies: Node
    policies: Node
    policy: Installation
    made_at: datetime
    packaged: bool
    new_id: Callable[[str], str]

    def row(self, what: str, name: str) -> Row:
        """Return what every row of the app has."""
        moment = stored_moment(self.made_at)
        return {
            "Id": self.app_id if what == kinds.HEADER else self.new_id(what),
            "DeveloperName": name,
            "MasterLabel": name,
            "NamespacePrefix": self.namespace,
            "ManageableState": "installed" if self.packaged else "unmanaged",
            "Language": "en_US",
            "ExternalClientApplicationId": self.app_id,
            "IsDeleted": False,
            "CreatedDate": moment,
            "LastModifiedDate": moment,
            "SystemModstamp": moment,
        }


def applications(world: World, org: Org) -> Iterator[Row]:
    """Give a row for each app's header."""
    for held in _apps(world, org):
        yield {
            **held.row(kinds.HEADER, held.name),
            "MasterLabel": held.header.value("label") or held.name,
            "Description": held.header.value("description") or None,
            "DistributionState": held.header.value("distributionState") or "Local",
            "OrgScopedExternalApp": held.header.value("orgScopedExternalApp")
            or f"{org.org_id[:15]}:{held.name}",
            "ContactEmail": held.header.value("contactEmail"),
        }


def oauth_settings(world: World, org: Org) -> Iterator[Row]:
    """Give a row for each app's OAuth settings, with a column for each scope."""
    for held in _apps(world, org):
        yield {
            **held.row(kinds.OAUTH, f"{held.name}_oauth"),
            "SingleLogoutUrl": held.settings.value("singleLogoutUrl") or None,
            **{f"OauthScopes{column}": name in held.scopes for name, column in COLUMNS.items()},
        }


def oauth_policies(world: World, org: Org) -> Iterator[Row]:
    """Give a row for each app's OAuth policies as its admin has them now."""
    for held in _apps(world, org):
        policy, node = held.policy, held.oauth_policies
        lasts = policy.refresh_policy.startswith("specific")
        minutes = policy.session_minutes
        yield {
            **held.row(kinds.OAUTH_POLICIES, f"{held.name}_defaultPolicy"),
            "ExtlClntAppOauthSettingsId": held.new_id(kinds.OAUTH),
            "PermittedUsersPolicyType": _PERMITTED[policy.permitted_users],
            "IpRelaxationPolicyType": _said(node, "ipRelaxationPolicyType"),
            "RefreshTokenPolicyType": _REFRESH[policy.refresh_policy],
            "RefreshTokenValidityPeriod": policy.refresh_days if lasts else None,
            "RefreshTokenValidityUnit": "Days" if lasts else None,
            "RequiredSessionLevel": _said(node, "requiredSessionLevel"),
            "SessionTimeoutInMinutes": None if minutes == _DEFAULT.session_minutes else minutes,
            "IsClientCredentialsFlowEnabled": node.flag("isClientCredentialsFlowEnabled"),
            "IsTokenExchangeFlowEnabled": node.flag("isTokenExchangeFlowEnabled"),
            "IsGuestCodeCredFlowEnabled": node.flag("isGuestCodeCredFlowEnabled"),
            "StartUrl": node.value("startUrl") or None,
        }


def plugin_policies(world: World, org: Org) -> Iterator[Row]:
    """Give a row for each app's plug-in policies."""
    for held in _apps(world, org):
        on = held.policies.flag("isOauthPluginEnabled", default=True)
        yield {
            **held.row(kinds.POLICIES, f"{held.name}_defaultPolicy"),
            "IsEnabled": held.policies.flag("isEnabled", default=True),
            "OauthPluginStatus": "Enabled" if on else "Disabled",
            "StartPage": held.policies.value("startPage") or "None",
            "StartUrl": held.policies.value("startUrl") or None,
        }


def accesses(world: World, org: Org) -> Iterator[Row]:
    """Give a row for each permission set through which an app lets people in."""
    sets = {one.full_name: one for one in world.components.of(org.org_id, "PermissionSet")}
    for held in _apps(world, org):
        for gate in sorted(held.policy.through):
            kind, _, name = gate.partition(":")
            if kind == "PermissionSet" and name in sets:
                row = held.row(gate, name)
                yield {
                    **{column: row[column] for column in ("Id", "IsDeleted", "SystemModstamp")},
                    "ParentId": sets[name].component_id,
                    "SetupEntityId": held.app_id,
                    "SetupEntityType": kinds.HEADER,
                }


_DEFAULT = Installation(org_id="", consumer_key="")


def _said(node: Node, element: str) -> str:
    return node.value(element) or _DEFAULT_POLICIES[element]


def _apps(world: World, org: Org) -> Iterator[_Held]:
    """Give the apps whose files an org has, and the one that the world installed from the start."""
    keys = set()
    for component in world.components.of(org.org_id, kinds.HEADER):
        held = _of_files(world, org, component)
        keys.add(held.policy.consumer_key)
        yield held
    first = next(iter(world.apps.values()))
    policy = world.installation(org.org_id, first.consumer_key)
    if not policy.installed or first.consumer_key in keys:
        return
    yield _Held(
        app_id=world.seeded.record_id("0xI", first.name),
        name=first.name,
        namespace=first.namespace,
        header=_EMPTY.with_values([("distributionState", "Packaged")]),
        scopes=frozenset(_METADATA_NAME[scope] for scope in first.scopes),
        settings=_EMPTY,
        oauth_policies=_EMPTY,
        policies=_EMPTY,
        policy=policy,
        made_at=_FIRST_INSTALLS,
        packaged=True,
        new_id=lambda what: world.seeded.record_id("0qA", f"{org.slot}:{first.name}:{what}"),
    )


def _of_files(world: World, org: Org, component: Component) -> _Held:
    name, space = component.full_name, component.namespace
    bare = name.removeprefix(f"{space}__") if space else name

    def child(kind: str) -> Node:
        """Return the app's file of a kind; packaged ones name it without the namespace."""
        for one in world.components.of(org.org_id, kind):
            said = one.node()
            if said.value("externalClientApplication") in (name, bare) and one.namespace in (
                space,
                None,
            ):
                return said
        return _EMPTY

    settings = child(kinds.OAUTH)
    made = world.registrations.get(f"{org.org_id}:{name}")
    made = made or owner_of(world, settings.value("oauthLink"))
    key = "" if made is None else made.live(world.seeded).consumer_key
    policy = world.installation(org.org_id, key) if key else replace(_DEFAULT, org_id=org.org_id)
    return _Held(
        app_id=component.component_id,
        name=bare,
        namespace=space,
        header=component.node(),
        scopes=frozenset(split_names(settings.value("commaSeparatedOauthScopes"))),
        settings=settings,
        oauth_policies=child(kinds.OAUTH_POLICIES),
        policies=child(kinds.POLICIES),
        policy=policy,
        made_at=component.created_at,
        packaged=component.installed_by is not None,
        new_id=lambda what: world.seeded.record_id("0qA", f"{component.component_id}:{what}"),
    )
