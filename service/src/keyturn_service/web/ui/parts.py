"""What the pages need of the service: a slice of its wiring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keyturn_service.ports import Apps, KeyedHash, Randomness, Workspaces
from keyturn_service.use_cases.begin_authorization import BeginAuthorization
from keyturn_service.use_cases.complete_authorization import CompleteAuthorization
from keyturn_service.use_cases.find_connect_session import FindConnectSession
from keyturn_service.use_cases.open_link import OpenLink
from keyturn_service.use_cases.see_install import SeeInstall


class UiParts(Protocol):
    """Use cases and ports behind the pages; `web.wiring` has them and more."""

    @property
    def open_link(self) -> OpenLink:
        """Find the session that a link names."""
        ...

    @property
    def see_install(self) -> SeeInstall:
        """Look whether the org has the package."""
        ...

    @property
    def begin_authorization(self) -> BeginAuthorization:
        """Bind the session to a browser, and say where the browser goes."""
        ...

    @property
    def complete_authorization(self) -> CompleteAuthorization:
        """Take the authorization response."""
        ...

    @property
    def find_connect_session(self) -> FindConnectSession:
        """Find a session as it stands now."""
        ...

    @property
    def workspaces(self) -> Workspaces:
        """Tell which workspaces a session may be in."""
        ...

    @property
    def apps(self) -> Apps:
        """Tell whose product a page speaks of."""
        ...

    @property
    def hashes(self) -> KeyedHash:
        """Bind form tokens and browsers to their cookie."""
        ...

    @property
    def randomness(self) -> Randomness:
        """Make a browser's secret."""
        ...

    @property
    def public_urls(self) -> Sequence[str]:
        """The origins that browsers reach this service by."""
        ...
