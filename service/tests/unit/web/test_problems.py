"""Every error becomes a problem with a stable code, and shows nothing it should not."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import keyturn_service
from keyturn_core.salesforce.refusals import CATALOGUE
from keyturn_service.domain.errors import (
    Conflict,
    ConnectionCannotServe,
    ConnectRefused,
    Forbidden,
    NotFound,
    ServiceError,
    Unauthorized,
)
from keyturn_service.ports import AuditUnavailable, StoreUnavailable
from keyturn_service.vault.errors import (
    CannotOpen,
    KeyMissing,
    KeySourceRefused,
    KeySourceUnavailable,
)
from keyturn_service.web.problems import InvalidRequest, problem_of, problem_of_code, response_to
from keyturn_service.web.refusals import ENTRIES

FACE = "https://keyturn.example"
RAISED = re.compile(
    r"(?:ServiceError|Conflict|ConnectionCannotServe|ConnectRefused|WebRefusal)\(\s*\"([a-z_]+)\""
)


def told(error):
    """Return status, headers and members of the problem that an error becomes."""
    response = response_to(problem_of(error), face=FACE)
    return response.status_code, response.headers, msgspec.json.decode(response.body)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unauthorized(), 401, "unauthorized"),
        (Forbidden("tokens:read"), 403, "forbidden"),
        (NotFound("connection"), 404, "not_found"),
        (Conflict("app_required"), 409, "app_required"),
        (ConnectionCannotServe("reauthorization_required"), 409, "reauthorization_required"),
        (ConnectionCannotServe("connection_revoked"), 409, "connection_revoked"),
        (ConnectionCannotServe("connection_pending"), 409, "connection_pending"),
        (ConnectionCannotServe("connection_uncertain"), 409, "connection_uncertain"),
        (ConnectionCannotServe("org_unavailable"), 503, "org_unavailable"),
        (ConnectionCannotServe("sealed"), 503, "sealed"),
        (AuditUnavailable(), 503, "audit_unavailable"),
        (StoreUnavailable(), 503, "store_unavailable"),
        (CannotOpen("changed"), 503, "seal_refused"),
        (KeyMissing("kek_old"), 503, "seal_refused"),
        (KeySourceUnavailable(), 503, "key_source_unavailable"),
        (KeySourceRefused(), 503, "key_source_refused"),
        (ConnectRefused("return_url_refused"), 409, "return_url_refused"),
        (ConnectRefused("confirmation_invalid"), 409, "confirmation_invalid"),
        (ServiceError("proxy_path_refused"), 403, "proxy_path_refused"),
        (ServiceError("unexpected_answer"), 502, "unexpected_answer"),
        (InvalidRequest("body", "not JSON", status=400), 400, "invalid_request"),
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405), 405, "method_not_allowed"),
        (KeyError("kt_live_secret"), 500, "internal_error"),
        (ServiceError("a_code_nobody_wrote_down"), 500, "internal_error"),
    ],
)
def test_an_error_has_its_status_and_code(error, status, code):
    """The code is in the body and in `Keyturn-Problem`, the status in body and answer."""
    answered, headers, said = told(error)

    assert (answered, said["status"], said["code"]) == (status, status, code)
    assert headers["keyturn-problem"] == code
    assert headers["content-type"] == "application/problem+json"
    assert said["type"] == f"{FACE}/docs/errors/{code}"
    assert {"title", "detail", "remedy", "who", "where"} <= set(said)


@pytest.mark.parametrize("code", ["org_unavailable", "sealed", "audit_unavailable"])
def test_what_passes_says_when_to_come_back(code):
    """Each 503 has `Retry-After`, the same in the body."""
    _, headers, said = told(ConnectionCannotServe(code))

    assert int(headers["retry-after"]) == said["retry_after"] > 0


def test_the_time_that_an_error_names_goes_first():
    """`retry_after` of an error is handed on."""
    _, headers, _ = told(ConnectionCannotServe("org_unavailable", retry_after=17))

    assert headers["retry-after"] == "17"


def test_a_reason_says_who_can_mend_it():
    """The code says what the caller sees; remedy and person are those of the reason."""
    error = ConnectionCannotServe("reauthorization_required", reason="user_inactive")

    _, _, said = told(error)

    assert (said["code"], said["reason"]) == ("reauthorization_required", "user_inactive")
    assert said["who"] == CATALOGUE["user_inactive"].who
    assert said["where"] == CATALOGUE["user_inactive"].where


def test_a_missing_key_is_told_how_to_authenticate():
    """Spec: RFC 9110 section 11.6.1."""
    _, headers, _ = told(Unauthorized())

    assert headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("error", [ValueError, StoreUnavailable, AuditUnavailable, RuntimeError])
def test_an_error_s_own_text_stays_inside(error):
    """No text of an exception reaches the caller: it may hold a value."""
    response = response_to(problem_of(error("canary")), face=FACE)

    assert b"canary" not in response.body


def test_what_was_sent_is_not_repeated():
    """A validation error says where and what, never the value, which may be a secret."""
    error = RequestValidationError(
        [{"type": "x", "loc": ("body", "consumer_secret"), "msg": "too long", "input": "canary"}]
    )

    _, _, said = told(error)

    assert said["errors"] == [{"field": "body.consumer_secret", "message": "too long"}]


def test_half_a_character_in_a_name_is_told_all_the_same():
    """JSON lets a caller name a member by half a surrogate pair."""
    error = RequestValidationError([{"type": "x", "loc": ("body", "\ud800"), "msg": "unknown"}])

    _, _, said = told(error)

    assert said["errors"] == [{"field": "body.?", "message": "unknown"}]


def test_every_code_that_is_raised_is_written_down():
    """No use case and no part of the web raises a code that has no entry."""
    sources = Path(keyturn_service.__file__).parent.rglob("*.py")
    raised = {code for source in sources for code in RAISED.findall(source.read_text())}

    assert len(raised) > 20
    assert raised <= set(ENTRIES)


def test_the_catalogue_is_told_whole():
    """Each code of the catalogue has a page, and a problem of its own."""
    assert set(CATALOGUE) <= set(ENTRIES)
    assert problem_of_code("app_blocked").entry.title == CATALOGUE["app_blocked"].title
    assert problem_of_code("of a newer version").code == "unknown_refusal"
