"""When an access token in JWT format ends."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.oauth.jwt_access_token import expiry_of_jwt
from keyturn_core.secrets import AccessToken

END_OF_9999 = 253402300799


def jwt(payload: object, *, padded: bool = False) -> AccessToken:
    """Write a token with this payload: bytes as they are, anything else as JSON."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    middle = base64.urlsafe_b64encode(raw).decode()
    return AccessToken(f"head.{middle if padded else middle.rstrip('=')}.signature")


@pytest.mark.parametrize("name", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("padded", [False, True])
def test_the_end_is_read_whatever_the_payloads_length(name, padded):
    """Base64url without padding, as RFC 7515 writes it, or with it."""
    token = jwt({"iss": name, "exp": 1793000000}, padded=padded)

    assert expiry_of_jwt(token) == 1793000000


def test_the_alphabet_is_the_url_one():
    """A payload whose text needs `-` and `_`."""
    token = jwt('{"exp": 5, "n": "\u00bf\u00ff\u00be?>~"}'.encode())

    assert set("-_") & set(token.reveal())
    assert expiry_of_jwt(token) == 5


@pytest.mark.parametrize(
    ("exp", "read"),
    [
        (1, 1),
        (END_OF_9999, END_OF_9999),
        (END_OF_9999 + 1, None),
        (0, None),
        (-5, None),
        (True, None),
        (False, None),
        (1.5, None),
        ("1793000000", None),
        (None, None),
    ],
)
def test_only_whole_seconds_that_are_a_date_count(exp, read):
    """What no clock can take says nothing."""
    assert expiry_of_jwt(jwt({"exp": exp})) == read


@pytest.mark.parametrize(
    "token",
    [
        "00Dxx0000000001!AQcAQH.opaque_one",
        "",
        "a.b",
        "a.b.c.d",
        "..",
        "a.caf\xe9.c",
        "a.AAAAA.c",
        f"a.{base64.urlsafe_b64encode(b'[' * 50_000).decode()}.c",
    ],
)
def test_an_opaque_token_does_not_say_when_it_ends(token):
    """Other counts of parts, other alphabets, no JSON, too deep: nothing is raised."""
    assert expiry_of_jwt(AccessToken(token)) is None


@pytest.mark.parametrize("payload", [{}, [], 7, b"\xff\xfe", b"{"])
def test_a_payload_without_an_end_says_nothing(payload):
    """Not an object, no `exp`, or no JSON."""
    assert expiry_of_jwt(jwt(payload)) is None


def test_four_parts_are_no_jwt_although_the_second_reads_well():
    """A JWS has three parts; five would be encrypted."""
    whole = jwt({"exp": 5}).reveal()

    assert expiry_of_jwt(AccessToken(f"{whole}.more")) is None
    assert expiry_of_jwt(AccessToken(whole.rpartition(".")[0])) is None


@given(text=st.text() | st.builds("a.{}.c".format, st.text()))
def test_any_text_reads_as_an_end_or_none(text):
    """Nothing is raised whatever the token holds."""
    assert expiry_of_jwt(AccessToken(text)) is None or text.count(".") == 2
