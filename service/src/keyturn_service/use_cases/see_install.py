"""See whether the org that somebody is about to connect has the vendor's package."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from enum import StrEnum
from typing import Any, Final

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, HostRefused, Origin, read_my_domain
from keyturn_core.salesforce.ids import OrgId
from keyturn_core.salesforce.package_subscribers import PackageVersionId, version_of
from keyturn_service.domain.app import App
from keyturn_service.domain.connect_session import ConnectSession
from keyturn_service.domain.ids import ConnectSessionId
from keyturn_service.ports import Clock, OrgDirectory, OrgUnreachable, PackageInOrg
from keyturn_service.use_cases.watch_installs import WatchInstalls

_KNOWN_FOR: Final = 600.0  # seconds that an org's id stands for its My Domain
_UNKNOWN_FOR: Final = 30.0  # seconds until a host that named no org is asked again
_TYPED_HOSTS: Final = 8  # that one link may ask about: whose package is where is not for guessing


class Sight(StrEnum):
    """What is to be seen of an install."""

    NOT_WATCHED = "not_watched"  # no Dev Hub is set up, or the app has no package
    ORG_UNKNOWN = "org_unknown"  # nobody has named the org's My Domain yet
    NOT_SEEN = "not_seen"  # not installed, or the Dev Hub does not know yet
    SEEN = "seen"


class SeeInstall:
    """Find the org by its My Domain, then the install in what the Dev Hub knows.

    What fails on the way is never an error: it is then not seen.
    """

    def __init__(
        self,
        *,
        watch: WatchInstalls | None,
        directory: OrgDirectory,
        clock: Clock,
        loopback: frozenset[Origin],
        remembered: int = 10_000,
    ) -> None:
        self._watch = watch
        self._directory = directory
        self._clock = clock
        self._loopback = loopback
        self._remembered = remembered  # hosts, and links
        self._orgs: OrderedDict[Origin, tuple[OrgId | None, float]] = OrderedDict()
        self._typed: OrderedDict[ConnectSessionId, set[Origin]] = OrderedDict()

    def is_watched(self, app: App) -> bool:
        """Tell whether an install of the app's package can be seen at all."""
        return self._watch is not None and bool(_versions(app))

    async def __call__(
        self,
        session: ConnectSession,
        app: App,
        *,
        my_domain: str | None,
        login_hosts: Collection[Origin],
        within: float,
    ) -> Sight:
        """Return what is to be seen `within` seconds.

        `my_domain` is what the user named, if anything; at `login_hosts` people log in who name
        none, so that these stand for no org.
        """
        versions = _versions(app)
        if self._watch is None or not versions:
            return Sight.NOT_WATCHED
        host = self._host(session, my_domain)
        if host is None or host in login_hosts or host in LOGIN_HOSTS.values():
            return Sight.ORG_UNKNOWN
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(within):
                org_id = await self._org_at(host)
        except TimeoutError:
            return Sight.NOT_SEEN
        if org_id is None:
            return Sight.ORG_UNKNOWN
        left = within - (self._clock.monotonic() - begun)
        asked = [PackageInOrg(version=version, org_id=org_id) for version in sorted(versions)]
        return Sight.SEEN if await self._watch(asked, within=left) else Sight.NOT_SEEN

    def _host(self, session: ConnectSession, my_domain: str | None) -> Origin | None:
        """Return the host that the vendor named, or else the user."""
        if session.login_url is not None:
            return session.login_url
        return self._typed_host(session.id, my_domain) if my_domain else None

    def _typed_host(self, session_id: ConnectSessionId, typed: str) -> Origin | None:
        try:
            host = read_my_domain(typed, loopback=self._loopback)
        except HostRefused:
            return None
        hosts = self._typed.setdefault(session_id, set())
        if host not in hosts and len(hosts) >= _TYPED_HOSTS:
            return None
        hosts.add(host)
        self._forget_oldest(self._typed)
        return host

    async def _org_at(self, host: Origin) -> OrgId | None:
        kept, until = self._orgs.get(host, (None, 0.0))
        if self._clock.monotonic() < until:
            return kept
        try:
            org_id: OrgId | None = (await self._directory.auth_configuration(host)).org_id
        except OrgUnreachable:
            org_id = None
        life = _UNKNOWN_FOR if org_id is None else _KNOWN_FOR
        self._orgs[host] = (org_id, self._clock.monotonic() + life)
        self._forget_oldest(self._orgs)
        return org_id

    def _forget_oldest(self, memory: OrderedDict[Any, Any]) -> None:
        if len(memory) > self._remembered:
            memory.popitem(last=False)


def _versions(app: App) -> frozenset[PackageVersionId]:
    """Return the versions that the app's install links name."""
    found = (version_of(url) for url in app.install_urls.values())
    return frozenset(version for version in found if version is not None)
