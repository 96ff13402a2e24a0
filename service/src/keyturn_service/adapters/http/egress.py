"""Which road a call takes out of this machine, and where none may go."""

from __future__ import annotations

import ipaddress
import ssl
from base64 import b64encode
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import structlog

from keyturn_core.salesforce.hosts import Origin, is_salesforces, serves_api

_log = structlog.get_logger()
_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80


class Road(Enum):
    """How a connection to an origin is made."""

    DIRECT = auto()  # a port of a development world on this machine
    TUNNEL = auto()  # CONNECT through the egress proxy, which resolves the name
    GUARDED = auto()  # from here, to public addresses only


class EgressRefused(Exception):
    """A setting for calls to Salesforce cannot be used; the text says which and why."""


class TargetRefused(Exception):
    """No call may go there: not a host of Salesforce's, or an address that is not public."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The operator's settings for calls to Salesforce.

    `proxy_url` is `http://[user:password@]host:port` of a proxy that answers CONNECT.
    `loopback` holds the exact origins of a development world, which are reached directly and
    may speak plain http. Seconds are of the machine's own clock: until a connection stands, then
    until the last byte of an answer. Both together, and the time to keep what came, have to fit
    into a refresh lease (`use_cases.refresh_tokens`).

    Raises:
        EgressRefused: the proxy or the file cannot be used.
    """

    proxy_url: str | None = None
    ca_file: Path | None = None
    loopback: frozenset[Origin] = frozenset()
    connect_seconds: float = 10.0
    answer_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.proxy_url is not None:
            _see_proxy(self.proxy_url)
        if self.ca_file is not None:
            _see_authorities(self.ca_file)

    def road(self, origin: Origin) -> Road:
        """Choose the road to an origin.

        Origins were looked at when they were told; who can write the database has named another
        one since.

        Raises:
            TargetRefused: the origin is neither Salesforce's nor of a development world.
        """
        if origin in self.loopback:
            return Road.DIRECT
        if not is_salesforces(origin):
            _log.error("host_is_not_salesforces", host=origin)
            raise TargetRefused("tokens are sent to Salesforce's hosts only")
        return Road.GUARDED if self.proxy_url is None else Road.TUNNEL

    def api_road(self, origin: Origin) -> Road:
        """Choose the road to an origin for a call of an org's API.

        Customers' sites and the shared login hosts are asked for tokens, and never called.

        Raises:
            TargetRefused: the origin is neither a My Domain nor of a development world.
        """
        if origin not in self.loopback and not serves_api(origin):
            _log.error("host_serves_no_api", host=origin)
            raise TargetRefused("calls go to My Domains only")
        return self.road(origin)

    def proxy_address(self) -> tuple[str, int]:
        """Return host and port of the egress proxy."""
        proxy = self._proxy()
        return proxy.hostname or "", proxy.port or _HTTP_PORT

    def proxy_authorization(self) -> str | None:
        """Return the `Proxy-Authorization` that the proxy's URL asks for."""
        proxy = self._proxy()
        if proxy.username is None:
            return None
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        return f"Basic {b64encode(pair.encode()).decode()}"

    def _proxy(self) -> SplitResult:
        if self.proxy_url is None:
            raise ValueError("there is no egress proxy")
        return urlsplit(self.proxy_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An origin, taken apart for connecting."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The value of `Host`: the port is named where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        standard = _HTTPS_PORT if self.tls else _HTTP_PORT
        return host if self.port == standard else f"{host}:{self.port}"

    @property
    def tunnel(self) -> str:
        """The authority of CONNECT, which always names the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_target(origin: Origin) -> Target:
    """Take an origin apart."""
    parts = urlsplit(origin)
    tls = parts.scheme == "https"
    standard = _HTTPS_PORT if tls else _HTTP_PORT
    return Target(host=parts.hostname or "", port=parts.port or standard, tls=tls)


def is_public(address: str) -> bool:
    """Tell whether an IP address is one that a customer's org could have.

    An IPv4 address dressed as IPv6 counts as what it is; what is no address is not public.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner_ipv4(parsed)
    return parsed.is_global and not parsed.is_multicast and (inner is None or is_public(inner))


def _inner_ipv4(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    """Return the IPv4 address that an IPv6 one carries (mapped, 6to4, NAT64), if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    carried = address.ipv4_mapped or address.sixtofour
    return None if carried is None else str(carried)


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def _see_proxy(url: str) -> None:
    try:
        proxy = urlsplit(url)
        fits = proxy.scheme == "http" and proxy.hostname and proxy.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise EgressRefused("KEYTURN_EGRESS_PROXY_URL: write http://[user:password@]host:port")


def _see_authorities(ca_file: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=ca_file)
    except OSError as error:  # SSLError is one
        words = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate in PEM"
        raise EgressRefused(f"KEYTURN_CA_FILE: cannot use {ca_file}: {words}") from None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context for calls to Salesforce: the system's authorities and one more."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
