"""Which hosts are Salesforce's, and what people paste."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.errors import Remedy, Who
from keyturn_core.salesforce.hosts import (
    LOGIN_HOSTS,
    Environment,
    HostRefused,
    Origin,
    environment_of,
    is_salesforces,
    read_instance_url,
    read_my_domain,
    serves_api,
)

PARTITIONS = ["sandbox", "develop", "scratch", "trailblaze", "demo", "patch", "free", "stm", "wdc"]
SANDBOX = "https://acme--uat.sandbox.my.salesforce.com"
LOOPBACK = frozenset({Origin("http://127.0.0.1:8080"), Origin("https://org.localhost:8443")})
SALESFORCES = re.compile(
    r"https://(login\.salesforce\.com|test\.salesforce\.com|[a-z0-9.-]+\.my\."
    r"(salesforce\.com|salesforce\.mil|sfcrmproducts\.cn|site\.com))"
)

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
hosts = st.one_of(
    labels.map("{}.my.salesforce.com".format),
    labels.map("{}.my.salesforce.mil".format),
    labels.map("{}.my.sfcrmproducts.cn".format),
    st.tuples(labels, st.sampled_from(PARTITIONS)).map("{0[0]}.{0[1]}.my.salesforce.com".format),
)


@pytest.mark.parametrize(
    "typed",
    [
        "acme",
        "ACME",
        " acme\n",
        "acme.my.salesforce.com",
        "Acme.My.Salesforce.com.",
        "https://acme.my.salesforce.com",
        "HTTPS://acme.my.salesforce.com/",
        "https://acme.my.salesforce.com/lightning/page/home?x=1#y",
        "acme.my.salesforce.com/home",
        "https://acme.lightning.force.com/lightning/setup/SetupOneHome/home",
        "acme.lightning.force.com",
        "https://acme.salesforce-setup.com/",
        "https://acme.my.salesforce-setup.com/lightning/setup",
        "https://acme--c.vf.force.com/apex/Page",
        "acme.file.force.com",
    ],
)
def test_what_people_paste_of_an_org_is_its_my_domain(typed):
    """A name, a host, a page of the user interface: all are the same org."""
    assert read_my_domain(typed) == "https://acme.my.salesforce.com"


@pytest.mark.parametrize(
    "typed",
    [
        "acme--uat.sandbox.my.salesforce.com",
        "https://acme--uat.sandbox.lightning.force.com/one",
        "acme--uat.sandbox.my.salesforce-setup.com",
        "acme--uat--ns.sandbox.vf.force.com",
        "acme--uat--c.sandbox.vf.force.com",
    ],
)
def test_a_sandbox_keeps_its_name(typed):
    """Only a namespace behind it is dropped."""
    assert read_my_domain(typed) == SANDBOX


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("acme.lightning.crmforce.mil", "https://acme.my.salesforce.mil"),
        ("acme.lightning.sfcrmapps.cn", "https://acme.my.sfcrmproducts.cn"),
        ("acme.my.salesforce.mil", "https://acme.my.salesforce.mil"),
        ("acme.my.sfcrmproducts.cn", "https://acme.my.sfcrmproducts.cn"),
        (
            "acme-dev-ed.develop.lightning.force.com",
            "https://acme-dev-ed.develop.my.salesforce.com",
        ),
        ("a-b--ns.scratch.vf.force.com", "https://a-b.scratch.my.salesforce.com"),
        ("acme.my.site.com/portal", "https://acme.my.site.com"),
        ("acme.develop.my.site.com", "https://acme.develop.my.site.com"),
        ("login.salesforce.com", "https://login.salesforce.com"),
        ("https://TEST.salesforce.com/?un=a", "https://test.salesforce.com"),
    ],
)
def test_other_clouds_sites_and_login_hosts_keep_their_own_domain(typed, origin):
    """Each interface belongs to the cloud that it stands in."""
    assert read_my_domain(typed) == origin


@pytest.mark.parametrize(
    "typed",
    [
        "",
        ".",
        "https://",
        "-acme",
        "acme-",
        "a_b",
        "acme.example",
        "acme.salesforce.com",
        "na1.salesforce.com",
        "my.salesforce.com",
        ".my.salesforce.com",
        "acme.other.my.salesforce.com",
        "acme.sandbox.uat.my.salesforce.com",
        "acme.my.salesforce.com.evil.example",
        "evilmy.salesforce.com",
        "acme.mymsalesforce.com",
        "acme.my.salesforce.community",
        "acme.myxsite.com",
        "acme.my.salesforce.com..",
        "acme.force.com",
        "acme.lightning.salesforce.com.evil.example",
        "a" * 64,
        "caf\xe9.my.salesforce.com",
        "\u24d0.my.salesforce.com",
        "acme%2emy.salesforce.com",
        "127.0.0.1",
        "169.254.169.254",
        "[::1]",
        "a.my.salesforce.com evil.example",
    ],
)
def test_what_is_not_salesforces_is_refused(typed):
    """Look-alikes, other suffixes, addresses; the message quotes nothing of it."""
    with pytest.raises(HostRefused) as refused:
        read_my_domain(typed)

    error = refused.value
    assert (error.code, error.remedy, error.who) == ("host_refused", Remedy.RECONFIGURE, Who.USER)


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("http://acme.my.salesforce.com", "only https"),
        ("ftp://acme.my.salesforce.com", "only https"),
        ("javascript://acme.my.salesforce.com", "only https"),
        ("https://user@acme.my.salesforce.com", "no user name, no port"),
        ("https://evil.example@acme.my.salesforce.com", "no user name, no port"),
        ("acme.my.salesforce.com:443", "no user name, no port"),
        ("https://acme.my.salesforce.com:8443/", "no user name, no port"),
        ("https://evil.example\\.my.salesforce.com", "no user name, no port"),
        ("https://acme.my.salesforce.com/\\evil", "no user name, no port"),
        ("https://acme.my.salesforce.com:port", "not a URL"),
        ("https://[acme", "not a URL"),
        ("https://\u0430cme.my.salesforce.com", "only ASCII"),
        ("acme.example", "not a login host of Salesforce's"),
        ("a" * 2049, "too long for a host"),
    ],
)
def test_a_refusal_says_why(typed, why):
    """Scheme, user name, port, alphabet, length, owner."""
    with pytest.raises(HostRefused) as refused:
        read_my_domain(typed)

    assert str(refused.value) == why


def test_what_is_looked_at_ends_at_2048_characters():
    """One more is refused, however it begins; spaces around do not count."""
    url = "https://acme.my.salesforce.com/".ljust(2048, "x")

    assert read_my_domain(f" {url} ") == read_instance_url(f" {url} ")
    for read in (read_my_domain, read_instance_url):
        with pytest.raises(HostRefused, match=r"^too long for a host$"):
            read(f"{url}x")


def test_a_name_of_63_characters_is_the_longest():
    """As the DNS has it; one character is enough."""
    assert read_my_domain("a" * 63) == f"https://{'a' * 63}.my.salesforce.com"
    assert read_my_domain("a") == "https://a.my.salesforce.com"


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("HTTP://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        (" 127.0.0.1:8080 ", "http://127.0.0.1:8080"),
        ("org.localhost:8443", "https://org.localhost:8443"),
        ("https://ORG.localhost:8443//", "https://org.localhost:8443"),
    ],
)
def test_a_development_world_names_its_own_origins(typed, origin):
    """With or without scheme; without such a list each is refused."""
    for read in (read_my_domain, read_instance_url):
        assert read(typed, loopback=LOOPBACK) == origin
        with pytest.raises(HostRefused):
            read(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "http://127.0.0.1:8081",
        "https://127.0.0.1:8080",
        "http://127.0.0.1:8080/path",
        "http://127.0.0.1:8080@evil.example",
        "http://127.0.0.1:80801",
    ],
)
def test_only_the_origins_named_are_a_development_worlds(typed):
    """Another port, scheme or path is no such origin."""
    with pytest.raises(HostRefused):
        read_my_domain(typed, loopback=LOOPBACK)


def test_salesforces_hosts_go_on_being_taken_in_a_development_world():
    """The list adds to them."""
    assert read_my_domain("acme", loopback=LOOPBACK) == "https://acme.my.salesforce.com"
    assert (
        read_instance_url("https://acme.my.salesforce.com", loopback=LOOPBACK)
        == "https://acme.my.salesforce.com"
    )


@pytest.mark.parametrize(
    "stated",
    [
        "https://acme.my.salesforce.com",
        "https://acme.my.salesforce.com/",
        "HTTPS://ACME.my.salesforce.com",
        "https://https://acme.my.salesforce.com",
        "https://HTTPS://https://acme.my.salesforce.com/",
        " https://acme.my.salesforce.com\n",
        "https://acme.my.salesforce.com/services/data",
    ],
)
def test_an_instance_url_is_put_into_one_form(stated):
    """Samples of Salesforce's show each of these."""
    assert read_instance_url(stated) == "https://acme.my.salesforce.com"


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ("", "an instance URL starts with https"),
        ("acme.my.salesforce.com", "an instance URL starts with https"),
        ("http://acme.my.salesforce.com", "an instance URL starts with https"),
        ("https://http://acme.my.salesforce.com", "not an API host of Salesforce's"),
        ("https://acme", "not an API host of Salesforce's"),
        ("https://login.salesforce.com", "not an API host of Salesforce's"),
        ("https://acme.my.site.com", "not an API host of Salesforce's"),
        ("https://acme.lightning.force.com", "not an API host of Salesforce's"),
        ("https://acme.my.salesforce.com.evil.example", "not an API host of Salesforce's"),
        ("https://evil.example/acme.my.salesforce.com", "not an API host of Salesforce's"),
        ("https://a@acme.my.salesforce.com", "no user name, no port"),
        ("https://acme.my.salesforce.com:444", "no user name, no port"),
    ],
)
def test_an_instance_url_that_serves_no_api_is_refused(stated, why):
    """Sites, login hosts, pages, look-alikes: nothing is guessed and nothing rewritten."""
    with pytest.raises(HostRefused) as refused:
        read_instance_url(stated)

    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("origin", "environment"),
    [
        ("https://login.salesforce.com", Environment.PRODUCTION),
        ("https://test.salesforce.com", Environment.SANDBOX),
        ("https://acme.my.salesforce.com", Environment.PRODUCTION),
        ("https://acme.my.salesforce.mil", Environment.PRODUCTION),
        (SANDBOX, Environment.SANDBOX),
        ("https://acme.scratch.my.salesforce.com", Environment.SANDBOX),
        ("https://acme.develop.my.salesforce.com", Environment.PRODUCTION),
        ("https://acme.patch.my.salesforce.com", Environment.PRODUCTION),
        ("https://acme.my.site.com", None),
        ("http://127.0.0.1:8080", None),
        ("https://evil.example", None),
    ],
)
def test_the_name_of_a_host_says_what_it_serves(origin, environment):
    """Scratch orgs count as sandboxes; other hosts do not say."""
    assert environment_of(Origin(origin)) is environment


@pytest.mark.parametrize(
    "origin",
    [*LOGIN_HOSTS.values(), SANDBOX, "https://acme.my.salesforce.mil", "https://acme.my.site.com"],
)
def test_a_kept_origin_of_salesforces_is_known(origin):
    """Login hosts, My Domains of each cloud, and sites."""
    assert is_salesforces(Origin(origin))


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "https://",
        "https://evil.example",
        "https://salesforce.com",
        "https://acme.my.salesforce.com.evil.example",
        "https://evil.example/acme.my.salesforce.com",
        "https://acme.my.salesforce.com@evil.example",
        "https://acme.my.salesforce.com:8443",
        "https://acme.my.salesforce.com/",
        "https://acme.my.salesforce.com\n",
        "https://ACME.my.salesforce.com",
        "http://acme.my.salesforce.com",
        "acme.my.salesforce.com",
        "https://acme.lightning.force.com",
        "https://169.254.169.254",
    ],
)
def test_any_other_origin_is_not_salesforces(origin):
    """However it is dressed; nor is a host that takes no tokens."""
    assert not is_salesforces(Origin(origin))


@pytest.mark.parametrize("origin", [SANDBOX, "https://acme.my.salesforce.mil"])
def test_a_my_domain_serves_an_orgs_api(origin):
    """As a token response names it."""
    assert serves_api(Origin(origin))


@pytest.mark.parametrize(
    "origin",
    [
        *LOGIN_HOSTS.values(),
        "https://acme.my.site.com",
        "https://acme.my.salesforce.com/",
        "http://acme.my.salesforce.com",
        "acme.my.salesforce.com",
        "https://evil.example",
        "",
    ],
)
def test_a_login_host_or_a_site_serves_no_orgs_api(origin):
    """Nor does any that is not Salesforce's."""
    assert not serves_api(Origin(origin))


def test_each_environment_has_its_login_host():
    """As Salesforce documents them."""
    assert LOGIN_HOSTS == {
        Environment.PRODUCTION: "https://login.salesforce.com",
        Environment.SANDBOX: "https://test.salesforce.com",
    }


@given(host=hosts)
def test_every_my_domain_reads_as_itself_from_both_doors(host):
    """Whatever its name, partition and cloud; and reading twice changes nothing."""
    origin = read_my_domain(host)

    assert origin == f"https://{host}" == read_instance_url(f"https://{host}/")
    assert read_my_domain(origin) == origin
    assert environment_of(origin) is not None


@given(text=st.text() | st.tuples(st.text(), hosts, st.text()).map("".join))
def test_whatever_is_typed_nothing_but_salesforces_hosts_comes_out(text):
    """A host of Salesforce's or a refusal: never another host, however it is dressed."""
    for read in (read_my_domain, read_instance_url):
        try:
            origin = read(text)
        except HostRefused:
            continue
        assert SALESFORCES.fullmatch(origin)
        assert is_salesforces(origin)
