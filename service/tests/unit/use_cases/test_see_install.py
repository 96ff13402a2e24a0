"""`use_cases.see_install`: the org by its My Domain, the install by the Dev Hub."""

from __future__ import annotations

import asyncio

import pytest
from service.tests.support.fakes import FakeClock, FakeDevHub, FakeDirectory, LeapingWaiting
from service.tests.support.values import INSTANCE_URL, ORG, app, session

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment, Origin
from keyturn_core.salesforce.ids import widened
from keyturn_core.salesforce.package_subscribers import PackageVersionId
from keyturn_service.domain.ids import ConnectSessionId
from keyturn_service.ports import PackageInOrg
from keyturn_service.use_cases.see_install import SeeInstall, Sight
from keyturn_service.use_cases.watch_installs import WatchInstalls

VERSION = PackageVersionId(widened("04t5g000000AbCd"))
PATH = f"/packaging/installPackage.apexp?p0={VERSION}"
PACKAGED = app(install_urls={kind: f"{host}{PATH}" for kind, host in LOGIN_HOSTS.items()})
FACE_HOST = Origin("http://127.0.0.1:41003")


class Page:
    """A connect page that looks, over fakes."""

    def __init__(self, *, watched=True):
        self.clock = FakeClock()
        self.hub = FakeDevHub(installs={PackageInOrg(version=VERSION, org_id=ORG)})
        self.directory = FakeDirectory()
        watch = WatchInstalls(
            packages=self.hub, clock=self.clock, waiting=LeapingWaiting(self.clock)
        )
        self.see = SeeInstall(
            watch=watch if watched else None,
            directory=self.directory,
            clock=self.clock,
            loopback=frozenset({FACE_HOST}),
            remembered=2,
        )

    async def look(self, *, of=PACKAGED, typed=None, within=1.0, **named):
        """Return what is to be seen."""
        return await self.see(
            session(**named), of, my_domain=typed, login_hosts={FACE_HOST}, within=within
        )


@pytest.fixture
def page():
    """A page of a service with a Dev Hub."""
    return Page()


@pytest.mark.parametrize(
    "named",
    [
        {"login_url": INSTANCE_URL},
        {"typed": "globex"},
        {"login_url": INSTANCE_URL, "typed": "another"},
    ],
    ids=["by the vendor", "by the user", "by the vendor before the user"],
)
async def test_an_install_is_seen_in_the_org_that_was_named(page, named):
    """By whoever named its My Domain."""
    assert await page.look(**named) is Sight.SEEN


async def test_what_the_dev_hub_does_not_know_is_not_seen(page):
    """Not installed, or the Dev Hub lags."""
    page.hub.installs.clear()
    assert await page.look(login_url=INSTANCE_URL) is Sight.NOT_SEEN


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"typed": ""},
        {"typed": "https://evil.example"},
        {"typed": "unheard-of"},
        {"typed": "login.salesforce.com"},
        {"typed": FACE_HOST},
        {"login_url": FACE_HOST},
    ],
)
async def test_without_a_my_domain_the_org_is_unknown(page, named):
    """A login host is that of all orgs; other hosts are not even asked."""
    assert await page.look(**named) is Sight.ORG_UNKNOWN
    assert Origin("https://evil.example") not in page.directory.asked
    assert LOGIN_HOSTS[Environment.PRODUCTION] not in page.directory.asked


async def test_without_a_dev_hub_or_a_package_nothing_is_watched(page):
    """Then no page looks."""
    elsewhere = app(install_urls={Environment.PRODUCTION: "https://acme.my.salesforce.com/install"})
    for watching, of in ((page, app()), (page, elsewhere), (Page(watched=False), PACKAGED)):
        assert not watching.see.is_watched(of)
        assert await watching.look(of=of, login_url=INSTANCE_URL) is Sight.NOT_WATCHED
    assert page.see.is_watched(PACKAGED)


async def test_a_host_is_asked_once_for_its_org(page):
    """Its answer is kept for a while, and one that named none for less long."""
    for _ in range(3):
        await page.look(login_url=INSTANCE_URL)
        await page.look(typed="unheard-of")
    assert len(page.directory.asked) == 2
    page.clock.advance(minutes=1)
    await page.look(typed="unheard-of")
    await page.look(login_url=INSTANCE_URL)
    assert len(page.directory.asked) == 3
    page.clock.advance(minutes=10)
    await page.look(login_url=INSTANCE_URL)
    assert len(page.directory.asked) == 4


async def test_one_link_may_ask_about_a_few_hosts_only(page):
    """Else it would tell whoever has a link which orgs are the vendor's customers."""
    for number in range(7):
        await page.look(typed=f"unheard-of-{number}")
    assert await page.look(typed="globex") is Sight.SEEN
    asked = len(page.directory.asked)
    assert await page.look(typed="one-more") is Sight.ORG_UNKNOWN
    assert len(page.directory.asked) == asked
    assert await page.look(typed="globex") is Sight.SEEN
    assert await page.look(typed="one-more", id=ConnectSessionId("cs_two")) is Sight.ORG_UNKNOWN
    assert len(page.directory.asked) > asked


async def test_what_is_remembered_is_bounded(page):
    """The oldest goes first."""
    for name in ("globex", "one", "two"):
        await page.look(typed=name, id=ConnectSessionId(f"cs_{name}"))
    before = len(page.directory.asked)
    await page.look(typed="globex", id=ConnectSessionId("cs_four"))
    assert len(page.directory.asked) == before + 1


async def test_a_host_that_does_not_answer_in_time_is_not_waited_for(page):
    """The page is shown without it."""
    page.directory.gate = asyncio.Event()
    assert await page.look(login_url=INSTANCE_URL, within=0.001) is Sight.NOT_SEEN
