"""Which error an answer is, and what it says."""

from __future__ import annotations

import pickle

import pytest

import keyturn as sdk
from keyturn.errors import error_of


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "reauthorization_required", sdk.ReauthorizationRequired),
        (409, "connection_revoked", sdk.ConnectionRevoked),
        (409, "connection_pending", sdk.ConnectionPending),
        (409, "connection_uncertain", sdk.ConnectionUncertain),
        (503, "org_unavailable", sdk.OrgUnavailable),
        (503, "sealed", sdk.Sealed),
        (503, "audit_unavailable", sdk.AuditUnavailable),
        (409, "confirmation_invalid", sdk.ConfirmationInvalid),
        (401, "unauthorized", sdk.Unauthorized),
        (403, "forbidden", sdk.Forbidden),
        (404, "not_found", sdk.NotFound),
        (409, "org_mismatch", sdk.Conflict),
        (422, "invalid_request", sdk.InvalidRequest),
        (429, "too_many_failures", sdk.ServiceUnavailable),
        (418, "of_a_newer_service", sdk.KeyturnError),
    ],
)
def test_a_problem_is_raised_as_the_closest_class(status, code, kind):
    """The code decides; where it is unknown, the status does."""
    error = error_of(sdk.Problem(code=code, status=status))

    assert type(error) is kind
    assert isinstance(error, sdk.KeyturnError)


async def test_a_refusal_says_what_mends_it_and_who(keyturn, service):
    """Every member of the problem is at hand."""
    service.refuses(
        409,
        "reauthorization_required",
        title="Access was ended",
        detail="The admin revoked it.",
        remedy="reauthorize",
        who="user",
        where="the settings page",
        reason="expired_access_or_refresh_token",
        type="https://connect.acme.example/docs/errors/reauthorization_required",
    )

    with pytest.raises(sdk.ReauthorizationRequired) as caught:
        await keyturn(lambda it: it.connection("con_1").access_token())

    error = caught.value
    assert (error.code, error.remedy, error.who, error.status, error.retry_after) == (
        "reauthorization_required",
        "reauthorize",
        "user",
        409,
        None,
    )
    assert (error.problem.where, error.problem.reason) == (
        "the settings page",
        "expired_access_or_refresh_token",
    )
    assert str(error) == (
        "Access was ended: The admin revoked it."
        " [reauthorization_required; remedy: reauthorize, by: user]"
    )


async def test_a_request_out_of_shape_says_where(keyturn, service):
    """The text names the parts, so that nobody has to look further."""
    wrong = [{"field": "body.return_url", "message": "too long"}]
    service.refuses(422, "invalid_request", errors=wrong)

    with pytest.raises(sdk.InvalidRequest, match=r"body\.return_url: too long"):
        await keyturn(
            lambda it: it.connect_sessions.create(customer_id="n", return_url="https://a.example/")
        )


async def test_a_patience_beyond_the_longest_wait_is_told_at_once(keyturn, service):
    """The caller decides whether to wait for a minute, not the client."""
    service.refuses(503, "org_unavailable", retry_after=60)

    with pytest.raises(sdk.OrgUnavailable) as caught:
        await keyturn(lambda it: it.connection("con_1").access_token())

    assert caught.value.retry_after == 60
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>log in to the network</html>"),
        (200, b'{"id": 5}'),
        (302, b""),
        (500, b"\xff\xfe"),
        (500, b"[1]"),
        (500, b"null"),
        (404, b'{"code": 5}'),
    ],
)
async def test_an_answer_of_somebody_else_is_never_taken_for_the_services(
    keyturn, service, status, body
):
    """It is an error of its own, that quotes nothing of the body."""
    service.answers(status, body)

    with pytest.raises(sdk.UnexpectedAnswer) as caught:
        await keyturn(lambda it: it.connection("con_1").get())

    assert caught.value.status == status
    assert "log in" not in str(caught.value)


async def test_a_list_with_a_wrong_item_is_unexpected(keyturn, service):
    """No half list is handed out."""
    service.answers(200, {"data": [{"id": 1}], "next_cursor": None})

    with pytest.raises(sdk.UnexpectedAnswer):
        await keyturn.all(lambda it: it.connections.list())


def test_errors_travel_between_processes():
    """Worker pools pickle what was raised."""
    problem = sdk.Problem(code="salesforce_error", status=400)
    item = sdk.SalesforceErrorItem(code="MALFORMED_QUERY", message="unexpected token")
    error = sdk.SalesforceError(problem, b"[]", (item,))

    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - written the line before

    assert (copied.problem, copied.body, copied.errors) == (problem, b"[]", (item,))
