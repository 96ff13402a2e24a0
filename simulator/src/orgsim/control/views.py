"""What the control port answers.

Only `OrgView`, `DevHubView`, `AppView` and `GrantView` hold secrets.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from orgsim.clock import rfc3339
from orgsim.control.durations import iso_duration
from orgsim.faults import MEANINGS, Fault, FaultName
from orgsim.journal import Entry, Journal
from orgsim.orgs.apps import App
from orgsim.orgs.first_world import NAMESPACE
from orgsim.orgs.offers import first_offer
from orgsim.orgs.org import Environment, Org, OrgState, Role, User
from orgsim.orgs.policies import Installation, PermittedUsers, RefreshPolicy
from orgsim.sites import Face
from orgsim.surfaces.oauth.documented import DOCUMENTED
from orgsim.world import World


class View(BaseModel):
    """An answer of the control port."""

    model_config = ConfigDict(frozen=True)


class ClockView(View):
    """The world's time."""

    now: str


class UserView(View):
    """A person, with their password."""

    user_id: str
    username: str
    password: str
    email: str
    role: Role
    active: bool
    pre_authorized: bool


class OrgView(View):
    """An org as testers need to know it; `package_installed` is about the vendor's app."""

    org_id: str
    name: str
    environment: Environment
    state: OrgState
    my_domain: str
    my_domain_url: str
    package_installed: bool
    permitted_users: PermittedUsers
    users: list[UserView]


class HubUserView(View):
    """A person of the vendor, with their password."""

    user_id: str
    username: str
    password: str
    email: str
    role: Role


class DevHubView(View):
    """The vendor's own org, where apps and packages are made."""

    org_id: str
    name: str
    namespace: str
    my_domain: str
    my_domain_url: str
    users: list[HubUserView]


class AppView(View):
    """An app with its credentials.

    `subscriber_version_id` is that of the package version (`04t`) which brings it, where that was
    not built here.
    """

    name: str
    namespace: str | None
    consumer_key: str
    consumer_secret: str
    callback_urls: list[str]
    scopes: list[str]
    subscriber_version_id: str | None


class AppSettingsView(View):
    """The developer's half of an app, without its secret."""

    name: str
    consumer_key: str
    callback_urls: list[str]
    scopes: list[str]
    secret_required: bool
    secret_required_for_refresh: bool
    pkce_required: bool
    rotation: bool
    idle_ttl_days: int | None
    refresh_ip_allowlist: list[str]
    access_token_format: str
    introspects_all_tokens: bool
    has_certificate: bool


class InstallationView(View):
    """The admin's half of an app in one org."""

    org_id: str
    consumer_key: str
    installed: bool
    blocked: bool
    permitted_users: PermittedUsers
    pre_authorized: list[str]
    refresh_policy: RefreshPolicy
    refresh_days: int
    session_minutes: int


class OrgStateView(View):
    """An org's state and whether its people are active, by user id."""

    org_id: str
    state: OrgState
    active: dict[str, bool]


class EntryView(View):
    """One HTTP request; `status` is null where no answer left."""

    n: int
    at: str
    host: str
    method: str
    path: str
    org_id: str | None
    grant_type: str | None
    token_ref: str | None
    status: int | None
    error: str | None
    detail: str | None
    fault: str | None
    user_agent: str | None


class JournalView(View):
    """Entries in order of arrival, and the `since` with which to ask for what comes after."""

    entries: list[EntryView]
    next: int


class MatchView(View):
    """Which requests a fault meets."""

    path: str | None
    org_id: str | None
    grant_type: str | None


class FaultView(View):
    """A fault that is set; `left` is null where it lasts until deleted."""

    id: str
    name: FaultName
    match: MatchView
    times: int
    left: int | None
    options: dict[str, Any]


class DocumentedErrorView(View):
    """An error that the fault `oauth_error` can answer with; its usual delivery comes first."""

    endpoint: str
    error: str
    description: str | None
    deliveries: list[str]
    source: str


class FaultsView(View):
    """Every fault there is with its meaning, those that are set, and the documented errors."""

    names: dict[str, str]
    faults: list[FaultView]
    documented_errors: list[DocumentedErrorView]


class GrantView(View):
    """What a client holds of a grant."""

    access_token: str
    refresh_token: str | None


class GrantsView(View):
    """Grants that were given, and what the token responses said of all of them."""

    id: str
    instance_url: str
    scope: str
    grants: list[GrantView]


class EndedView(View):
    """How many sessions were ended."""

    ended: int


def clock_view(world: World, *, program: str | None) -> ClockView:
    """Return the time as a program reads it; a skew is for programs that say who they are."""
    now = world.clock.now()
    return ClockView(now=rfc3339(now if program is None else now + world.faults.skew_of(program)))


def orgs_view(world: World, face: Face) -> list[OrgView]:
    """Return the customers' orgs as seen on one face."""
    acme = next(iter(world.apps))
    return [_org_view(org, world.installation(org.org_id, acme), face) for org in world.subscribers]


def dev_hub_view(world: World, face: Face) -> DevHubView:
    """Return the Dev Hub org as seen on one face."""
    hub = world.hub
    return DevHubView(
        org_id=hub.org_id,
        name=hub.name,
        namespace=NAMESPACE,
        my_domain=hub.my_domain,
        my_domain_url=face.origin(hub.slot),
        users=[
            HubUserView(
                user_id=user.user_id,
                username=user.username,
                password=user.password,
                email=user.email,
                role=user.role,
            )
            for user in hub.users
        ],
    )


def _org_view(org: Org, policy: Installation, face: Face) -> OrgView:
    return OrgView(
        org_id=org.org_id,
        name=org.name,
        environment=org.environment,
        state=org.state,
        my_domain=org.my_domain,
        my_domain_url=face.origin(org.slot),
        package_installed=policy.installed,
        permitted_users=policy.permitted_users,
        users=[_user_view(user, policy) for user in org.users],
    )


def _user_view(user: User, policy: Installation) -> UserView:
    return UserView(
        user_id=user.user_id,
        username=user.username,
        password=user.password,
        email=user.email,
        role=user.role,
        active=user.active,
        pre_authorized=user.user_id in policy.pre_authorized,
    )


def apps_view(world: World) -> list[AppView]:
    """Return all apps, Salesforce's own for its command line included."""
    first, offered = next(iter(world.apps)), first_offer(world).subscriber_version_id
    return [
        app_view(app, brought_by=offered if app.consumer_key == first else None)
        for app in world.apps.values()
        if app.principal is None
    ]


def app_view(app: App, *, brought_by: str | None = None) -> AppView:
    """Return an app with its credentials."""
    return AppView(
        name=app.name,
        namespace=app.namespace,
        consumer_key=app.consumer_key,
        consumer_secret=app.consumer_secret,
        callback_urls=list(app.callback_urls),
        scopes=sorted(app.scopes),
        subscriber_version_id=brought_by,
    )


def app_settings_view(app: App) -> AppSettingsView:
    """Return the developer's half of an app."""
    return AppSettingsView(
        name=app.name,
        consumer_key=app.consumer_key,
        callback_urls=list(app.callback_urls),
        scopes=sorted(app.scopes),
        secret_required=app.secret_required,
        secret_required_for_refresh=app.secret_required_for_refresh,
        pkce_required=app.pkce_required,
        rotation=app.rotation,
        idle_ttl_days=app.idle_ttl_days,
        refresh_ip_allowlist=list(app.refresh_ip_allowlist),
        access_token_format=app.access_token_format,
        introspects_all_tokens=app.introspects_all_tokens,
        has_certificate=app.certificate_pem is not None,
    )


def installation_view(policy: Installation) -> InstallationView:
    """Return the admin's half."""
    return InstallationView(
        org_id=policy.org_id,
        consumer_key=policy.consumer_key,
        installed=policy.installed,
        blocked=policy.blocked,
        permitted_users=policy.permitted_users,
        pre_authorized=sorted(policy.pre_authorized),
        refresh_policy=policy.refresh_policy,
        refresh_days=policy.refresh_days,
        session_minutes=policy.session_minutes,
    )


def org_state_view(org: Org) -> OrgStateView:
    """Return an org's state."""
    return OrgStateView(
        org_id=org.org_id,
        state=org.state,
        active={user.user_id: user.active for user in org.users},
    )


def journal_view(journal: Journal, entries: Iterable[Entry], *, cut: bool) -> JournalView:
    """Return entries; where `limit` cut them off, `next` goes on right behind the last one."""
    shown = [
        EntryView(
            n=entry.n,
            at=rfc3339(entry.at),
            host=entry.host,
            method=entry.method,
            path=entry.path,
            org_id=entry.org_id,
            grant_type=entry.grant_type,
            token_ref=entry.token_ref,
            status=entry.status,
            error=entry.error,
            detail=entry.detail,
            fault=entry.fault,
            user_agent=entry.user_agent,
        )
        for entry in entries
    ]
    return JournalView(entries=shown, next=shown[-1].n + 1 if cut and shown else journal.next)


_READS: dict[FaultName, tuple[str, ...]] = {
    "truncated_answer": ("bytes",),
    "slow": ("delay",),
    "subscriber_lag": ("delay",),
    "propagation_delay": ("delay",),
    "status": ("status", "body"),
    "oauth_error": ("error", "description", "delivery"),
    "clock_skew": ("program", "by"),
}


def fault_view(fault: Fault) -> FaultView:
    """Return a fault with the options that it reads."""
    options = {
        name: iso_duration(value) if name in ("delay", "by") else value
        for name in _READS.get(fault.name, ())
        for value in (getattr(fault.options, name),)
    }
    return FaultView(
        id=fault.id,
        name=fault.name,
        match=MatchView(
            path=fault.match.path, org_id=fault.match.org_id, grant_type=fault.match.grant_type
        ),
        times=fault.times,
        left=fault.left,
        options=options,
    )


def faults_view(world: World) -> FaultsView:
    """Return the names with their meanings, and what is set."""
    return FaultsView(
        names={str(name): meaning for name, meaning in MEANINGS.items()},
        faults=[fault_view(fault) for fault in world.faults],
        documented_errors=[
            DocumentedErrorView(
                endpoint=known.endpoint,
                error=known.error,
                description=known.description,
                deliveries=list(known.deliveries),
                source=known.source,
            )
            for known in DOCUMENTED
        ],
    )
