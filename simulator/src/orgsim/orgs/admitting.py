"""Whom an org's admin lets use an app, by profile and permission set.

Spec: Salesforce Help, "Manage OAuth Access Policies for a Connected App" and "Manage External
Client App Policies"; Salesforce Help, "Assign Permission Sets to a Single User".
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from orgsim.metadata.components import Component
from orgsim.metadata.xml_text import document, tree
from orgsim.orgs.org import Org
from orgsim.orgs.policies import Installation
from orgsim.world import World

PROFILES = {
    "admin": "System Administrator",
    "standard": "Standard User",
    "integration": "Minimum Access - API Only Integrations",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A profile or a permission set, through which people may be let in; `key` names it."""

    kind: str
    name: str

    @property
    def key(self) -> str:
        """The gate as it is kept: `Profile:Standard User`."""
        return f"{self.kind}:{self.name}"


def gates_of(world: World, org: Org) -> list[Gate]:
    """Return the permission sets and profiles of an org."""
    sets = [Gate(kind="PermissionSet", name=c.full_name) for c in permission_sets(world, org)]
    return sets + [Gate(kind="Profile", name=name) for name in PROFILES.values()]


def permission_sets(world: World, org: Org) -> list[Component]:
    """Return the permission sets of an org: deployed ones, packaged ones, and those made here."""
    return world.components.of(org.org_id, "PermissionSet")


def make_permission_set(world: World, org: Org, *, label: str, name: str, by: str) -> Component:
    """Make a permission set that grants nothing yet."""
    now = world.clock.now()
    return world.components.put(
        Component(
            org_id=org.org_id,
            kind="PermissionSet",
            full_name=name,
            component_id=world.new_id(org.org_id, "0PS"),
            text=document(tree("PermissionSet", ("label", label))),
            created_at=now,
            created_by=by,
            modified_at=now,
            modified_by=by,
        )
    )


def assigned(world: World, org: Org, name: str) -> frozenset[str]:
    """Return the IDs of those to whom a permission set is assigned."""
    return world.assigned(org.org_id, name)


def assign(world: World, org: Org, name: str, users: Iterable[str]) -> None:
    """Assign a permission set to these people and nobody else; what it opens follows."""
    world.assign(org.org_id, name, frozenset(users))
    for policy in world.installations:
        if policy.org_id == org.org_id and policy.through:
            put_policy(world, org, policy)


def put_policy(world: World, org: Org, policy: Installation) -> Installation:
    """Keep an admin's policies, with the people who come in through the gates they opened."""
    inside = {
        user.user_id
        for user in org.users
        if f"Profile:{PROFILES[user.role]}" in policy.through
        or any(user.user_id in assigned(world, org, name) for name in _names(policy.through))
    }
    kept = replace(policy, let_through=frozenset(inside))
    world.put_installation(kept)
    return kept


def _names(through: Iterable[str]) -> list[str]:
    parts = (key.partition(":") for key in through)
    return [name for kind, _, name in parts if kind == "PermissionSet"]


def block(world: World, policy: Installation, *, blocked: bool) -> None:
    """Block an app in an org, which ends its sessions, or let it in again.

    Spec: Salesforce Help, "Manage OAuth-Enabled Connected Apps Access".
    """
    world.put_installation(replace(policy, blocked=blocked))
    if blocked:
        world.end_app_in_org(policy.org_id, policy.consumer_key, with_grants=False)
