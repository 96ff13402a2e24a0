"""What a developer or an admin changes on their Setup pages, carried out on the world."""

from dataclasses import replace
from typing import Any

from cryptography import x509

from orgsim.control.problems import Conflict, NotThere
from orgsim.control.requests import (
    AppAsked,
    AppChange,
    FaultAsked,
    InstallationChange,
    OrgChange,
    SwitchesChange,
    UserChange,
)
from orgsim.faults import Fault
from orgsim.orgs.apps import App
from orgsim.orgs.org import Org
from orgsim.orgs.policies import Installation, Switches
from orgsim.orgs.registering import new_registration
from orgsim.surfaces.oauth.grant_types import GRANT_TYPES
from orgsim.world import World


def find_org(world: World, org_id: str) -> Org:
    """Find an org, or say that there is none."""
    org = world.org(org_id)
    if org is None:
        raise NotThere(f"there is no org {org_id}")
    return org


def set_fault(world: World, asked: FaultAsked) -> Fault:
    """Set a fault that something of this world can meet.

    Raises:
        Conflict: nothing can: a test with it would test nothing.
    """
    match, options = asked.match.value(), asked.options.value()
    if match.org_id is not None and world.org(match.org_id) is None:
        raise Conflict(f"there is no org {match.org_id}; GET /orgs lists them")
    if match.grant_type not in (None, *GRANT_TYPES):
        known = ", ".join(sorted(GRANT_TYPES))
        raise Conflict(f"there is no grant type {match.grant_type}; there are {known}")
    if options.program not in (None, *world.programs):
        known = ", ".join(sorted(world.programs))
        raise Conflict(
            f"no program {options.program} has read GET /clock?program= so far; known are {known}"
        )
    return world.faults.add(name=asked.name, match=match, options=options, times=asked.times)


def find_app(world: World, consumer_key: str) -> App:
    """Find an app by consumer key or name, or say that there is none."""
    app = world.app_named(consumer_key)
    if app is None:
        raise NotThere(f"there is no app {consumer_key}")
    return app


def make_app(world: World, asked: AppAsked) -> App:
    """Make an app in one org, as a developer does in Setup."""
    org = world.hub if asked.org_id is None else find_org(world, asked.org_id)
    if world.app_named(asked.name) is not None:
        raise Conflict(f"there is an app {asked.name} already")
    if asked.certificate_pem is not None:
        _check_certificate(asked.certificate_pem)
    app = App(
        name=asked.name,
        namespace=None,
        consumer_key="",
        consumer_secret="",
        callback_urls=tuple(asked.callback_urls),
        scopes=frozenset(asked.scopes),
        distribution="local",
        home_org=org.org_id,
        certificate_pem=asked.certificate_pem,
    )
    made = world.register(new_registration(world, org, app))
    if asked.pre_authorized is not None:
        world.put_installation(
            Installation(
                org_id=org.org_id,
                consumer_key=made.consumer_key,
                permitted_users="pre_authorized",
                pre_authorized=frozenset(asked.pre_authorized),
            )
        )
    return made


def change_app(world: World, consumer_key: str, asked: AppChange) -> App:
    """Change the developer's settings."""
    app = find_app(world, consumer_key)
    given: dict[str, Any] = asked.model_dump(exclude_none=True)
    if given.get("idle_ttl_days") == 0:
        given["idle_ttl_days"] = None
    if given.get("certificate_pem"):
        _check_certificate(given["certificate_pem"])
    elif "certificate_pem" in given:
        given["certificate_pem"] = None
    return world.change_app(app.consumer_key, given)


def _check_certificate(pem: str) -> None:
    try:
        x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise Conflict("this is no X.509 certificate in PEM") from error


def change_org(world: World, org_id: str, asked: OrgChange) -> Org:
    """Lock an org, let it go into maintenance, or bring it back."""
    org = find_org(world, org_id)
    world.change_org(org.org_id, {"state": asked.state})
    return find_org(world, org_id)


def change_user(world: World, org_id: str, user_id: str, asked: UserChange) -> Org:
    """Deactivate a person or let them in again."""
    org = find_org(world, org_id)
    if org.user(user_id) is None:
        raise NotThere(f"there is no user {user_id} in that org")
    world.change_org(org.org_id, {"user_id": user_id, "active": asked.active})
    return find_org(world, org_id)


def change_installation(
    world: World, org_id: str, consumer_key: str, asked: InstallationChange
) -> Installation:
    """Change an admin's policies; who is not admitted any more keeps no session.

    Spec: Salesforce Help, "Manage OAuth-Enabled Connected Apps Access": blocking an app ends all
    current sessions with it; what an uninstalled package granted is gone.
    """
    org, app = find_org(world, org_id), find_app(world, consumer_key)
    given: dict[str, Any] = asked.model_dump(exclude_none=True)
    if "pre_authorized" in given:
        given["pre_authorized"] = frozenset(given["pre_authorized"])
    policy = replace(world.installation(org.org_id, app.consumer_key), **given)
    world.put_installation(policy)
    if policy.blocked or not policy.installed:
        world.end_app_in_org(org.org_id, app.consumer_key, with_grants=not policy.installed)
    return policy


def change_switches(world: World, asked: SwitchesChange) -> Switches:
    """Decide open questions."""
    world.switches = replace(world.switches, **asked.model_dump(exclude_none=True))
    return world.switches
