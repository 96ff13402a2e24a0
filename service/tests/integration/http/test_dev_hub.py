"""The Dev Hub as it is asked for installs: a simulated one, by its own program."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.support.sf import running_orgsim, user_of

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.salesforce.package_subscribers import PackageVersionId
from keyturn_core.secrets import PrivateKey
from keyturn_service.adapters.http.dev_hub import DevHubUser, HttpDevHub
from keyturn_service.adapters.http.egress import Egress
from keyturn_service.adapters.http.one_shot import OneShot
from keyturn_service.adapters.http.token_endpoint import HttpTokenEndpoint
from keyturn_service.adapters.key_sources.local_signer import LocalSigner
from keyturn_service.adapters.system import SystemClock
from keyturn_service.ports import DevHubUnreachable, PackageInOrg
from keyturn_service.vault.key_pairs import new_key_pair

OTHER_VERSION = PackageVersionId("04t5g000000AbCdAAK")


class SimClock(SystemClock):
    """The clock of a simulator, which tests move."""

    def __init__(self, control):
        self.control = control

    def now(self):
        """Return the simulator's time."""
        return datetime.fromisoformat(self.control.get("/clock").json()["now"])


def a_key():
    """Return a key pair."""
    now = SystemClock().now()
    return new_key_pair(name="hub", not_before=now, not_after=now + timedelta(days=1))


@pytest.fixture(scope="module")
def key():
    """The reader's key pair."""
    return a_key()


@pytest.fixture(scope="module")
def program(key, tmp_path_factory):
    """A simulator whose Dev Hub lets the reader in."""
    certificate = tmp_path_factory.mktemp("hub") / "reader.pem"
    certificate.write_text(key.certificate_pem)
    with running_orgsim("--hub-reader", str(certificate)) as running:
        yield running


class Hub:
    """A simulator with a fresh world, and the adapter that asks its Dev Hub."""

    def __init__(self, sim, key):
        self.sim = sim
        app = next(app for app in sim.line["apps"] if app["name"] == "HubReader")
        self.user = DevHubUser(
            login_url=Origin(sim.line["login_url"]),
            consumer_key=app["consumer_key"],
            username=user_of(sim.hub, "integration")["username"],
            private_key=key.private_key,
        )
        acme = next(app for app in sim.line["apps"] if app["name"] == "Acme")
        self.version = PackageVersionId(acme["subscriber_version_id"])
        self.clock = SimClock(sim.control)
        self.asking = self.asker()

    def asker(self, *, seconds=20.0, also="http://127.0.0.1:1", **changed):
        """Return an adapter, for another user and another host if a test says so."""
        hosts = (self.user.login_url, self.sim.hub["my_domain_url"], also)
        loopback = frozenset(map(Origin, hosts))
        one_shot = OneShot(
            Egress(loopback=loopback, connect_seconds=seconds, answer_seconds=seconds)
        )
        return HttpDevHub(
            user=replace(self.user, **changed),
            one_shot=one_shot,
            endpoint=HttpTokenEndpoint(one_shot=one_shot, clock=self.clock),
            signer=LocalSigner(),
            clock=self.clock,
            loopback=loopback,
        )

    def asked(self, *names, version=None):
        """Return what is asked of orgs, by their names."""
        return {
            PackageInOrg(
                version=version or self.version, org_id=OrgId(self.sim.org(name)["org_id"])
            )
            for name in names
        }

    def count(self, path):
        """Return how many requests came to a path."""
        found = self.sim.control.get("/journal", params={"path": path}).json()["entries"]
        return len(found)

    def fault(self, name, **asked):
        """Set a fault for the next query."""
        self.sim.post("/faults", {"name": name, "match": {"path": "/services/data/*"}, **asked})


@pytest.fixture
def hub(program, key):
    """A fresh world."""
    program.post("/reset", {"seed": 1})
    return Hub(program, key)


async def test_installs_are_told_from_what_is_not_installed(hub):
    """By one log-in, and one query for all of them once the package is known."""
    asked = hub.asked("Northwind", "Stonebridge", "Northwind UAT")
    for _ in range(2):
        assert await hub.asking.among(asked) == hub.asked("Northwind", "Northwind UAT")
    assert hub.count("/services/oauth2/token") == 1
    assert hub.count("/services/data/*") == 3


async def test_an_install_is_seen_after_the_lag_and_an_uninstall_too(hub):
    """As soon as the Dev Hub knows."""
    acme = next(app["consumer_key"] for app in hub.sim.line["apps"] if app["name"] == "Acme")
    org = hub.sim.org("Stonebridge")
    lag = {"name": "subscriber_lag", "times": 0, "options": {"delay": "PT2M"}}
    hub.sim.post("/faults", lag)
    asked = hub.asked("Stonebridge")
    for installed in (True, False):
        hub.sim.patch(f"/orgs/{org['org_id']}/apps/{acme}", {"installed": installed})
        before = await hub.asking.among(asked)
        hub.sim.post("/clock", {"advance": "PT3M"})
        assert (bool(before), bool(await hub.asking.among(asked))) == (not installed, installed)


async def test_a_version_that_the_hub_does_not_know_is_installed_nowhere(hub):
    """It may be a link to somebody else's package."""
    assert await hub.asking.among(hub.asked("Northwind", version=OTHER_VERSION)) == frozenset()


async def test_many_orgs_are_several_queries(hub):
    """An address takes only so many."""
    ids = (OrgId(f"00D5g0000{number:06}AAA") for number in range(150))
    many = {PackageInOrg(version=hub.version, org_id=org_id) for org_id in ids}
    assert await hub.asking.among(many | hub.asked("Northwind")) == hub.asked("Northwind")
    assert hub.count("/services/data/*") == 3


async def test_it_logs_in_again_when_its_session_is_over(hub):
    """Once; nobody notices."""
    asked = hub.asked("Northwind")
    await hub.asking.among(asked)
    hub.sim.post(f"/orgs/{hub.sim.hub['org_id']}/end-sessions", {})
    assert await hub.asking.among(asked) == asked
    assert hub.count("/services/oauth2/token") == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"name": "status", "options": {"status": 503, "body": "html"}}, "HTTP 503"),
        ({"name": "maintenance_page"}, "HTTP 503"),
        ({"name": "connection_reset"}, "salesforce_unavailable"),
        ({"name": "lost_answer"}, "salesforce_unavailable"),
        ({"name": "truncated_answer", "options": {"bytes": 9}}, "HTTP 200"),
        ({"name": "slow", "options": {"delay": "PT10S"}}, "salesforce_unavailable"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
async def test_a_query_that_comes_to_nothing_is_no_answer(hub, fault, reason):
    """And the next one is asked as if nothing had been."""
    await hub.asking.among(set())
    asked = hub.asked("Northwind")
    patient = hub.asker(seconds=2 if fault["name"] == "slow" else 20)
    hub.fault(**fault)
    with pytest.raises(DevHubUnreachable) as failed:
        await patient.among(asked)
    assert failed.value.reason == reason
    assert await patient.among(asked) == asked


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"username": "nobody@acme.example"}, "user_not_preauthorized"),
        ({"consumer_key": "3MVG9.unknown"}, "client_unknown"),
        ({"private_key": None}, "certificate_refused"),
        ({"login_url": Origin("http://127.0.0.1:1")}, "salesforce_unavailable"),
    ],
    ids=["user", "app", "key", "host"],
)
async def test_a_log_in_that_is_refused_names_what_is_wrong(hub, changed, reason):
    """In the words of the catalogue."""
    if "private_key" in changed:
        changed = {"private_key": PrivateKey(a_key().private_key.reveal())}
    with pytest.raises(DevHubUnreachable) as failed:
        await hub.asker(**changed).among(hub.asked("Northwind"))
    assert failed.value.reason == reason


async def test_what_the_user_may_not_see_is_told_in_salesforces_code(hub, key):
    """A customer's org has no subscribers at all."""
    org = hub.sim.org("Northwind")
    admin = user_of(org)
    app = {"org_id": org["org_id"], "name": "Elsewhere", "certificate_pem": key.certificate_pem}
    made = hub.sim.post("/apps", app | {"pre_authorized": [admin["user_id"]]})
    there = {"consumer_key": made["consumer_key"], "username": admin["username"]}
    asker = hub.asker(also=org["my_domain_url"], **there)
    with pytest.raises(DevHubUnreachable) as failed:
        await asker.among(hub.asked("Northwind"))
    assert failed.value.reason == "INVALID_TYPE"
