"""By which of its addresses a request reached the service."""

from __future__ import annotations

import pytest

from keyturn_service.web.faces import Faces

PLAIN, SECURE = "http://127.0.0.1:41001", "https://127.0.0.1:42001"
NAMED = "https://connect.keyturn.example"
FACES = Faces([PLAIN, SECURE, NAMED])


def scope(*hosts, scheme="http"):
    """Return a request's scope with `Host` headers."""
    headers = [(b"host", host.encode("latin-1")) for host in hosts]
    return {"type": "http", "scheme": scheme, "headers": headers}


@pytest.mark.parametrize(
    ("host", "scheme", "face"),
    [
        ("127.0.0.1:41001", "http", PLAIN),
        ("127.0.0.1:42001", "https", SECURE),
        ("connect.keyturn.example", "https", NAMED),
        ("connect.keyturn.example:443", "https", NAMED),
        ("Connect.Keyturn.EXAMPLE", "https", NAMED),
        ("connect.keyturn.example", "http", NAMED),
        ("connect.keyturn.example:443", "http", NAMED),
    ],
)
def test_a_request_is_known_by_its_host(host, scheme, face):
    """Behind what ends TLS, a request for an https face comes in as plain http."""
    assert FACES.find(scope(host, scheme=scheme)) == face


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("127.0.0.1",),
        ("127.0.0.1:41002",),
        ("connect.keyturn.example.evil.example",),
        ("connect.keyturn.example:80",),
        ("connect.keyturn.example", "evil.example"),
        ("connect.keyturn.example", "connect.keyturn.example"),
        ("\xff",),
    ],
)
def test_other_hosts_are_none_of_ours(hosts):
    """No host, another one, or two of them: a link must not be made for such a request."""
    assert FACES.find(scope(*hosts)) is None
    assert FACES.of(scope(*hosts)) == PLAIN


def test_the_scheme_decides_between_two_of_the_same_host():
    """A host that has both a plain and a secure face."""
    both = Faces(["http://a.example", "https://a.example"])

    assert both.find(scope("a.example", scheme="https")) == "https://a.example"
    assert both.find(scope("a.example", scheme="http")) == "http://a.example"
    assert both.find(scope("a.example:80", scheme="http")) == "http://a.example"
