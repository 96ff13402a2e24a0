"""Which site a call is meant for, by which face it came, and where a login may lead."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgsim.sites import Directory, Ports
from orgsim.surfaces.login_pages.rules import safe_start, source_of

DIRECTORY = Directory(
    ports=Ports(
        plain={"login": 41003, "org1": 41004},
        tls={"login": 42003, "org1": 42004},
        names=42011,
        control=41009,
        connect_proxy=42010,
    ),
    hosts={"login": "login.salesforce.com", "org1": "northwind.my.salesforce.com"},
)


@pytest.mark.parametrize(
    ("port", "secure", "host", "site", "origin"),
    [
        (41003, False, "127.0.0.1:41003", "login", "http://127.0.0.1:41003"),
        (41004, False, "localhost:41004", "org1", "http://localhost:41004"),
        (42004, True, "127.0.0.1:42004", "org1", "https://127.0.0.1:42004"),
        (42011, True, "login.salesforce.com", "login", "https://login.salesforce.com"),
        (
            42011,
            True,
            "Northwind.My.Salesforce.com:443",
            "org1",
            "https://northwind.my.salesforce.com",
        ),
    ],
)
def test_a_call_is_located_and_keeps_its_face(port, secure, host, site, origin):
    """Names win where the call is encrypted, else ports."""
    found = DIRECTORY.locate(port=port, secure=secure, host_header=host)
    assert found is not None
    assert found[0] == site
    assert found[1].origin(site) == origin
    assert found[1].secure is secure


@pytest.mark.parametrize(
    ("port", "secure", "host"),
    [(42011, True, "elsewhere.my.salesforce.com"), (42011, True, ""), (41009, False, "127.0.0.1")],
)
def test_what_is_no_site_is_not_located(port, secure, host):
    """An unknown name on the port of names, or another port."""
    assert DIRECTORY.locate(port=port, secure=secure, host_header=host) is None


@given(st.text(alphabet="/\\:.aeh?=#@ \t", max_size=12))
def test_a_start_path_stays_on_its_site(text):
    """As browsers read it, backslashes included."""
    start = safe_start(text)
    assert start.startswith("/")
    assert not start.startswith(("//", "/\\"))
    assert urlsplit(start).netloc == ""


def test_a_start_path_names_its_pending_request():
    """Or none."""
    assert source_of("/setup/page?source=abc&x=1") == "abc"
    assert source_of("/home") is None
