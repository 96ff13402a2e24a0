"""The world that a seed makes: orgs, people and apps, before anybody has connected anything."""

from dataclasses import dataclass

from orgsim.orgs.apps import App
from orgsim.orgs.org import Environment, Org, Role, User
from orgsim.orgs.policies import Installation, PermittedUsers
from orgsim.randomness import Seeded

NAMESPACE = "acme"
HUB_READER = "HubReader"
ACME_SCOPES = frozenset({"api", "refresh_token", "id", "openid"})
PLAIN_SCOPES = frozenset({"api", "refresh_token", "id", "openid", "profile", "email", "web"})
CLI_SCOPES = PLAIN_SCOPES | {"full", "chatter_api", "visualforce"}
CLI_CALLBACK = "http://localhost:1717/OauthRedirect"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgPlan:
    """One org of the first world."""

    slot: str
    name: str
    my_domain: str
    mail: str
    environment: Environment = "production"
    package_installed: bool = True
    permitted_users: PermittedUsers = "all"


PLANS = (
    OrgPlan(slot="org1", name="Northwind", my_domain="northwind", mail="northwind.example"),
    OrgPlan(slot="org2", name="Larkfield", my_domain="larkfield", mail="larkfield.example"),
    OrgPlan(slot="org3", name="Brightwater", my_domain="brightwater", mail="brightwater.example"),
    OrgPlan(
        slot="org4",
        name="Stonebridge",
        my_domain="stonebridge",
        mail="stonebridge.example",
        package_installed=False,
    ),
    OrgPlan(
        slot="org5",
        name="Oakhollow",
        my_domain="oakhollow",
        mail="oakhollow.example",
        permitted_users="pre_authorized",
    ),
    OrgPlan(
        slot="org6",
        name="Northwind UAT",
        my_domain="northwind--uat.sandbox",
        mail="northwind.example.uat",
        environment="sandbox",
    ),
)

HUB = OrgPlan(slot="hub", name="Acme Dev Hub", my_domain="acme-devhub", mail="devhub.acme.example")

_PEOPLE: tuple[tuple[Role, str, str], ...] = (
    ("admin", "Ada", "Winter"),
    ("standard", "Sam", "Summer"),
    ("integration", "Iris", "Autumn"),
)


def make_org(plan: OrgPlan, *, seeded: Seeded) -> Org:
    """Make an org with its three people."""
    users = []
    for role, first, last in _PEOPLE:
        username = f"{role}@{plan.mail}"
        users.append(
            User(
                user_id=seeded.record_id("005", f"{plan.slot}:{role}"),
                username=username,
                password=seeded.password(username),
                email=f"{first.lower()}.{last.lower()}@{plan.mail}",
                first_name=first,
                last_name=last,
                role=role,
            )
        )
    return Org(
        slot=plan.slot,
        org_id=seeded.record_id("00D", plan.slot),
        name=plan.name,
        environment=plan.environment,
        my_domain=plan.my_domain,
        users=tuple(users),
        dev_hub=plan is HUB,
    )


def make_apps(
    *, seeded: Seeded, callbacks: tuple[str, ...], scratch_callbacks: tuple[str, ...]
) -> tuple[App, ...]:
    """Make the vendor's app, a plain one for other people's clients, and Salesforce's own."""
    return (
        App(
            name="Acme",
            namespace=NAMESPACE,
            consumer_key=seeded.consumer_key("Acme"),
            consumer_secret=seeded.consumer_secret("Acme"),
            callback_urls=callbacks,
            scopes=ACME_SCOPES,
        ),
        App(
            name="Scratch",
            namespace=None,
            consumer_key=seeded.consumer_key("Scratch"),
            consumer_secret=seeded.consumer_secret("Scratch"),
            callback_urls=scratch_callbacks,
            scopes=PLAIN_SCOPES,
            distribution="everywhere",
        ),
        App(
            name="PlatformCLI",
            namespace=None,
            consumer_key="PlatformCLI",
            consumer_secret=seeded.consumer_secret("PlatformCLI"),
            callback_urls=(CLI_CALLBACK,),
            scopes=CLI_SCOPES,
            distribution="everywhere",
            secret_required=False,
            secret_required_for_refresh=False,
            pkce_required=False,
            rotation=False,
            idle_ttl_days=None,
        ),
    )


def make_hub_reader(hub: Org, *, seeded: Seeded, certificate_pem: str | None) -> App | None:
    """Make the Dev Hub's own app for a program that reads there, if it has a certificate."""
    if certificate_pem is None:
        return None
    return App(
        name=HUB_READER,
        namespace=None,
        consumer_key=seeded.consumer_key(HUB_READER),
        consumer_secret=seeded.consumer_secret(HUB_READER),
        callback_urls=(CLI_CALLBACK,),
        scopes=frozenset({"api", "refresh_token"}),
        distribution="local",
        home_org=hub.org_id,
        certificate_pem=certificate_pem,
    )


def let_hub_reader_in(hub: Org, app: App) -> Installation:
    """Let that program act as the Dev Hub's integration user, and as nobody else."""
    chosen = frozenset(user.user_id for user in hub.users if user.role == "integration")
    return Installation(
        org_id=hub.org_id,
        consumer_key=app.consumer_key,
        permitted_users="pre_authorized",
        pre_authorized=chosen,
    )


def make_installations(
    orgs: tuple[Org, ...], app: App, *, bare: bool = False
) -> tuple[Installation, ...]:
    """Install the vendor's package where the plan says so, in a bare world nowhere.

    Where users must be pre-authorized, the integration user is.
    """
    made = []
    for plan, org in zip(PLANS, orgs, strict=True):
        chosen = frozenset(user.user_id for user in org.users if user.role == "integration")
        pre_authorized = chosen if plan.permitted_users == "pre_authorized" else frozenset()
        made.append(
            Installation(
                org_id=org.org_id,
                consumer_key=app.consumer_key,
                installed=plan.package_installed and not bare,
                permitted_users=plan.permitted_users,
                pre_authorized=pre_authorized,
            )
        )
    return tuple(made)
