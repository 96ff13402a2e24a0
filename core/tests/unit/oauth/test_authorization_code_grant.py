"""The authorization code grant: the request and every kind of answer."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.oauth.authorization_code_grant import (
    authorization_code_request,
    read_authorization_code_answer,
)
from keyturn_core.oauth.client import Client
from keyturn_core.oauth.token_answer import (
    NotProcessed,
    OutcomeUnknown,
    TokenAnswer,
    TokenRequestRefused,
    UnexpectedAnswer,
)
from keyturn_core.secrets import (
    AccessToken,
    AuthorizationCode,
    CodeVerifier,
    ConsumerSecret,
    RefreshToken,
)

CLIENT = Client(consumer_key="3MVG9.key", consumer_secret=ConsumerSecret("s&cret"))


def answer(said: object, *, status: int = 200, complete: bool = True) -> TokenAnswer:
    """Write an answer: bytes as they are, anything else as JSON."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return TokenAnswer(status=status, body=body, complete=complete)


def test_the_request_carries_code_verifier_and_secret():
    """A confidential client sends both verifier and secret; each value is escaped."""
    body = authorization_code_request(
        CLIENT,
        code=AuthorizationCode("aPrx+/=="),
        verifier=CodeVerifier("ver"),
        redirect_uri="https://connect.example/callback",
    )

    assert body == (
        b"grant_type=authorization_code&code=aPrx%2B%2F%3D%3D&code_verifier=ver"
        b"&redirect_uri=https%3A%2F%2Fconnect.example%2Fcallback"
        b"&client_id=3MVG9.key&client_secret=s%26cret"
    )


def test_a_public_client_sends_no_secret():
    """The verifier stands for it."""
    body = authorization_code_request(
        Client(consumer_key="3MVG9.key", consumer_secret=None),
        code=AuthorizationCode("c"),
        verifier=CodeVerifier("v"),
        redirect_uri="u",
    )

    assert dict(parse_qsl(body.decode())) == {
        "grant_type": "authorization_code",
        "code": "c",
        "code_verifier": "v",
        "redirect_uri": "u",
        "client_id": "3MVG9.key",
    }


def test_a_success_brings_the_tokens():
    """Access token, refresh token and what came with them."""
    response = read_authorization_code_answer(
        answer({"access_token": "access", "refresh_token": "refresh"})
    )

    assert response.access_token == AccessToken("access")
    assert response.refresh_token == RefreshToken("refresh")
    assert not response.salvaged


@pytest.mark.parametrize("said", [{}, [], b"<html>", {"error": "invalid_grant"}])
def test_a_whole_success_without_an_access_token_is_unexpected(said):
    """Salesforce documents nothing like it, so nothing is guessed."""
    with pytest.raises(UnexpectedAnswer, match=r"^no access token$"):
        read_authorization_code_answer(answer(said))


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"error": "invalid_client", "error_description": "x"}, "client_refused"),
        ({"error": "invalid_grant", "error_description": "ip restricted"}, "ip_restricted"),
        (
            {"error": "invalid_grant", "error_description": "expired authorization code"},
            "code_replayed",
        ),
        ({"error": "invalid_grant"}, "unknown_refusal"),
        ({"error": "server_error", "error_description": ["x"]}, "salesforce_unavailable"),
        ({"error": "server_error", "error_description": None}, "salesforce_unavailable"),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_an_error_says_what_it_means_whatever_the_status(said, code, status):
    """A JSON error is an answer of the org; on this grant an expired code is a used one."""
    with pytest.raises(TokenRequestRefused) as refused:
        read_authorization_code_answer(answer(said, status=status))

    assert refused.value.code == code
    description = said.get("error_description")
    words = description if isinstance(description, str) else None
    assert refused.value.said == said["error"] + (f": {words}" if words else "")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("said", [b"", b"<html>maintenance", {"error": 7}])
def test_two_statuses_say_that_nothing_was_done(status, said):
    """Without a JSON error, 429 and 503 are the org's word that it did not act."""
    with pytest.raises(NotProcessed, match=rf"^HTTP {status}$"):
        read_authorization_code_answer(answer(said, status=status))


@pytest.mark.parametrize("status", [200, 429, 503, 400])
def test_a_truncated_answer_leaves_the_outcome_unknown(status):
    """Even where what came reads as a whole answer: nobody knows what the rest said."""
    for said in ({"access_token": "access"}, {"error": "invalid_grant"}, b"<ht"):
        with pytest.raises(OutcomeUnknown, match=rf"^HTTP {status}$"):
            read_authorization_code_answer(answer(said, status=status, complete=False))


@pytest.mark.parametrize("status", [201, 204, 302, 400, 404, 500, 502, 504])
def test_an_error_page_leaves_the_outcome_unknown(status):
    """An edge may answer so after the org acted; a token on another status does not count."""
    for said in (b"<html>", {"access_token": "access"}):
        with pytest.raises(OutcomeUnknown, match=rf"^HTTP {status}$"):
            read_authorization_code_answer(answer(said, status=status))


@given(status=st.sampled_from([200, 400, 429, 500, 503]), body=st.binary(), complete=st.booleans())
def test_any_bytes_end_in_one_of_the_documented_ways(status, body, complete):
    """Random bytes hold no token and raise nothing else."""
    with pytest.raises((TokenRequestRefused, NotProcessed, OutcomeUnknown, UnexpectedAnswer)):
        read_authorization_code_answer(TokenAnswer(status=status, body=body, complete=complete))
