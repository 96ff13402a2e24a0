"""Every org of one run, with its seed, clock, keys and memory."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from orgsim import randomness
from orgsim.clock import WorldClock
from orgsim.data import OrgData, OrgSeed, UserSeed
from orgsim.faults import PROGRAMS, FaultBook
from orgsim.journal import Journal
from orgsim.keyring import Seal, SigningKey, TokenHashes, kept_secret, load_or_make_key
from orgsim.metadata.components import ComponentBook
from orgsim.orgs.apps import App
from orgsim.orgs.book import Book
from orgsim.orgs.browsers import Browsers
from orgsim.orgs.codes import CodeBook
from orgsim.orgs.first_world import (
    HUB,
    NAMESPACE,
    PLANS,
    let_hub_reader_in,
    make_apps,
    make_hub_reader,
    make_installations,
    make_org,
)
from orgsim.orgs.grants import GrantBook
from orgsim.orgs.logins import LoginCounter
from orgsim.orgs.org import Org, User
from orgsim.orgs.packaged import packaged_of
from orgsim.orgs.packages import PackageBooks
from orgsim.orgs.policies import Assignment, Installation, Switches, switches_from
from orgsim.orgs.registrations import Registration
from orgsim.orgs.sessions import SessionBook
from orgsim.orgs.store import Store
from orgsim.orgs.subscribers import FirstPackage, Notice, first_package, subscriber_row
from orgsim.randomness import Mint, Seeded
from orgsim.settings import DEFAULT_CALLBACK, DEFAULT_SEED, SCRATCH_CALLBACKS, Settings
from orgsim.sites import LOGIN, LOGIN_HOSTS, SANDBOX_LOGIN

_KEY_IDS = ("210", "212")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a world was made from; enough to make it again."""

    seed: int
    hostile: bool
    offset_seconds: float
    callbacks: tuple[str, ...]


class World:
    """One run's orgs, apps and people, and everything they have done."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir
        seal_key = randomness.new_key()
        kept = None
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            seal_key = load_or_make_key(self._folder / "seal.key")
            kept = self._folder / "world.sqlite"
        self.store = Store(kept)
        self._seal = Seal(seal_key)
        self._data: dict[str, OrgData] = {}
        self.programs = set(PROGRAMS)
        self.journal = Journal()
        origin = self._kept_origin()
        self._build(origin)

    # -- making -----------------------------------------------------------------------------

    def _kept_origin(self) -> Origin:
        given = self._settings
        for body in self.store.load("origin"):
            kept = TypeAdapter(Origin).validate_json(body)
            return replace(
                kept,
                seed=kept.seed if given.seed is None else given.seed,
                callbacks=given.app_callbacks or kept.callbacks,
            )
        return Origin(
            seed=DEFAULT_SEED if given.seed is None else given.seed,
            hostile=given.hostile,
            offset_seconds=0.0,
            callbacks=given.app_callbacks or (DEFAULT_CALLBACK,),
        )

    def _build(self, origin: Origin) -> None:
        self._keep_origin(origin)
        self.switches = switches_from(self._settings.switches, Switches())
        fresh = (self._settings.canary or randomness.new_canary()).encode()
        self.canary = kept_secret(self.store, self._seal, "canary", fresh=fresh).decode()
        self.hashes = TokenHashes(
            kept_secret(self.store, self._seal, "hash key", fresh=randomness.new_key())
        )
        self.signing_keys = self._signing_keys()
        self.seeded = Seeded(seed=origin.seed, canary=self.canary)
        self.mint = Mint(canary=self.canary, length_jitter=self.seeded.length_jitter)
        self.clock = WorldClock(offset=timedelta(seconds=origin.offset_seconds))
        self._furnish(origin)
        self.grants = GrantBook(store=self.store, hashes=self.hashes)
        self.sessions = SessionBook(store=self.store, hashes=self.hashes)
        self.codes = CodeBook(store=self.store, hashes=self.hashes)
        self.browsers = Browsers()
        self.logins = LoginCounter()
        self.journal = Journal(begin=self.journal.next)
        self.faults = FaultBook()
        self.refreshing: set[str] = set()
        self.seen_jtis: set[tuple[str, str]] = set()
        self.jobs: dict[str, Any] = {}  # of the Metadata API, by id
        self.components = ComponentBook(self.store)
        self.packages = PackageBooks(self.store)
        self.assignments: Book[Assignment] = Book(
            "assignment", Assignment, key=lambda kept: kept.key, store=self.store
        )
        self._notices: Book[Notice] = Book(
            "notice", Notice, key=lambda notice: notice.key, store=self.store
        )
        self._not_yet: dict[str, tuple[datetime, App | None]] = {}
        self._open_data(origin.seed)
        self._tell_hub_of_first_package()

    def _keep_origin(self, origin: Origin) -> None:
        self.origin = origin
        self.store.put("origin", "origin", json.dumps(asdict(origin)).encode())

    def _signing_keys(self) -> tuple[SigningKey, ...]:
        keys = []
        for kid in _KEY_IDS:
            label = f"signing key {kid}"
            kept = next(iter(self.store.load(f"sealed:{label}")), None)
            pem = (
                self._seal.open(label, kept)
                if kept is not None
                else kept_secret(self.store, self._seal, label, fresh=SigningKey.new_pem())
            )
            keys.append(SigningKey.load(kid=kid, pem=pem))
        return tuple(keys)

    def _furnish(self, origin: Origin) -> None:
        """Make orgs, apps and policies from the seed; then lay over them what was changed."""
        self._orgs = {}
        for plan in (*PLANS, HUB):
            org = make_org(plan, seeded=self.seeded)
            self._orgs[org.slot] = org
        apps = make_apps(
            seeded=self.seeded, callbacks=origin.callbacks, scratch_callbacks=SCRATCH_CALLBACKS
        )
        self.apps = {app.consumer_key: app for app in apps}
        self.registrations: Book[Registration] = Book(
            "registration", Registration, key=lambda made: made.home_and_name, store=self.store
        )
        for made in self.registrations:
            self._put_in_force(made)
        self.installations: Book[Installation] = Book(
            "installation",
            Installation,
            key=lambda policy: f"{policy.org_id}:{policy.consumer_key}",
            store=self.store,
        )
        if not len(self.installations):
            bare = self._settings.bare
            for policy in make_installations(self.subscribers, apps[0], bare=bare):
                self.installations.put(policy)
        reader = make_hub_reader(
            self.hub, seeded=self.seeded, certificate_pem=self._settings.hub_reader_certificate
        )
        if reader is not None:
            self.apps[reader.consumer_key] = reader
            self.installations.put(let_hub_reader_in(self.hub, reader))
        for body in self.store.load("org change"):
            self._apply_org_change(json.loads(body))
        for body in self.store.load("app change"):
            change = json.loads(body)
            self._apply_app_change(change["consumer_key"], change["fields"])

    def _open_data(self, seed: int) -> None:
        acme = next(iter(self.apps))  # its package was never built here
        for org in self.orgs:
            policy = self.installation(org.org_id, acme)
            path = None if self._folder is None else self._folder / f"{org.org_id}.sqlite"
            people = tuple(
                UserSeed(
                    user_id=user.user_id,
                    username=user.username,
                    email=user.email,
                    first_name=user.first_name,
                    last_name=user.last_name,
                    role=user.role,
                )
                for user in org.users
            )
            self._data[org.org_id] = OrgData.create(
                path,
                org=OrgSeed(
                    org_id=org.org_id,
                    name=org.name,
                    environment=org.environment,
                    users=people,
                    namespace=NAMESPACE if policy.installed else None,
                    dev_hub=org.dev_hub,
                ),
                seed=seed,
                now=self.clock.now,
            )
            self.put_packaged(org.org_id)

    def _tell_hub_of_first_package(self) -> None:
        """Let the Dev Hub have known who runs it before anybody looked."""
        acme = next(iter(self.apps))
        hub = self._data[self.hub.org_id]
        for kind, row in self.first_package.rows():
            hub.put_told(kind, row)
        if next(self.store.load("hub told"), None) is not None:
            return
        self.store.put("hub told", "hub told", b"1")
        for org in self.subscribers:
            if self.installation(org.org_id, acme).installed:
                self._tell_of_first_package(org.org_id, gone=False)

    def reset(self, *, seed: int, hostile: bool) -> None:
        """Make a fresh world on the same sites; nothing of the old one stays valid."""
        self._close_data(delete=True)
        self.store.clear()
        kept_secret(self.store, self._seal, "canary", fresh=self.canary.encode())
        for key in self.signing_keys:
            kept_secret(self.store, self._seal, f"signing key {key.kid}", fresh=key.pem())
        self._build(
            replace(self.origin, seed=seed, hostile=hostile)  # the clock never goes back
        )

    def _close_data(self, *, delete: bool = False) -> None:
        for org_id, data in self._data.items():
            data.close()
            if delete and self._folder is not None:
                for file in self._folder.glob(f"{org_id}.sqlite*"):
                    file.unlink()
        self._data.clear()

    def close(self) -> None:
        """Let go of all files."""
        self._close_data()
        self.store.close()

    # -- finding ----------------------------------------------------------------------------

    @property
    def orgs(self) -> tuple[Org, ...]:
        """All orgs."""
        return tuple(self._orgs.values())

    @property
    def subscribers(self) -> tuple[Org, ...]:
        """The orgs of customers."""
        return tuple(org for org in self.orgs if not org.dev_hub)

    @property
    def hub(self) -> Org:
        """The vendor's own org."""
        return self._orgs[HUB.slot]

    @property
    def hosts(self) -> dict[str, str]:
        """The true-looking host of each site."""
        return LOGIN_HOSTS | {org.slot: org.host for org in self.orgs}

    def org(self, org_id: str) -> Org | None:
        """Find an org by its ID, of 15 or 18 characters."""
        return next((org for org in self.orgs if org.org_id[:15] == org_id[:15]), None)

    def org_at(self, site: str) -> Org | None:
        """Find the org whose My Domain a site is; None for login hosts."""
        return self._orgs.get(site)

    def user(self, org_id: str, user_id: str) -> tuple[Org, User] | None:
        """Find a user with their org."""
        org = self.org(org_id)
        user = None if org is None else org.user(user_id)
        return None if org is None or user is None else (org, user)

    def app_named(self, name: str) -> App | None:
        """Find an app by consumer key or name."""
        return self.apps.get(name) or next(
            (app for app in self.apps.values() if app.name == name), None
        )

    def client(self, consumer_key: str) -> App | None:
        """Find an app as the authorization server knows it now.

        A change may be on its way still, and a staged pair is over after its time.
        """
        due, earlier = self._not_yet.get(consumer_key, (None, None))
        if due is not None and self.clock.now() < due:
            return earlier
        app = self.apps.get(consumer_key)
        if app is not None and app.principal is not None:
            made = self.registration_of(app.principal)
            if made is None or made.second(self.seeded, now=self.clock.now()) is None:
                return None
        return app

    def data(self, org_id: str) -> OrgData:
        """Return an org's records; the Dev Hub's with what it knows of installs by now."""
        if org_id == self.hub.org_id and len(self._notices):
            self._tell_what_is_due()
        return self._data[org_id]

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces that the Dev Hub's registry links, in small letters."""
        linked = {body.decode() for body in self.store.load("namespace")}
        return frozenset({NAMESPACE, *linked})

    def seeded_namespaces(self, org_id: str) -> frozenset[str]:
        """Return the namespaces of packages that the world had from the start."""
        acme = next(iter(self.apps))
        there = self.installation(org_id, acme).installed
        return frozenset({NAMESPACE} if there else ())

    @property
    def post_install_urls(self) -> tuple[str, ...]:
        """Where the install page of the first package leads on to, an address for each face."""
        return self._settings.post_install_urls

    def installation(self, org_id: str, consumer_key: str) -> Installation:
        """Return how an org holds an app."""
        kept = self.installations.get(f"{org_id}:{consumer_key}")
        if kept is not None:
            return kept
        app = self.apps[consumer_key]
        if app.principal is not None:
            return replace(self.installation(org_id, app.principal), consumer_key=consumer_key)
        here = app.distribution == "everywhere" or app.home_org == org_id
        return Installation(org_id=org_id, consumer_key=consumer_key, installed=here)

    def login_site(self, org: Org) -> str:
        """Return the login host of an org."""
        return LOGIN if org.environment == "production" else SANDBOX_LOGIN

    def serves(self, site: str, org: Org) -> bool:
        """Tell whether a site may act for an org: its My Domain, or its login host."""
        return site in (org.slot, self.login_site(org))

    def people_at(self, site: str) -> Iterable[tuple[Org, User]]:
        """Give everybody who can log in at a site."""
        for org in self.orgs:
            if self.serves(site, org):
                for user in org.users:
                    yield org, user

    def assigned(self, org_id: str, permission_set: str) -> frozenset[str]:
        """Return the IDs of those to whom an org's permission set is assigned."""
        kept = self.assignments.get(f"{org_id}:{permission_set.lower()}")
        return frozenset() if kept is None else kept.users

    # -- changing ---------------------------------------------------------------------------

    def advance(self, by: timedelta) -> None:
        """Move the clock forwards."""
        self.clock.advance(by)
        self._keep_origin(replace(self.origin, offset_seconds=self.clock.offset.total_seconds()))

    def change_org(self, org_id: str, change: dict[str, Any]) -> None:
        """Change an org's state or a user's `active`, and keep that."""
        entry = {"org_id": org_id, **change}
        key = f"{org_id}:{change.get('user_id', '')}"
        self.store.put("org change", key, json.dumps(entry).encode())
        self._apply_org_change(entry)

    def _apply_org_change(self, change: dict[str, Any]) -> None:
        org = self.org(change["org_id"])
        if org is None:
            return
        if "state" in change:
            org = replace(org, state=change["state"])
        user = org.user(change.get("user_id", ""))
        if user is not None:
            org = org.with_user(replace(user, active=change["active"]))
        self._orgs[org.slot] = org

    def assign(self, org_id: str, permission_set: str, users: frozenset[str]) -> None:
        """Assign a permission set to these people and nobody else."""
        name = permission_set.lower()
        self.assignments.put(Assignment(org_id=org_id, permission_set=name, users=users))

    def next_serial(self, what: str) -> int:
        """Count up, for IDs; no number comes twice in a world, restarted or not."""
        kept = next(iter(self.store.load(f"serial:{what}")), b"0")
        number = int(kept) + 1
        self.store.put(f"serial:{what}", what, str(number).encode())
        return number

    def new_id(self, org_id: str, prefix: str) -> str:
        """Return a new record ID of an org, of something that is not among its records."""
        return self.seeded.record_id(prefix, f"{org_id}:{self.next_serial(prefix)}")

    def register(self, made: Registration) -> App:
        """Keep an app of a developer's, new or changed, and put it in force."""
        before = self.registrations.get(made.home_and_name)
        earlier = None if before is None else before.live(self.seeded)
        if before is not None:
            self.forget_keys(before)
        self.registrations.put(made)
        app = self._put_in_force(made)
        delay = self.faults.delay_of("propagation_delay")
        if delay:
            same = earlier is not None and earlier.consumer_key == app.consumer_key
            known = earlier if same else None
            self._not_yet[app.consumer_key] = (self.clock.now() + delay, known)
        return app

    def _put_in_force(self, made: Registration) -> App:
        """Make an app known under its key, and under the staged one beside it."""
        app = made.live(self.seeded)
        self.apps[app.consumer_key] = app
        second = made.second(self.seeded, now=self.clock.now())
        if second is not None:
            self.apps[second.consumer_key] = second
        return app

    def link_namespace(self, namespace: str) -> None:
        """Link a namespace in the Dev Hub's registry."""
        self.store.put("namespace", namespace.lower(), namespace.lower().encode())

    def put_packaged(self, org_id: str) -> None:
        """Let an org's data have what its installed packages bring."""
        self._data[org_id].bring(packaged_of(self.components.of(org_id)))

    @property
    def first_package(self) -> FirstPackage:
        """The package that the world has from the start."""
        return first_package(next(iter(self.apps.values())), self.seeded)

    def _tell_of_first_package(self, org_id: str, *, gone: bool) -> None:
        first = self.first_package
        self.tell_hub(org_id, first.subscriber_package_id, first.subscriber_version_id, gone=gone)

    def tell_hub(self, org_id: str, package_id: str, version_id: str, *, gone: bool) -> None:
        """Let the Dev Hub know of an install or uninstall, after whatever lag is asked for.

        The IDs are those by which subscribers know package (`033`) and version (`04t`).
        """
        now = self.clock.now()
        self._notices.put(
            Notice(
                row_id=self.seeded.record_id("0Hd", f"{org_id}:{package_id}"),
                org_id=org_id,
                subscriber_package_id=package_id,
                subscriber_version_id=version_id,
                status="u" if gone else "i",
                at=now,
                due=now + self.faults.delay_of("subscriber_lag"),
            )
        )

    def _tell_what_is_due(self) -> None:
        now = self.clock.now()
        for notice in self._notices:
            org = self.org(notice.org_id)
            if notice.due <= now and org is not None:
                self._notices.remove(notice.key)
                hub = self._data[self.hub.org_id]
                hub.put_told("PackageSubscriber", subscriber_row(notice, org))

    def unregister(self, made: Registration) -> None:
        """Forget an app and how orgs hold it."""
        self.forget_keys(made)
        self.registrations.remove(made.home_and_name)
        consumer_key = made.live(self.seeded).consumer_key
        for policy in self.installations:
            if policy.consumer_key == consumer_key:
                self.installations.remove(f"{policy.org_id}:{consumer_key}")

    def move_installations(self, earlier: str, consumer_key: str) -> None:
        """Let orgs hold an app under its new consumer key as they held it under the earlier."""
        for policy in self.installations:
            if policy.consumer_key == earlier:
                self.installations.remove(f"{policy.org_id}:{earlier}")
                self.installations.put(replace(policy, consumer_key=consumer_key))

    def forget_keys(self, made: Registration) -> None:
        """Put an app's consumer keys out of force."""
        self.apps.pop(made.live(self.seeded).consumer_key, None)
        if made.staged is not None:
            self.apps.pop(self.seeded.consumer_key(made.staged.label), None)

    def registration_of(self, consumer_key: str) -> Registration | None:
        """Find the registration of an app that was made here."""
        return next(
            (m for m in self.registrations if m.live(self.seeded).consumer_key == consumer_key),
            None,
        )

    def change_app(self, consumer_key: str, fields: dict[str, Any]) -> App:
        """Change the developer's settings of an app, and keep that."""
        made = self.registration_of(consumer_key)
        if made is not None:
            merged = TypeAdapter(App).dump_python(made.app) | fields
            return self.register(replace(made, app=TypeAdapter(App).validate_python(merged)))
        known: dict[str, Any] = next(
            (
                json.loads(body)["fields"]
                for body in self.store.load("app change")
                if json.loads(body)["consumer_key"] == consumer_key
            ),
            {},
        )
        change = {"consumer_key": consumer_key, "fields": known | fields}
        self.store.put("app change", consumer_key, json.dumps(change).encode())
        return self._apply_app_change(consumer_key, fields)

    def _apply_app_change(self, consumer_key: str, fields: dict[str, Any]) -> App:
        app = self.apps[consumer_key]
        merged = TypeAdapter(App).dump_python(app) | fields
        self.apps[consumer_key] = TypeAdapter(App).validate_python(merged)
        return self.apps[consumer_key]

    def end_grant(self, grant_id: str) -> None:
        """End a grant, its refresh token and every access token that came of it."""
        self.grants.remove(grant_id)
        self.sessions.end_of_grant(grant_id)

    def put_installation(self, policy: Installation) -> None:
        """Change how an org holds an app; a package brings its objects and takes them away."""
        before = self.installation(policy.org_id, policy.consumer_key).installed
        self.installations.put(policy)
        if policy.consumer_key == next(iter(self.apps)) and policy.installed != before:
            self._tell_of_first_package(policy.org_id, gone=before)
        namespace = self.apps[policy.consumer_key].namespace
        if namespace is not None and policy.installed:
            self.data(policy.org_id).install_package(namespace)
        elif namespace is not None:
            self.data(policy.org_id).uninstall_package()

    def end_app_in_org(self, org_id: str, consumer_key: str, *, with_grants: bool) -> None:
        """End an app's access tokens in an org, and what it was granted there too if asked."""
        for grant in self.grants.all():
            if (grant.org_id, grant.consumer_key) == (org_id, consumer_key):
                self.sessions.end_of_grant(grant.grant_id)
                if with_grants:
                    self.grants.remove(grant.grant_id)
