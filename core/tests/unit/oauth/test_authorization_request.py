"""The redirect out, and the redirect back."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.errors import Remedy, Who
from keyturn_core.oauth.authorization_request import (
    AuthorizationRefused,
    authorization_request_url,
    read_authorization_response,
)
from keyturn_core.salesforce.hosts import Origin
from keyturn_core.salesforce.scopes import Scope

ACME = Origin("https://acme.my.salesforce.com")


def request_url(**changes) -> str:
    """Write an authorization request, but for what `changes` says."""
    asked = {
        "login_url": ACME,
        "client_id": "3MVG9.key",
        "redirect_uri": "https://connect.example/callback",
        "scopes": frozenset({Scope("refresh_token"), Scope("api")}),
        "state": "st",
        "challenge": "ch",
    }
    return authorization_request_url(**(asked | changes))


def test_an_authorization_request_is_written_as_salesforce_documents_it():
    """Every parameter once, the scopes sorted, spaces as %20."""
    assert request_url() == (
        "https://acme.my.salesforce.com/services/oauth2/authorize"
        "?response_type=code"
        "&client_id=3MVG9.key"
        "&redirect_uri=https%3A%2F%2Fconnect.example%2Fcallback"
        "&scope=api%20refresh_token"
        "&state=st"
        "&code_challenge=ch"
        "&code_challenge_method=S256"
        "&prompt=login%20consent"
    )


def test_a_login_hint_and_another_prompt_are_sent_where_they_are_given():
    """`login_hint` fills in the username; without one there is no such parameter."""
    query = urlsplit(request_url(prompt="login", login_hint="ada@acme.example")).query

    assert parse_qsl(query)[-2:] == [("prompt", "login"), ("login_hint", "ada@acme.example")]
    assert "login_hint" not in request_url()


@given(value=st.text(min_size=1))
def test_no_value_adds_or_changes_a_parameter(value):
    """Whatever a state or a hint holds, it arrives as it is and alone."""
    url = request_url(state=value, login_hint=value)

    query = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
    assert (query["state"], query["login_hint"], query["client_id"]) == (value, value, "3MVG9.key")
    assert len(query) == 9


def test_the_response_brings_the_code():
    """As it is: it was URL-decoded already, and often ends in `==`."""
    assert read_authorization_response({"code": "aPrx+/==", "state": "st"}).reveal() == "aPrx+/=="


def test_a_response_with_an_error_says_what_it_means():
    """The refusal of the catalogue is the error's own; Salesforce's words stand beside it."""
    with pytest.raises(AuthorizationRefused) as refused:
        read_authorization_response(
            {"error": "OAUTH_APP_BLOCKED", "error_description": "this app is blocked by admin"}
        )

    error = refused.value
    assert (error.code, error.remedy, error.who) == ("app_blocked", Remedy.ASK_ADMIN, Who.ADMIN)
    assert error.refusal.code == str(error) == "app_blocked"
    assert error.said == "OAUTH_APP_BLOCKED: this app is blocked by admin"


def test_the_description_of_an_error_is_looked_at():
    """`invalid_grant` alone says nothing; its description does."""
    query = {"error": "invalid_grant", "error_description": "invalid login hours"}

    with pytest.raises(AuthorizationRefused) as refused:
        read_authorization_response(query)

    assert refused.value.code == "login_hours"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "unexpected_answer"),
        ({"code": ""}, "unexpected_answer"),
        ({"state": "st"}, "unexpected_answer"),
        ({"error": ""}, "unknown_refusal"),
        ({"error": "access_denied", "code": "smuggled"}, "access_denied"),
    ],
)
def test_without_a_code_alone_there_is_none(query, code):
    """An error wins over a code beside it; nothing at all is out of shape."""
    with pytest.raises(AuthorizationRefused) as refused:
        read_authorization_response(query)

    assert refused.value.code == code
