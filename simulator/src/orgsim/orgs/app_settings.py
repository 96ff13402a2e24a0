"""An org's settings for External Client Apps.

Spec: Metadata API Developer Guide, "ExternalClientAppSettings".
"""

from orgsim.metadata.components import Component
from orgsim.metadata.kinds import SETTINGS
from orgsim.metadata.xml_text import document, tree
from orgsim.orgs.org import Org
from orgsim.world import World

NAME = "ExternalClientApp"
SECRETS_BY_REST = "enableClientSecretInRestApiAccess"


def gives_secrets_by_rest(world: World, org: Org) -> bool:
    """Tell whether consumer secrets may be read by the REST API."""
    kept = world.components.get(org.org_id, SETTINGS, NAME)
    return kept is not None and kept.node().flag(SECRETS_BY_REST)


def give_secrets_by_rest(world: World, org: Org, *, allowed: bool, by: str) -> None:
    """Allow or forbid it; what else the settings say stays."""
    kept = world.components.get(org.org_id, SETTINGS, NAME)
    node = tree(f"{NAME}Settings") if kept is None else kept.node().without(SECRETS_BY_REST)
    text = document(node.with_values([(SECRETS_BY_REST, "true" if allowed else "false")]))
    now = world.clock.now()
    world.components.put(
        Component(
            org_id=org.org_id,
            kind=SETTINGS,
            full_name=NAME,
            component_id=world.new_id(org.org_id, "0qA") if kept is None else kept.component_id,
            text=text,
            created_at=now if kept is None else kept.created_at,
            created_by=by if kept is None else kept.created_by,
            modified_at=now,
            modified_by=by,
        )
    )
