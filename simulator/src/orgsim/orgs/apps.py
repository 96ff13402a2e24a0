"""External Client Apps as their developer sets them up."""

import hmac
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

Distribution = Literal["packaged", "everywhere", "local"]

SYNONYMS = {"offline_access": "refresh_token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One app: the developer's half of its settings.

    `packaged` apps exist where their package is installed, `everywhere` ones in each org,
    `local` ones only in `home_org`.
    """

    name: str
    namespace: str | None
    consumer_key: str
    consumer_secret: str
    callback_urls: tuple[str, ...]
    scopes: frozenset[str]
    distribution: Distribution = "packaged"
    home_org: str | None = None
    secret_required: bool = True
    secret_required_for_refresh: bool = True
    pkce_required: bool = True
    rotation: bool = True
    idle_ttl_days: int | None = 30
    refresh_ip_allowlist: tuple[str, ...] = ()
    access_token_format: Literal["opaque", "jwt"] = "opaque"  # noqa: S105 - a format's name
    jwt_access_token_minutes: int = 30
    id_token_minutes: int = 2
    introspects_all_tokens: bool = False
    certificate_pem: str | None = None
    principal: str | None = None  # under a staged key: the key in force, by which orgs know the app

    def accepts_callback(self, redirect_uri: str) -> bool:
        """Tell whether the URL is, byte for byte, one of the registered ones."""
        return redirect_uri in self.callback_urls

    def secret_is(self, presented: str) -> bool:
        """Compare a presented consumer secret in constant time."""
        return hmac.compare_digest(self.consumer_secret.encode(), presented.encode())

    def admits_address(self, address: str) -> bool:
        """Tell whether the refresh-token IP allow-list lets this caller in; empty means all.

        Spec: Salesforce Help, "Set an IP Allowlist for Refresh Tokens".
        """
        if not self.refresh_ip_allowlist:
            return True
        try:
            caller = ip_address(address)
        except ValueError:
            return False
        return any(caller in ip_network(entry, strict=False) for entry in self.refresh_ip_allowlist)


def read_scopes(text: str) -> frozenset[str]:
    """Split a scope parameter; synonyms become one name."""
    return frozenset(SYNONYMS.get(word, word) for word in text.split())
