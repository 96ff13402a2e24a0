"""Workspaces and apps: the vendor's product, and its External Client Apps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.scopes import Scope
from keyturn_service.domain.ids import AppId, WorkspaceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """One vendor product in one environment; every row belongs to one."""

    id: WorkspaceId
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One External Client App of the vendor, as this service knows it.

    `login_hosts` is where a person logs in who names no My Domain. `consumer_key` is None until
    the consumer credentials were put; the consumer secret rests in the vault, never here.
    `start_url` is the page of the vendor's product on which connecting begins, if it named one.
    """

    id: AppId
    workspace_id: WorkspaceId
    name: str
    namespace: str | None
    callback_urls: tuple[str, ...]
    return_origins: tuple[str, ...]
    scopes: frozenset[Scope]
    login_hosts: Mapping[Environment, Origin]
    consumer_key: str | None
    install_urls: Mapping[Environment, str]
    allow_same_org: bool
    created_at: datetime
    start_url: str | None = None

    def callback_on(self, origin: str) -> str | None:
        """Return the registered callback URL on `origin`, the face a browser came by."""
        for url in self.callback_urls:
            if origin_of(url) == origin:
                return url
        return None

    def accepts_return_url(self, url: str) -> bool:
        """Tell whether a browser may be sent back to `url`.

        Only https, or http of a registered origin; no user-info and no fragment, so that
        nothing but the registered origin can be reached.
        """
        if origin_of(url) not in self.return_origins:
            return False  # also what is no URL at all
        parts = urlsplit(url)
        if parts.username or parts.password or parts.fragment or "\\" in url:
            return False
        return parts.scheme in {"https", "http"}


def origin_of(url: str) -> str | None:
    """Return `scheme://host[:port]` of a URL, lower case, default ports left out."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    standard = {"https": 443, "http": 80}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port is None or port == standard else f":{port}"
    return f"{parts.scheme}://{host}{suffix}"
