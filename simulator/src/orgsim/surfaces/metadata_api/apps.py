"""Makes of deployed files what the authorization server knows: registrations and policies."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, summarize_address_range

from orgsim.metadata import kinds
from orgsim.metadata.scopes import runtime_scopes
from orgsim.metadata.xml_text import Node
from orgsim.orgs import admitting
from orgsim.orgs.admitting import Gate
from orgsim.orgs.apps import App
from orgsim.orgs.org import Org
from orgsim.orgs.policies import Installation, PermittedUsers, RefreshPolicy
from orgsim.orgs.registering import new_registration, owner_of
from orgsim.orgs.registrations import Registration
from orgsim.world import World

Deployed = Mapping[tuple[str, str], Node]
_REFRESH_POLICIES: Mapping[str, RefreshPolicy] = {
    "infinite": "infinite",
    "zero": "zero",
    "specificlifetime": "specific_lifetime",
    "specificinactivity": "specific_inactivity",
}
_DAYS = {"hours": 1 / 24, "days": 1, "months": 30}


def held_node(world: World, org_id: str, kind: str, name: str) -> Node | None:
    """Return a component's file of an org."""
    component = world.components.get(org_id, kind, name)
    return None if component is None or component.full_name != name else component.node()


def child_of(world: World, org_id: str, kind: str, app: str) -> Node | None:
    """Return the file of a kind that belongs to an app."""
    for component in world.components.of(org_id, kind):
        node = component.node()
        if node.value("externalClientApplication") == app:
            return node
    return None


def settle_apps(world: World, org: Org, deployed: Deployed) -> None:
    """Carry out what deployed files mean for the apps that they belong to."""
    names = [name for kind, name in deployed if kind == kinds.HEADER]
    names += [node.value("externalClientApplication") for node in deployed.values()]
    for app in dict.fromkeys(name for name in names if name):
        _settle_registration(world, org, app, deployed)
        _settle_link(world, org, app)
        _settle_policies(world, org, app, deployed)


def _settle_registration(world: World, org: Org, app: str, deployed: Deployed) -> None:
    """Make, or change, the registration of an app that has global settings here."""
    header = held_node(world, org.org_id, kinds.HEADER, app)
    oauth = child_of(world, org.org_id, kinds.OAUTH, app)
    settings = child_of(world, org.org_id, kinds.GLOBAL, app)
    if header is None or oauth is None or settings is None:
        return
    security = child_of(world, org.org_id, kinds.SECURITY, app)
    known = world.registrations.get(f"{org.org_id}:{app}")
    wanted = _app_of(org, app, header=header, oauth=oauth, settings=settings, security=security)
    made = new_registration(world, org, wanted) if known is None else replace(known, app=wanted)
    row = world.components.get(org.org_id, kinds.HEADER, app)
    made = made if row is None else replace(made, app_id=row.component_id)
    for (kind, _), node in deployed.items():
        if known and kind == kinds.GLOBAL and node.value("externalClientApplication") == app:
            made = _rotated(made, node)  # the file that is kept is without commands
    _register(world, org, made)


def _register(world: World, org: Org, made: Registration) -> None:
    """Put a registration in force; a new key keeps the policies that orgs have."""
    before = world.registrations.get(made.home_and_name)
    app = world.register(made)
    if before is None:
        world.put_installation(Installation(org_id=org.org_id, consumer_key=app.consumer_key))
        return
    earlier = before.live(world.seeded).consumer_key
    if earlier != app.consumer_key:
        world.move_installations(earlier, app.consumer_key)


def _rotated(made: Registration, settings: Node) -> Registration:
    """Give new credentials at once.

    Spec: Metadata API Developer Guide, "ExtlClntAppGlobalOauthSettings" (`shouldRotate…`).
    """
    serial = made.rotations + 1
    label = f"{made.home_and_name}:rotation {serial}"
    key, secret = (
        settings.flag("shouldRotateConsumerKey"),
        settings.flag("shouldRotateConsumerSecret"),
    )
    if not (key or secret):
        return made
    return replace(
        made,
        rotations=serial,
        key_label=label if key else made.key_label,
        secret_label=label if secret else made.secret_label,
    )


def _app_of(
    org: Org, name: str, *, header: Node, oauth: Node, settings: Node, security: Node | None
) -> App:
    """Read an app's settings from its files; what is missing has its default.

    PKCE stays required whatever is deployed (reported); rotation is on unless switched off.

    Spec: Metadata API Developer Guide, "ExtlClntAppGlobalOauthSettings".
    """
    packaged = header.value("distributionState") == "Packaged"
    lifetime = settings.find("idTokenConfig")
    minutes = "" if lifetime is None else lifetime.value("idTokenValidityInMinutes")
    return App(
        name=name,
        namespace=None,
        consumer_key="",
        consumer_secret="",
        callback_urls=tuple(settings.value("callbackUrl").split()),
        scopes=runtime_scopes(oauth.value("commaSeparatedOauthScopes")),
        distribution="packaged" if packaged else "local",
        home_org=org.org_id,
        secret_required=not settings.flag("isConsumerSecretOptional"),
        secret_required_for_refresh=settings.flag("isSecretRequiredForRefreshToken", default=True),
        pkce_required=True,
        rotation=settings.flag("isRefreshTokenRotationEnabled", default=True),
        idle_ttl_days=30 if settings.flag("isEnforceRefreshTokenTTL") else None,
        refresh_ip_allowlist=() if security is None else _networks(security),
        access_token_format="jwt" if settings.flag("isNamedUserJwtEnabled") else "opaque",
        id_token_minutes=int(minutes or 2),
        introspects_all_tokens=settings.flag("isIntrospectAllTokens"),
        certificate_pem=settings.value("certificate") or None,
    )


def _networks(security: Node) -> tuple[str, ...]:
    """Return the networks of the refresh-token IP allow-list.

    Spec: Salesforce Help, "Set an IP Allowlist for Refresh Tokens".
    """
    found: list[str] = []
    for part in security.all("tokenIpRanges"):
        first, last = part.value("startIpAddress"), part.value("endIpAddress")
        try:
            ranges = summarize_address_range(ip_address(first), ip_address(last))
            found += [str(network) for network in ranges]
        except (ValueError, TypeError):
            continue
    return tuple(found)


def _settle_link(world: World, org: Org, app: str) -> None:
    """Let an org that only refers to another org's packaged app have it.

    Spec: Salesforce Help, "Associate and Disassociate External Client Apps".
    """
    oauth = child_of(world, org.org_id, kinds.OAUTH, app)
    link = "" if oauth is None else oauth.value("oauthLink")
    owner = owner_of(world, link) if link else None
    if owner is None or owner.home_org == org.org_id:
        return
    consumer_key = owner.live(world.seeded).consumer_key
    policy = world.installation(org.org_id, consumer_key)
    world.put_installation(replace(policy, installed=True))


def consumer_key_of(world: World, org: Org, app: str) -> str | None:
    """Return the consumer key of an app that this org has, its own or another org's."""
    oauth = child_of(world, org.org_id, kinds.OAUTH, app)
    link = "" if oauth is None else oauth.value("oauthLink")
    own = world.registrations.get(f"{org.org_id}:{app}")
    owner = own if own is not None else (owner_of(world, link) if link else None)
    return None if owner is None else owner.live(world.seeded).consumer_key


def _settle_policies(world: World, org: Org, app: str, deployed: Deployed) -> None:
    consumer_key = consumer_key_of(world, org, app)
    if consumer_key is None:
        return
    policy = world.installation(org.org_id, consumer_key)
    for (kind, _), node in deployed.items():
        if node.value("externalClientApplication") != app:
            continue
        if kind == kinds.OAUTH_POLICIES:
            policy = _with_oauth_policies(policy, node, admitting.gates_of(world, org))
        if kind == kinds.POLICIES:
            enabled = node.flag("isEnabled") and node.flag("isOauthPluginEnabled", default=True)
            policy = replace(policy, blocked=not enabled)
    if policy != world.installation(org.org_id, consumer_key):
        admitting.put_policy(world, org, policy)


def _with_oauth_policies(policy: Installation, node: Node, gates: list[Gate]) -> Installation:
    """Read a file of policies; permission sets and profiles go by their names there.

    Spec: Metadata API Developer Guide, "ExtlClntAppOauthConfigurablePolicies".
    """
    named = {
        f"{kind}:{name.strip()}".lower()
        for kind in ("PermissionSet", "Profile")
        for name in node.value(f"commaSeparated{kind}").split(",")
    }
    approved = node.value("permittedUsersPolicyType") == "AdminApprovedPreAuthorized"
    permitted: PermittedUsers = "pre_authorized" if approved else "all"
    kind = _REFRESH_POLICIES.get(node.value("refreshTokenPolicyType").lower(), "specific_lifetime")
    unit = _DAYS.get(node.value("refreshTokenValidityUnit").lower(), 1)
    period = int(node.value("refreshTokenValidityPeriod") or 365)
    minutes = node.value("sessionTimeoutInMinutes")
    return replace(
        policy,
        permitted_users=permitted,
        through=frozenset(gate.key for gate in gates if gate.key.lower() in named),
        refresh_policy=kind,
        refresh_days=max(1, round(period * unit)),
        session_minutes=int(minutes) if minutes else policy.session_minutes,
    )


def forget_app(world: World, org: Org, app: str) -> None:
    """Take an app away whose header was deleted, with everything that it was granted."""
    made = world.registrations.get(f"{org.org_id}:{app}")
    if made is None:
        return
    consumer_key = made.live(world.seeded).consumer_key
    for other in world.orgs:
        world.end_app_in_org(other.org_id, consumer_key, with_grants=True)
    world.unregister(made)
