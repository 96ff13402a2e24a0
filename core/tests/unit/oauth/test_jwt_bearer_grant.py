"""The JWT bearer grant: what is signed, what is sent, and every kind of answer."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.oauth.jwt_bearer_grant import (
    GRANT_TYPE,
    audiences,
    jwt_bearer_request,
    read_jwt_bearer_answer,
    signed,
    signing_input,
)
from keyturn_core.oauth.token_answer import (
    NotProcessed,
    OutcomeUnknown,
    TokenAnswer,
    TokenRequestRefused,
    UnexpectedAnswer,
)
from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.secrets import AccessToken, Assertion

NOW = datetime(2026, 11, 25, 12, 0, 0, 900_000, tzinfo=UTC)
LOGIN, TEST = "https://login.salesforce.com", "https://test.salesforce.com"
MINE = Origin("https://acme.my.salesforce.com")
SANDBOX = Origin("https://acme--uat.sandbox.my.salesforce.com")
LOOPBACK = Origin("http://127.0.0.1:41003")
PRODUCTION, SANDBOXES = Environment.PRODUCTION, Environment.SANDBOX


def to_sign(**changed: object) -> bytes:
    """Return a signing input."""
    asked: dict = {
        "consumer_key": "3MVG9.key",
        "username": "jürgen@acme.example",
        "audience": LOGIN,
        "now": NOW,
    }
    return signing_input(**asked | changed)


def decoded(part: bytes) -> dict:
    """Read a part of a JWT."""
    return json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))


def answer(said: object, *, status: int = 200, complete: bool = True) -> TokenAnswer:
    """Write an answer: bytes as they are, anything else as JSON."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return TokenAnswer(status=status, body=body, complete=complete)


def test_the_claims_are_the_four_that_salesforce_documents():
    """The end is a whole number of seconds, within three minutes."""
    header, claims = to_sign().split(b".")

    assert decoded(header) == {"alg": "RS256", "typ": "JWT"}
    said = decoded(claims)
    assert said == {
        "iss": "3MVG9.key",
        "sub": "jürgen@acme.example",
        "aud": LOGIN,
        "exp": int(NOW.timestamp()) + 150,
    }
    assert type(said["exp"]) is int
    assert b"=" not in header + claims


def test_whoever_holds_the_certificate_can_verify_the_assertion():
    """The signature is over the first two parts, as RFC 7515 has it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signature = key.sign(to_sign(), padding.PKCS1v15(), hashes.SHA256())

    assertion = signed(to_sign(), signature)

    *parts, last = assertion.reveal().encode().split(b".")
    assert b".".join(parts) == to_sign()
    key.public_key().verify(
        base64.urlsafe_b64decode(last + b"=="),
        b".".join(parts),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    assert "eyJ" not in repr(assertion)


def test_only_padding_is_left_out_of_a_part():
    """Whatever the bytes are: an X at the end is a character of base64url, too."""
    for signature in (b"\x01\x02\xd7", b"\x01\x02", b"\x5d\x75\xd7"):
        last = signed(b"a.b", signature).reveal().rpartition(".")[2]
        assert base64.urlsafe_b64decode(last + "=" * (-len(last) % 4)) == signature


def test_a_part_holds_no_blank():
    """It is as short as JSON can be: the assertion travels with each request."""
    header, claims = to_sign().split(b".")

    for part in (header, claims):
        assert b" " not in base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def test_the_request_carries_the_assertion_and_nothing_else():
    """No client id, no secret, no scope: Salesforce honours none of them here."""
    body = jwt_bearer_request(Assertion("a.b.c-_"))

    assert parse_qsl(body.decode()) == [("grant_type", GRANT_TYPE), ("assertion", "a.b.c-_")]


def test_a_success_is_read_without_what_this_grant_lacks():
    """Five members; neither signature nor time of issue nor refresh token."""
    response = read_jwt_bearer_answer(
        answer(
            {
                "access_token": "00D!AQ.token",
                "scope": "api refresh_token",
                "instance_url": MINE,
                "id": f"{LOGIN}/id/00D5g000004bLxZEAU/0055g000001aBcDAAU",
                "token_type": "Bearer",
            }
        )
    )

    assert response.access_token == AccessToken("00D!AQ.token")
    assert response.refresh_token is None
    assert (response.signature, response.issued_at) == (None, None)
    assert response.instance_url == MINE


def test_a_success_without_an_access_token_is_out_of_shape():
    """Nothing can be kept of it."""
    with pytest.raises(UnexpectedAnswer, match=r"^no access token$"):
        read_jwt_bearer_answer(answer({"token_type": "Bearer"}))


@pytest.mark.parametrize(
    ("description", "code"),
    [
        ("user hasn't approved this consumer", "user_not_preauthorized"),
        ("invalid assertion", "assertion_invalid"),
        (None, "unknown_refusal"),
        (7, "unknown_refusal"),
    ],
)
def test_a_refusal_means_what_it_means_to_an_assertion(description, code):
    """Told apart by the description, where it is text."""
    said = {"error": "invalid_grant", "error_description": description}
    with pytest.raises(TokenRequestRefused) as refused:
        read_jwt_bearer_answer(answer(said, status=400))
    assert refused.value.code == code
    words = description if isinstance(description, str) else None
    assert refused.value.said == "invalid_grant" + (f": {words}" if words else "")


@pytest.mark.parametrize("status", [429, 503])
def test_an_org_that_is_too_busy_has_not_processed_it(status):
    """It says so itself, on a page or not."""
    with pytest.raises(NotProcessed, match=f"^HTTP {status}$"):
        read_jwt_bearer_answer(answer(b"<html>", status=status))


@pytest.mark.parametrize(
    ("said", "status", "complete"),
    [
        (b"<html>", 200, True),
        (b"<html>", 500, True),
        ({"access_token": "00D!AQ"}, 200, False),
        ({"error": "invalid_grant"}, 400, False),
        (b"", 503, False),
    ],
)
def test_anything_else_says_nothing(said, status, complete):
    """The edge's pages, and what was cut short."""
    expected = UnexpectedAnswer if status == 200 and complete else OutcomeUnknown
    words = "no access token" if expected is UnexpectedAnswer else f"HTTP {status}"
    with pytest.raises(expected, match=f"^{words}$"):
        read_jwt_bearer_answer(answer(said, status=status, complete=complete))


@pytest.mark.parametrize(
    ("login_url", "environment", "known", "tried"),
    [
        (Origin(LOGIN), PRODUCTION, None, [LOGIN, TEST]),
        (Origin(TEST), PRODUCTION, None, [TEST, LOGIN]),
        (MINE, SANDBOXES, None, [LOGIN, MINE, TEST]),
        (SANDBOX, PRODUCTION, None, [TEST, SANDBOX, LOGIN]),
        (MINE, PRODUCTION, MINE, [MINE, LOGIN, TEST]),
        (LOOPBACK, SANDBOXES, None, [TEST, LOOPBACK, LOGIN]),
        (LOOPBACK, PRODUCTION, TEST, [TEST, LOGIN, LOOPBACK]),
    ],
)
def test_audiences_are_tried_in_the_robust_order(login_url, environment, known, tried):
    """What worked before, the environment's login host, the host itself, the other login host."""
    assert audiences(login_url, environment, known=known) == tried


@given(body=st.binary(max_size=200), status=st.integers(100, 599), complete=st.booleans())
def test_any_bytes_give_a_response_or_a_declared_error(body, status, complete):
    """Nothing else comes out of them."""
    try:
        read_jwt_bearer_answer(TokenAnswer(status=status, body=body, complete=complete))
    except (TokenRequestRefused, NotProcessed, OutcomeUnknown, UnexpectedAnswer):
        return
