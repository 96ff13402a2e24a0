"""Where a package version is installed, by environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keyturn_core.salesforce.hosts import LOGIN_HOSTS, Environment

_PATH: Final = "/packaging/installPackage.apexp?p0="
_MY_DOMAIN: Final = "https://<MyDomain>.my.salesforce.com"


def install_links(version_id: str, login_hosts: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the links for production, sandboxes and a My Domain, which avoids a wrong session.

    `login_hosts` replaces Salesforce's, by environment, in a world of one's own.
    """
    hosts = {one.value: str(LOGIN_HOSTS[one]) for one in Environment} | dict(login_hosts or {})
    links = {name: f"{host.rstrip('/')}{_PATH}{version_id}" for name, host in hosts.items()}
    return links | {"my_domain": f"{_MY_DOMAIN}{_PATH}{version_id}"}
