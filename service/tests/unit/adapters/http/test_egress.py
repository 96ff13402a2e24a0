"""Egress settings choose the road, and close the roads that lead inside."""

from __future__ import annotations

import ssl

import pytest

from keyturn_core.salesforce.hosts import Origin
from keyturn_service.adapters.http.egress import (
    Egress,
    EgressRefused,
    Road,
    TargetRefused,
    is_public,
    read_target,
    tls_context,
)

SALESFORCE = Origin("https://acme.my.salesforce.com")
LOCAL = Origin("http://127.0.0.1:41003")


@pytest.mark.parametrize(
    ("origin", "proxy", "road"),
    [
        (SALESFORCE, None, Road.GUARDED),
        (SALESFORCE, "http://egress.example:3128", Road.TUNNEL),
        (LOCAL, None, Road.DIRECT),
        (LOCAL, "http://egress.example:3128", Road.DIRECT),
    ],
)
def test_the_road_follows_origin_and_proxy(origin, proxy, road):
    """Only the development world's own origins are reached directly."""
    egress = Egress(proxy_url=proxy, loopback=frozenset({LOCAL}))

    assert egress.road(origin) is road


@pytest.mark.parametrize("proxy", [None, "http://egress.example:3128"])
@pytest.mark.parametrize("origin", ["http://127.0.0.1:41004", "https://evil.example"])
def test_there_is_no_road_to_a_host_that_is_not_salesforces(origin, proxy):
    """Whoever wrote it into the database; another port of this machine is as strange as any."""
    egress = Egress(proxy_url=proxy, loopback=frozenset({LOCAL}))

    with pytest.raises(TargetRefused):
        egress.road(Origin(origin))


@pytest.mark.parametrize("proxy", [None, "http://egress.example:3128"])
def test_calls_of_an_api_go_to_my_domains_only(proxy):
    """A customer's site is a login host, and so are the shared ones: OAuth alone goes there."""
    egress = Egress(proxy_url=proxy, loopback=frozenset({LOCAL}))

    assert egress.api_road(SALESFORCE) is egress.road(SALESFORCE)
    assert egress.api_road(LOCAL) is Road.DIRECT
    for host in ("https://acme.my.site.com", "https://login.salesforce.com"):
        assert egress.road(Origin(host)) is egress.road(SALESFORCE)
        with pytest.raises(TargetRefused):
            egress.api_road(Origin(host))
    with pytest.raises(TargetRefused):
        egress.api_road(Origin("https://evil.example"))


@pytest.mark.parametrize("url", ["socks5://egress.example", "https://egress.example", "http://"])
def test_a_proxy_of_another_kind_is_refused_at_the_start(url):
    """A wrong setting fails before the first call, and is named."""
    with pytest.raises(EgressRefused, match="KEYTURN_EGRESS_PROXY_URL"):
        Egress(proxy_url=url)


def test_the_proxys_credentials_become_a_header():
    """User and password are unquoted; none of them asks for no header."""
    egress = Egress(proxy_url="http://keyturn:p%40ss@egress.example:3128")

    assert egress.proxy_authorization() == "Basic a2V5dHVybjpwQHNz"
    assert egress.proxy_address() == ("egress.example", 3128)
    assert Egress(proxy_url="http://egress.example").proxy_authorization() is None


def test_without_a_proxy_there_is_none_to_ask_for():
    """The question itself is a mistake."""
    with pytest.raises(ValueError, match="no egress proxy"):
        Egress().proxy_address()


@pytest.mark.parametrize(
    ("origin", "authority", "tunnel"),
    [
        ("https://acme.my.salesforce.com", "acme.my.salesforce.com", "acme.my.salesforce.com:443"),
        ("https://127.0.0.1:42003", "127.0.0.1:42003", "127.0.0.1:42003"),
        ("http://[::1]", "[::1]", "[::1]:80"),
    ],
)
def test_the_authority_names_the_port_where_it_must(origin, authority, tunnel):
    """`Host` leaves a standard port out, CONNECT never does."""
    target = read_target(Origin(origin))

    assert (target.authority, target.tunnel) == (authority, tunnel)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "2002:a00:1::",
        "64:ff9b::a00:1",
        "no address",
    ],
)
def test_addresses_inside_are_not_public(address):
    """Also where an IPv4 address is dressed as IPv6."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["136.146.46.112", "2620:11f::1", "::ffff:136.146.46.112"])
def test_addresses_of_the_internet_are_public(address):
    """What an org could have is let through."""
    assert is_public(address)


def test_certificates_are_always_verified():
    """There is no switch against it."""
    context = tls_context(None)

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
