"""Which hosts are Salesforce's, and what people paste when they are asked for one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NewType
from urllib.parse import urlsplit

from keyturn_core.errors import CoreError, Remedy, Who

Origin = NewType("Origin", str)
"""`https://host[:port]`, lower case, nothing behind."""


class Environment(StrEnum):
    """What a login host serves; scratch orgs count as sandboxes."""

    PRODUCTION = "production"
    SANDBOX = "sandbox"


LOGIN_HOSTS: Final[Mapping[Environment, Origin]] = {
    Environment.PRODUCTION: Origin("https://login.salesforce.com"),
    Environment.SANDBOX: Origin("https://test.salesforce.com"),
}

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PARTITION: Final = (
    r"(?:\.(?P<partition>sandbox|develop|scratch|trailblaze|demo|patch|free|stm|wdc))?"
)
_MY_DOMAIN: Final = re.compile(
    rf"(?P<name>{_LABEL}){_PARTITION}\.my\.(?:salesforce\.com|salesforce\.mil|sfcrmproducts\.cn)"
)
_SITE: Final = re.compile(rf"{_LABEL}{_PARTITION}\.my\.site\.com")
_UI: Final = (
    (re.compile(rf"(?P<host>{_LABEL}{_PARTITION})\.lightning\.force\.com"), "salesforce.com"),
    (re.compile(rf"(?P<host>{_LABEL}{_PARTITION})\.lightning\.crmforce\.mil"), "salesforce.mil"),
    (re.compile(rf"(?P<host>{_LABEL}{_PARTITION})\.lightning\.sfcrmapps\.cn"), "sfcrmproducts.cn"),
    (
        re.compile(rf"(?P<host>{_LABEL}{_PARTITION})\.(?:my\.)?salesforce-setup\.com"),
        "salesforce.com",
    ),
    (
        # Visualforce pages stand at <my domain>--<namespace>[.partition].vf.force.com
        re.compile(rf"(?P<host>{_LABEL}{_PARTITION})\.(?:vf\.force|file\.force)\.com"),
        "salesforce.com",
    ),
)
_BARE: Final = re.compile(_LABEL)
_SANDBOX_PARTITIONS: Final = frozenset({"sandbox", "scratch"})
_LONGEST: Final = 2048  # characters that are looked at


class HostRefused(CoreError):
    """The host is not Salesforce's, or not of the kind asked for."""

    code = "host_refused"
    remedy = Remedy.RECONFIGURE
    who = Who.USER


def read_my_domain(text: str, *, loopback: frozenset[Origin] = frozenset()) -> Origin:
    """Return the login origin that a user means by what was typed or pasted.

    A bare name, a host or a whole URL; hosts of Salesforce's user interface are rewritten to
    the org's My Domain; the shared login hosts are taken too. `loopback` are the origins that
    a development world may name besides.

    Raises:
        HostRefused: it is none of these.
    """
    pasted = text.strip()
    if len(pasted) > _LONGEST:
        raise HostRefused("too long for a host")
    origin = _loopback(pasted, loopback)
    if origin is not None:
        return origin
    host = _https_host(pasted)
    if _BARE.fullmatch(host):
        host = f"{host}.my.salesforce.com"
    host = _without_interface(host)
    if f"https://{host}" in LOGIN_HOSTS.values():
        return Origin(f"https://{host}")
    if _MY_DOMAIN.fullmatch(host) or _SITE.fullmatch(host):
        return Origin(f"https://{host}")
    raise HostRefused("not a login host of Salesforce's")


def read_instance_url(text: str, *, loopback: frozenset[Origin] = frozenset()) -> Origin:
    """Return the API origin that a token response names.

    Samples show a trailing slash, other case and a doubled `https://`. Sites and the shared
    login hosts serve no API for an org and are refused.

    Raises:
        HostRefused: it is no My Domain.
    """
    stated = text.strip()
    if len(stated) > _LONGEST:
        raise HostRefused("too long for a host")
    origin = _loopback(stated, loopback)
    if origin is not None:
        return origin
    while stated.lower().startswith("https://https://"):
        stated = stated[len("https://") :]
    if not stated.lower().startswith("https://"):
        raise HostRefused("an instance URL starts with https")
    host = _https_host(stated)
    if not _MY_DOMAIN.fullmatch(host):
        raise HostRefused("not an API host of Salesforce's")
    return Origin(f"https://{host}")


def is_salesforces(origin: Origin) -> bool:
    """Tell whether an origin, written as it is kept, is one that tokens may be sent to.

    Login hosts, My Domains, and sites; no host of the user interface.
    """
    host = origin.removeprefix("https://")
    if host == origin:
        return False
    known = origin in LOGIN_HOSTS.values()
    return known or bool(_MY_DOMAIN.fullmatch(host) or _SITE.fullmatch(host))


def serves_api(origin: Origin) -> bool:
    """Tell whether an origin, written as it is kept, is one that serves an org's API: a My Domain.

    What `read_instance_url` returns is one, development worlds apart.
    """
    host = origin.removeprefix("https://")
    return host != origin and bool(_MY_DOMAIN.fullmatch(host))


def environment_of(origin: Origin) -> Environment | None:
    """Return what a host serves, None where its name does not say.

    A production My Domain and a patch org look alike; names without a partition are production.
    """
    for environment, login in LOGIN_HOSTS.items():
        if origin == login:
            return environment
    match = _MY_DOMAIN.fullmatch(origin.removeprefix("https://"))
    if match is None:
        return None
    if match["partition"] in _SANDBOX_PARTITIONS:
        return Environment.SANDBOX
    return Environment.PRODUCTION


def _loopback(text: str, allowed: frozenset[Origin]) -> Origin | None:
    """Return the allowed origin that the text names, with or without scheme."""
    if not allowed:
        return None
    lowered = text.lower().rstrip("/")
    for candidate in (lowered, f"http://{lowered}", f"https://{lowered}"):
        if candidate in allowed:
            return Origin(candidate)
    return None


def _https_host(text: str) -> str:
    """Return the host of a URL or of a text without scheme, lower case.

    Raises:
        HostRefused: another scheme, user-info, a port, or nothing that reads as a host.
    """
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
    except ValueError as error:
        raise HostRefused("not a URL") from error
    if parts.scheme.lower() != "https":
        raise HostRefused("only https")
    if "@" in parts.netloc or port is not None or "\\" in text:
        raise HostRefused("no user name, no port")
    host = (parts.hostname or "").removesuffix(".")
    if not host.isascii():
        raise HostRefused("only ASCII")
    return host


def _without_interface(host: str) -> str:
    """Return the My Domain of a host of Salesforce's user interface; others as they are."""
    for pattern, domain in _UI:
        match = pattern.fullmatch(host)
        if match is not None:
            return f"{_without_namespace(match)}.my.{domain}"
    return host


def _without_namespace(match: re.Match[str]) -> str:
    """Drop `--<namespace>` of a Visualforce host, but keep `--<sandbox>`."""
    host = match["host"]
    name, dot, partition = host.partition(".")
    parts = name.split("--")
    keep = 2 if partition == "sandbox" else 1
    return "--".join(parts[:keep]) + dot + partition
