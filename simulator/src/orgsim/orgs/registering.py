"""Makes the registrations of new apps, and finds them by what refers to them."""

from orgsim.orgs.apps import App
from orgsim.orgs.org import Org, same_org
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


def owner_of(world: World, reference: str) -> Registration | None:
    """Find the registration that `<org id>:<consumer id>` or `<org id>:<app>` refers to."""
    org_id, _, part = reference.partition(":")
    return next(
        (
            made
            for made in world.registrations
            if same_org(org_id, made.home_org) and part in (made.consumer_id[:15], made.app.name)
        ),
        None,
    )
