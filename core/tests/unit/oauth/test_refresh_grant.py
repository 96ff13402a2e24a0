"""The refresh grant: every kind of answer, and what is saved out of broken ones."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyturn_core.oauth.client import Client
from keyturn_core.oauth.refresh_grant import read_refresh_answer, refresh_request
from keyturn_core.oauth.token_answer import (
    NotProcessed,
    OutcomeUnknown,
    TokenAnswer,
    TokenRequestRefused,
    TokenResponse,
)
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, ConsumerSecret, RefreshToken

DOCUMENTED = (TokenRequestRefused, NotProcessed, OutcomeUnknown)
WHOLE = json.dumps(
    {
        "access_token": "00Dxx!access",
        "signature": "c2ln",
        "scope": "api refresh_token",
        "instance_url": "https://acme.my.salesforce.com",
        "id": "https://login.salesforce.com/id/00D/005",
        "token_type": "Bearer",
        "issued_at": "1793000000000",
        "refresh_token": "5Aep861.refresh",
    }
).encode()


visible = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)


def answer(said: object, *, status: int = 200, complete: bool = True) -> TokenAnswer:
    """Write an answer: bytes as they are, anything else as JSON."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return TokenAnswer(status=status, body=body, complete=complete)


def saved(body: bytes, *, status: int = 200) -> TokenResponse | None:
    """Return what a truncated answer leaves, None where the outcome is unknown."""
    try:
        return read_refresh_answer(answer(body, status=status, complete=False))
    except OutcomeUnknown:
        return None


def test_the_request_presents_the_token_once():
    """The form of RFC 6749 section 6, with the client's own parameters."""
    client = Client(consumer_key="3MVG9.key", consumer_secret=ConsumerSecret("s&cret"))

    assert refresh_request(client, RefreshToken("5Aep+/=")) == (
        b"grant_type=refresh_token&refresh_token=5Aep%2B%2F%3D"
        b"&client_id=3MVG9.key&client_secret=s%26cret"
    )


def test_a_public_client_presents_the_token_with_its_key_alone():
    """No secret, not even an empty one."""
    client = Client(consumer_key="3MVG9.key", consumer_secret=None)

    assert dict(parse_qsl(refresh_request(client, RefreshToken("r")).decode())) == {
        "grant_type": "refresh_token",
        "refresh_token": "r",
        "client_id": "3MVG9.key",
    }


def test_a_rotated_answer_brings_the_new_refresh_token():
    """It replaces the presented one; nothing had to be saved."""
    response = read_refresh_answer(answer(WHOLE))

    assert response.refresh_token == RefreshToken("5Aep861.refresh")
    assert response.access_token == AccessToken("00Dxx!access")
    assert response.scopes == {Scope("api"), Scope("refresh_token")}
    assert (response.salvaged, response.access_token_lost) == (False, False)


def test_an_answer_without_a_refresh_token_leaves_the_presented_one():
    """Without rotation there is none, and that is no fault."""
    response = read_refresh_answer(answer({"access_token": "access"}))

    assert response.refresh_token is None
    assert not response.salvaged


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"error": "invalid_grant", "error_description": "inactive user"}, "user_inactive"),
        (
            {"error": "invalid_grant", "error_description": "expired authorization code"},
            "refresh_busy",
        ),
        ({"error": "invalid_grant"}, "unknown_refusal"),
        ({"error": "server_error", "error_description": {"x": 1}}, "salesforce_unavailable"),
        ({"error": "server_error", "error_description": None}, "salesforce_unavailable"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 503])
def test_a_whole_json_error_is_the_orgs_own_word(said, code, status):
    """Whatever the status; on this grant an expired code means that another one is at it."""
    with pytest.raises(TokenRequestRefused) as refused:
        read_refresh_answer(answer(said, status=status))

    assert refused.value.code == code
    description = said.get("error_description")
    words = description if isinstance(description, str) else None
    assert refused.value.said == said["error"] + (f": {words}" if words else "")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("said", [b"", b"<html>maintenance", {"error": 7}, WHOLE])
def test_two_statuses_say_that_nothing_was_done(status, said):
    """429 and 503 are the org's word that the token was not used up."""
    with pytest.raises(NotProcessed, match=rf"^HTTP {status}$"):
        read_refresh_answer(answer(said, status=status))


@pytest.mark.parametrize("status", [200, 201, 302, 400, 500, 502, 504])
@pytest.mark.parametrize("said", [b"", b"<html>", {}, [], {"error": 7}, {"scope": "api"}])
def test_whatever_else_leaves_the_outcome_unknown(status, said):
    """The org may have rotated before an edge answered, so it is never called a failure."""
    with pytest.raises(OutcomeUnknown, match=rf"^HTTP {status}$"):
        read_refresh_answer(answer(said, status=status))


@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_a_truncated_error_proves_nothing(status):
    """What reads as a whole error may be the beginning of something else."""
    with pytest.raises(OutcomeUnknown, match=rf"^HTTP {status}$"):
        read_refresh_answer(answer({"error": "invalid_grant"}, status=status, complete=False))


def test_a_truncated_answer_gives_up_its_tokens_once_they_are_whole():
    """Cut anywhere: with all of the refresh token it is saved, before that nothing is."""
    whole = WHOLE.index(b'refresh"}') + len(b'refresh"')

    for end in range(len(WHOLE) + 1):
        response = saved(WHOLE[:end])
        assert (response is not None) is (end >= whole), end
        if response is not None:
            assert response.refresh_token == RefreshToken("5Aep861.refresh")
            assert response.access_token == AccessToken("00Dxx!access")
            assert response.instance_url == "https://acme.my.salesforce.com"
            assert (response.salvaged, response.access_token_lost) == (True, False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"refresh_token": "5Aep", "access_token": "00D',
        b'{"refresh_token": "5Aep", "access_token": ""',
        b'{"refresh_token": "5Aep", "access_token": "a\\nb"}',
        b'{"refresh_token"\t:\n"5Aep"',
        b'lost beginning", "refresh_token": "5Aep"}',
    ],
)
def test_a_refresh_token_is_saved_although_the_access_token_is_lost(body):
    """The grant lives on; the access token serves nobody and says so."""
    response = saved(body)

    assert response is not None
    assert response.refresh_token == RefreshToken("5Aep")
    assert (response.salvaged, response.access_token_lost) == (True, True)
    assert response.access_token == AccessToken("lost")


@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token": "00D", "refresh_token": "5Aep',
        b'{"access_token": "00D", "refresh_token": "5Aep\\"',
        b'{"access_token": "00D", "refresh_token": ""}',
        b'{"access_token": "00D", "refresh_token": "a\\u0000b"}',
        b'{"access_token": "00D", "refresh_token": "a\nb"}',
        b'{"access_token": "00D", "refresh_token": "a\\qb"}',
        b'{"access_token": "00D", "refresh_token": "caf\xe9"}',
        b'{"access_token": "00D", "refresh_token": null}',
        b'{"access_token": "00D", "refresh_tokens": "5Aep"}',
        b'{"access_token": "00D", "note": "\\"refresh_token\\": \\"5Aep\\""}',
    ],
)
def test_half_a_refresh_token_is_none(body):
    """Cut, empty, mis-spelt, or quoted inside another text: nothing is guessed."""
    assert saved(body) is None


def test_a_broken_member_does_not_hide_the_ones_behind_it():
    """What cannot be decoded is passed over."""
    response = saved(b'{"scope": "\xff", "refresh_token": "5Aep", "access_token": "00D"')

    assert response is not None
    assert response.refresh_token == RefreshToken("5Aep")
    assert response.access_token == AccessToken("00D")
    assert response.scopes is None


def test_the_first_of_two_equal_members_counts():
    """What follows in a body that was glued together is somebody else's."""
    response = saved(b'{"refresh_token": "first"}{"refresh_token": "second"}')

    assert response is not None
    assert response.refresh_token == RefreshToken("first")


def test_escapes_are_read_as_json_reads_them():
    r"""`\/` and `\u002e` are ways to write a character."""
    response = saved(b'{"refresh_token": "a\\/b\\u002e"')

    assert response is not None
    assert response.refresh_token == RefreshToken("a/b.")


@pytest.mark.parametrize(("length", "kept"), [(20_000, True), (20_001, False)])
def test_a_token_of_surprising_length_is_saved(length, kept):
    """Up to 20,000 characters; beyond that it is no token of Salesforce's."""
    assert (saved(b'{"refresh_token": "' + b"t" * length + b'"') is not None) is kept


@pytest.mark.parametrize("status", [200, 400, 500, 502])
def test_tokens_in_a_page_that_is_no_json_are_saved_too(status):
    """A proxy may wrap what the org said; the token is in force all the same."""
    response = read_refresh_answer(answer(b"<pre>" + WHOLE, status=status))

    assert response.refresh_token == RefreshToken("5Aep861.refresh")
    assert response.salvaged


def test_a_success_whose_access_token_is_out_of_shape_still_gives_up_the_refresh_token():
    """The org has rotated, so what it gave is kept."""
    response = read_refresh_answer(answer({"access_token": 7, "refresh_token": "5Aep"}))

    assert response.refresh_token == RefreshToken("5Aep")
    assert (response.salvaged, response.access_token_lost) == (True, True)


@given(
    status=st.sampled_from([200, 400, 429, 500, 503]),
    body=st.binary() | st.builds(bytes.__add__, st.just(b'{"refresh_token": "'), st.binary()),
    complete=st.booleans(),
)
@example(status=200, body=b'{"refresh_token": "\\ud800"}', complete=False)
def test_any_bytes_end_in_one_of_the_documented_ways(status, body, complete):
    """A value, or a declared error; and a value can be presented again."""
    try:
        response = read_refresh_answer(TokenAnswer(status=status, body=body, complete=complete))
    except DOCUMENTED:
        return
    assert response.refresh_token is not None
    client = Client(consumer_key="k", consumer_secret=None)
    assert b"refresh_token=" in refresh_request(client, response.refresh_token)


@given(
    refresh=visible,
    access=visible,
    cut=st.integers(0, 200),
    ascii_only=st.booleans(),
)
def test_a_cut_answer_gives_the_orgs_own_token_or_none(refresh, access, cut, ascii_only):
    """Never a part of it, wherever the cut falls and whatever the token is made of."""
    body = json.dumps(
        {"refresh_token": refresh, "access_token": access}, ensure_ascii=ascii_only
    ).encode()

    response = saved(body[:cut])

    if response is not None:
        assert response.refresh_token == RefreshToken(refresh)
        assert response.access_token_lost or response.access_token == AccessToken(access)
    else:
        assert cut < len(json.dumps({"refresh_token": refresh})) - 1
