"""Token introspection."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.oauth.client import Client
from keyturn_core.oauth.introspection import (
    Introspection,
    introspection_request,
    read_introspection_answer,
)
from keyturn_core.oauth.token_answer import TokenAnswer, UnexpectedAnswer
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, ConsumerSecret

END_OF_9999 = 253402300799


def told(said: object, *, status: int = 200) -> Introspection:
    """Read an answer: bytes as they are, anything else as JSON."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return read_introspection_answer(TokenAnswer(status=status, body=body, complete=True))


def test_the_request_names_token_hint_and_client():
    """The form of RFC 7662 section 2.1."""
    client = Client(consumer_key="3MVG9.key", consumer_secret=ConsumerSecret("s&cret"))

    assert introspection_request(client, AccessToken("00D!a+b")) == (
        b"token=00D%21a%2Bb&token_type_hint=access_token&client_id=3MVG9.key&client_secret=s%26cret"
    )


def test_a_live_token_is_told_with_its_end_scopes_and_user():
    """The members that Salesforce documents."""
    said = {
        "active": True,
        "scope": "api id",
        "client_id": "3MVG9.key",
        "username": "ada@acme.example",
        "sub": "https://login.salesforce.com/id/00D/005",
        "token_type": "access_token",
        "exp": 1793000000,
        "iat": 1792990000,
        "nbf": 1792990000,
    }

    assert told(said) == Introspection(
        active=True,
        expires_at=1793000000,
        scopes=frozenset({Scope("api"), Scope("id")}),
        username="ada@acme.example",
    )


def test_a_dead_or_foreign_token_is_told_inactive_and_no_more():
    """That is all that Salesforce says of it."""
    assert told({"active": False}) == Introspection(
        active=False, expires_at=None, scopes=frozenset(), username=None
    )


@pytest.mark.parametrize(
    ("exp", "read"),
    [
        (1, 1),
        (END_OF_9999, END_OF_9999),
        (END_OF_9999 + 1, None),
        (0, None),
        (-1, None),
        (True, None),
        (1.5, None),
        ("1793000000", None),
        (None, None),
    ],
)
def test_only_whole_seconds_that_are_a_date_say_when_a_token_ends(exp, read):
    """Other types, and numbers that no clock can take, count as absent."""
    assert told({"active": True, "exp": exp}).expires_at == read


def test_members_of_other_types_count_as_absent():
    """Scopes none, username none."""
    odd = told({"active": True, "scope": ["api"], "username": 7})

    assert (odd.scopes, odd.username) == (frozenset(), None)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"active": True}, 201),
        ({"active": True}, 401),
        ({"active": True}, 500),
        ({}, 200),
        ({"active": "true"}, 200),
        ({"active": 1}, 200),
        ({"active": None}, 200),
        (b'{"active": tr', 200),
        (b"<html>", 503),
    ],
)
def test_an_answer_that_says_nothing_is_unexpected(said, status):
    """Another status, or no boolean `active`."""
    with pytest.raises(UnexpectedAnswer, match=rf"^HTTP {status}$"):
        told(said, status=status)


@given(body=st.binary())
def test_any_bytes_are_unexpected_at_most(body):
    """Nothing but the documented error is raised."""
    with pytest.raises(UnexpectedAnswer):
        told(body)
