"""Token revocation: gone, or perhaps still in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn_core.errors import Remedy, Who
from keyturn_core.oauth.revocation import (
    RevocationFailed,
    read_revocation_answer,
    revocation_request,
)
from keyturn_core.oauth.token_answer import TokenAnswer
from keyturn_core.secrets import AccessToken, RefreshToken


def answer(status: int, body: bytes = b"") -> TokenAnswer:
    """Write an answer of the revocation endpoint."""
    return TokenAnswer(status=status, body=body, complete=True)


@pytest.mark.parametrize("kind", [AccessToken, RefreshToken])
def test_the_request_names_the_token_in_its_body(kind):
    """Salesforce takes the token alone, whoever asks."""
    assert revocation_request(kind("5Aep+/=")) == b"token=5Aep%2B%2F%3D"


@pytest.mark.parametrize("ended", [answer(200), answer(200, b"whatever")])
def test_a_token_that_was_in_force_until_now_is_told_apart(ended):
    """It was Salesforce that ended it, just now."""
    assert read_revocation_answer(ended) is True


@pytest.mark.parametrize(
    "gone",
    [
        answer(400, b'{"error": "invalid_token", "error_description": "invalid token: x"}'),
        answer(400, b'{"error": "unsupported_token_type"}'),
        answer(400, b"error=invalid_token&error_description=invalid+token"),
        answer(400, b"error=unsupported_token_type"),
    ],
)
def test_a_token_that_salesforce_does_not_know_is_as_good_as_revoked(gone):
    """The endpoint says so as JSON or as a form."""
    assert read_revocation_answer(gone) is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"invalid_token",
        b"error=",
        b"error=server_error",
        b"error=server_error&error=invalid_token",
        b'{"error": "server_error"}',
        b'{"error": ["invalid_token"]}',
        b'{"error": {"invalid_token": 1}}',
        b'{"error": null}',
        b'{"error": ""}',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("status", [201, 302, 400, 500, 503])
def test_anything_else_leaves_the_token_perhaps_in_force(status, body):
    """So it is tried again; the error says the status and no more."""
    with pytest.raises(RevocationFailed, match=rf"^HTTP {status}$") as failed:
        read_revocation_answer(answer(status, body))

    error = failed.value
    assert (error.code, error.remedy, error.who) == (
        "salesforce_unavailable",
        Remedy.RETRY,
        Who.SALESFORCE,
    )


@given(body=st.binary())
def test_any_bytes_are_a_failure_at_most(body):
    """Nothing but the documented error is raised."""
    try:
        read_revocation_answer(answer(400, body))
    except RevocationFailed:
        return
    assert b"invalid_token" in body or b"unsupported_token_type" in body
