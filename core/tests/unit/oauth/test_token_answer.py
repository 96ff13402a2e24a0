"""Answers of the token endpoint, whatever the grant."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.errors import Remedy, Who
from keyturn_core.oauth.token_answer import (
    NOT_PROCESSED_STATUSES,
    NotProcessed,
    OutcomeUnknown,
    TokenAnswer,
    TokenRequestRefused,
    UnexpectedAnswer,
    json_object,
    read_token_response,
    token_response,
    token_text,
)
from keyturn_core.salesforce.catalogue import CATALOGUE
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, IdToken, RefreshToken

WHOLE = {
    "access_token": "00Dxx!access",
    "refresh_token": "5Aep861.refresh",
    "signature": "c2ln",
    "scope": "refresh_token api",
    "id_token": "a.b.c",
    "instance_url": "https://acme.my.salesforce.com",
    "id": "https://login.salesforce.com/id/00D/005",
    "token_type": "DPoP",
    "issued_at": "1793000000000",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_every_member_of_a_token_response_is_read():
    """Secrets become secrets, scopes a set, `id` the identity URL."""
    response = read_token_response(dict(WHOLE))

    assert response is not None
    assert response.access_token == AccessToken("00Dxx!access")
    assert response.refresh_token == RefreshToken("5Aep861.refresh")
    assert response.id_token == IdToken("a.b.c")
    assert response.instance_url == "https://acme.my.salesforce.com"
    assert response.identity_url == "https://login.salesforce.com/id/00D/005"
    assert response.scopes == {Scope("api"), Scope("refresh_token")}
    assert (response.issued_at, response.signature) == ("1793000000000", "c2ln")
    assert response.token_type == "DPoP"
    assert (response.salvaged, response.access_token_lost) == (False, False)


def test_what_salesforce_leaves_out_is_none():
    """Only the access token is needed; the type is Bearer."""
    response = read_token_response({"access_token": "00Dxx!access"})

    assert response is not None
    assert response.token_type == "Bearer"
    assert (
        response.refresh_token,
        response.id_token,
        response.instance_url,
        response.identity_url,
        response.scopes,
        response.issued_at,
        response.signature,
    ) == (None,) * 7


@pytest.mark.parametrize("access", [None, "", 7, True, ["a"], "a\nb", "caf\xe9", "\ud800"])
def test_without_an_access_token_there_is_no_token_response(access):
    """Missing, empty, of another type, or nothing that a token may look like."""
    assert read_token_response(WHOLE | {"access_token": access}) is None


def test_an_empty_scope_grants_nothing_and_an_absent_one_says_nothing():
    """The empty set is not None."""
    empty = token_response(AccessToken("a"), {"scope": ""})
    absent = token_response(AccessToken("a"), {})

    assert (empty.scopes, absent.scopes) == (frozenset(), None)


@given(
    members=st.dictionaries(
        st.sampled_from(sorted(WHOLE)), json_values | st.text(st.characters()), max_size=9
    )
)
def test_whatever_the_members_are_what_is_read_can_be_sent_and_kept(members):
    """Any JSON gives a response or none, and never a text that UTF-8 cannot write."""
    read = json_object(json.dumps(members).encode())

    response = read_token_response(read)

    if response is None:
        return
    response.access_token.reveal().encode("ascii")
    for text in (response.instance_url, response.identity_url, response.issued_at):
        assert text is None or text.encode().decode() == text


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("5Aep861.a_b-c!~ =", "5Aep861.a_b-c!~ ="),
        ("", None),
        ("a\x1fb", None),
        ("a\x7fb", None),
        ("line\n", None),
        (None, None),
        (b"bytes", None),
    ],
)
def test_tokens_are_visible_ascii(value, read):
    """RFC 6749 appendix A: from space to tilde, at least one."""
    assert token_text(value) == read


@pytest.mark.parametrize("member", ["instance_url", "id", "issued_at", "signature", "scope"])
def test_half_a_character_counts_as_absent(member):
    """JSON can spell a lone surrogate, which nothing could write down again."""
    nothing = token_response(AccessToken("a"), {})

    assert token_response(AccessToken("a"), {member: "api\ud83d"}) == nothing
    assert token_response(AccessToken("a"), {member: "api"}) != nothing


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[1]",
        b"7",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"a": 1',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_reads_as_an_empty_one(body):
    """HTML, truncation, other encodings, depth and length raise nothing."""
    assert json_object(body) == {}


def test_a_json_object_is_returned_as_it_is():
    """Members keep their types."""
    assert json_object(b'{"a": "b", "n": [1]}') == {"a": "b", "n": [1]}


@given(body=st.binary())
def test_any_bytes_read_as_some_object(body):
    """Nothing that comes in raises."""
    assert isinstance(json_object(body), dict)


def test_a_refused_request_speaks_with_its_refusals_words():
    """Code, remedy and who are the catalogue's; the text is the code."""
    error = TokenRequestRefused(CATALOGUE["ip_restricted"])

    assert error.refusal is CATALOGUE["ip_restricted"]
    assert (error.code, error.remedy, error.who) == ("ip_restricted", Remedy.ASK_ADMIN, Who.ADMIN)
    assert str(error) == "ip_restricted"


@pytest.mark.parametrize(
    ("kind", "code", "remedy", "who"),
    [
        (NotProcessed, "salesforce_unavailable", Remedy.RETRY, Who.SALESFORCE),
        (OutcomeUnknown, "connection_uncertain", Remedy.RETRY, Who.OPERATOR),
        (UnexpectedAnswer, "unexpected_answer", Remedy.REPORT, Who.VENDOR),
    ],
)
def test_each_other_end_has_its_code(kind, code, remedy, who):
    """The codes are stable, and in the catalogue."""
    assert (kind.code, kind.remedy, kind.who) == (code, remedy, who)
    assert code in CATALOGUE


def test_only_two_statuses_say_that_nothing_was_done():
    """429 and 503; a 500 or 502 may come after the org acted."""
    assert {429, 503} == NOT_PROCESSED_STATUSES


def test_an_answer_need_not_say_when_to_come_back():
    """`retry_after` is absent unless the org sent it."""
    assert TokenAnswer(status=503, body=b"", complete=True).retry_after is None
