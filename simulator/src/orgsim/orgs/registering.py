"""Makes the registrations of new apps: their ids and the labels of their credentials."""

from orgsim.orgs.apps import App
from orgsim.orgs.org import Org
from orgsim.orgs.registrations import Registration
from orgsim.world import World


def new_registration(world: World, org: Org, app: App) -> Registration:
    """Return a registration that no earlier one of the same name shares anything with."""
    serial = world.next_serial("registration")
    label = f"{org.org_id}:{app.name}:{serial}"
    return Registration(
        app=app,
        home_org=org.org_id,
        app_id=world.seeded.record_id("0xI", label),
        consumer_id=world.seeded.record_id("888", label),
        key_label=label,
        secret_label=label,
        created_at=world.clock.now(),
    )
