"""Headers pass, double and in order, but for those of one hop and those of a session."""

from __future__ import annotations

import pytest

from keyturn_service.adapters.http.headers import downwards, upwards

KEPT = [(b"sforce-query-options", b"batchSize=200"), (b"x-twice", b"1"), (b"x-twice", b"2")]


@pytest.mark.parametrize("through", [upwards, downwards])
def test_other_headers_pass_doubled_and_in_order(through):
    """Nothing is joined, sorted or rewritten."""
    assert through(KEPT) == KEPT


@pytest.mark.parametrize("through", [upwards, downwards])
@pytest.mark.parametrize(
    "name",
    ["connection", "keep-alive", "proxy-authorization", "te", "transfer-encoding", "upgrade"],
)
def test_hop_by_hop_headers_end_here(through, name):
    """They are about one connection only."""
    assert through([(name.encode(), b"x"), *KEPT]) == KEPT


@pytest.mark.parametrize("through", [upwards, downwards])
def test_what_connection_names_ends_here_too(through):
    """In any case and with blanks, as RFC 9110 allows."""
    headers = [(b"connection", b"close, X-Private"), (b"x-private", b"1"), *KEPT]

    assert through(headers) == KEPT


@pytest.mark.parametrize(
    "name",
    ["authorization", "cookie", "x-sfdc-session", "host", "x-forwarded-for", "keyturn-request-id"],
)
def test_an_org_sees_nothing_of_the_callers_session_and_way(name):
    """The caller's secrets for us are not for the org."""
    assert upwards([(name.encode(), b"x"), *KEPT]) == KEPT


@pytest.mark.parametrize(
    "name", ["Set-Cookie", "Strict-Transport-Security", "Alt-Svc", "Keyturn-Problem"]
)
def test_a_caller_sees_no_cookie_and_nothing_that_speaks_for_our_host(name):
    """A cookie could be a session, and our own headers are ours."""
    assert downwards([(name.encode(), b"x"), *KEPT]) == KEPT
