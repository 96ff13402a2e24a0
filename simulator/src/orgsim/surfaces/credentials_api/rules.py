"""Who may read consumer credentials, and what a staged rotation does.

Spec: Connect REST API Developer Guide, "OAuth Credentials" and "Staged Credentials"; Salesforce
Help, "Stage OAuth Credentials for an External Client App". That grants follow the app to its new
consumer key is not written anywhere; here they do not, as for connected apps.
"""

from dataclasses import replace
from datetime import timedelta

from orgsim.orgs.app_settings import gives_secrets_by_rest
from orgsim.orgs.apps import App
from orgsim.orgs.org import Org, User
from orgsim.orgs.registrations import Registration, Staged
from orgsim.surfaces.credentials_api import errors
from orgsim.surfaces.rest_api.errors import not_found
from orgsim.world import World

_STAGED_LIFE = timedelta(days=30)


def check_access(world: World, org: Org, user: User) -> None:
    """Check the org's setting and the user's permission.

    Spec: Metadata API Developer Guide, "ExternalClientAppSettings"
    (`enableClientSecretInRestApiAccess`).
    """
    if not gives_secrets_by_rest(world, org):
        raise errors.switched_off()
    if user.role != "admin":
        raise errors.no_access()


def find(world: World, org: Org, app_id: str, consumer_id: str | None = None) -> Registration:
    """Find an app of this org by its ID, and by that of its consumer."""
    for made in world.registrations:
        named = consumer_id is None or made.consumer_id[:15] == consumer_id[:15]
        if named and made.home_org == org.org_id and made.app_id[:15] == app_id[:15]:
            return made
    raise not_found()


def staged_of(world: World, made: Registration) -> tuple[Staged, str] | None:
    """Return the staged pair and its state by the clock."""
    staged = made.staged
    if staged is None:
        return None
    return staged, "Expired" if world.clock.now() >= staged.expires_at else staged.state


def staged_app(world: World, staged: Staged) -> App:
    """Return an app that holds the staged key and secret."""
    seeded = world.seeded
    return App(
        name="",
        namespace=None,
        consumer_key=seeded.consumer_key(staged.label),
        consumer_secret=seeded.consumer_secret(staged.label),
        callback_urls=(),
        scopes=frozenset(),
    )


def stage(world: World, made: Registration, user: User) -> Registration:
    """Make a second pair that is valid beside the one in force, for 30 days."""
    known = staged_of(world, made)
    if known is not None and known[1] != "Expired":
        raise errors.already_staged()
    now, serial = world.clock.now(), made.rotations + 1
    staged = Staged(
        staged_id=world.new_id(made.home_org, "9v7"),
        label=f"{made.home_and_name}:staged {serial}:{made.created_at}",
        state="Active",
        created_by=user.user_id,
        created_at=now,
        expires_at=now + _STAGED_LIFE,
    )
    changed = replace(made, rotations=serial, staged=staged)
    world.register(changed)
    return changed


def rotate(world: World, made: Registration, staged_id: str) -> Registration:
    """Swap: the staged pair is in force, the earlier one stays valid in its place."""
    staged = _staged(made, staged_id)
    changed = replace(
        made,
        key_label=staged.label,
        secret_label=staged.label,
        staged=replace(
            staged,
            label=made.key_label,
            state="Rotated",
            expires_at=world.clock.now() + _STAGED_LIFE,
        ),
    )
    earlier = made.live(world.seeded).consumer_key
    app = world.register(changed)
    world.move_installations(earlier, app.consumer_key)
    return changed


def drop(world: World, made: Registration, staged_id: str) -> None:
    """End the staged pair at once."""
    _staged(made, staged_id)
    world.register(replace(made, staged=None))


def _staged(made: Registration, staged_id: str) -> Staged:
    staged = made.staged
    if staged is None or staged.staged_id[:15] != staged_id[:15]:
        raise not_found()
    return staged
