"""What an answer to an API call says about its session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.salesforce.api_errors import SessionVerdict, session_verdict

EXPIRED, REFUSED, FINE = SessionVerdict.EXPIRED, SessionVerdict.REFUSED, SessionVerdict.FINE
INVALID = b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]'


@pytest.mark.parametrize(
    "body",
    [
        INVALID,
        b'[{"errorCode":"INVALID_SESSION_ID"},{"errorCode":"OTHER"}]',
        b"<Errors><Error><errorCode>INVALID_SESSION_ID</errorCode></Error></Errors>",
    ],
)
def test_an_expired_session_is_renewed(body):
    """REST says so in an array, or in XML where the caller asked for that."""
    assert session_verdict(401, body) is EXPIRED


def fault(code, said="x"):
    """Return a SOAP fault."""
    return (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>'
        f"<faultcode>{code}</faultcode><faultstring>{said}</faultstring></e:Fault></e:Body>"
        "</e:Envelope>"
    ).encode()


def test_soap_says_so_by_a_fault():
    """Its status is 500, as that of any fault."""
    assert session_verdict(500, fault("sf:INVALID_SESSION_ID")) is EXPIRED
    assert session_verdict(500, fault("sf:INVALID_FIELD")) is FINE
    text = "This session is not valid for use with the API"
    assert session_verdict(500, fault("sf:INVALID_SESSION_ID", text)) is REFUSED


@pytest.mark.parametrize("body", [b"Bad_OAuth_Token", b" Bad_OAuth_Token\r\n"])
def test_identity_says_so_in_one_word(body):
    """Identity, userinfo and singleaccess answer 403 and plain text."""
    assert session_verdict(403, body) is EXPIRED


@pytest.mark.parametrize(
    "text",
    [
        b"This session is not valid for use with the REST API",
        b"THIS SESSION IS NOT VALID FOR USE WITH THE REST API",
        b"Connected app is not attached to Agent",
    ],
)
def test_a_refusal_that_no_new_token_mends_is_no_expiry(text):
    """Whoever renewed on these looped for ever; the error code beside them does not count."""
    body = b'[{"message":"%s","errorCode":"INVALID_SESSION_ID"}]' % text

    assert session_verdict(401, body) is REFUSED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Bad_OAuth_Token",
        b"<html>INVALID_SESSION_ID</html>",
        b"[]",
        b'{"errorCode":"INVALID_SESSION_ID"}',
        b'[{"errorCode":"INVALID_AUTH_HEADER"}]',
        b'[{"errorCode":"OTHER"},{"errorCode":"INVALID_SESSION_ID"}]',
        b'["INVALID_SESSION_ID"]',
        b'[{"errorCode":"INVALID_SESSION_ID"',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_any_other_401_refuses(body):
    """A proxy's page, another code, a broken answer: nothing to renew for."""
    assert session_verdict(401, body) is REFUSED


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b'[{"errorCode":"INSUFFICIENT_ACCESS"}]'),
        (403, b"Bad_OAuth_Token?"),
        (403, b"Missing_OAuth_Token"),
        (403, b""),
        (403, INVALID),
        (200, INVALID),
        (200, b"Bad_OAuth_Token"),
        (400, b"Bad_OAuth_Token"),
        (404, b""),
        (500, INVALID),
        (503, b"<html>"),
    ],
)
def test_any_other_answer_says_nothing_against_the_session(status, body):
    """403 is about permissions; what a body quotes under another status does not count."""
    assert session_verdict(status, body) is FINE


@given(status=st.sampled_from([200, 400, 401, 403, 500]), body=st.binary())
def test_any_bytes_have_a_verdict(status, body):
    """Nothing is raised, and only 401 and 403 can speak against the session."""
    verdict = session_verdict(status, body)

    assert verdict in {401: {REFUSED, EXPIRED}, 403: {FINE, EXPIRED}}.get(status, {FINE})
