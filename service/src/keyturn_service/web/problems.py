"""The one table from errors to HTTP: RFC 9457 problems.

Spec: RFC 9457; `code`, `remedy`, `who`, `where`, `reason` and `errors` are members of our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from keyturn_service.domain.errors import Forbidden, NotFound, ServiceError
from keyturn_service.ports import AuditUnavailable, SealRefused, StoreUnavailable
from keyturn_service.vault.errors import KeySourceRefused, KeySourceUnavailable
from keyturn_service.web.refusals import ENTRIES, Entry

MEDIA_TYPE: Final = "application/problem+json"
_BAD_REQUEST: Final = 400
_UNAVAILABLE: Final = 503
_BY_STATUS: Final = {
    400: "invalid_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
}
_AT_REST: Final = (
    (StoreUnavailable, "store_unavailable"),
    (AuditUnavailable, "audit_unavailable"),
    (SealRefused, "seal_refused"),
    (KeySourceRefused, "key_source_refused"),
    (KeySourceUnavailable, "key_source_unavailable"),
)
_encoder: Final = msgspec.json.Encoder()


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one part of a request; what was sent there is not repeated."""

    field: str
    message: str


class InvalidRequest(Exception):
    """A request is out of shape. `status` is 400 where it could not be read at all."""

    def __init__(self, field: str, message: str, *, status: int = 422) -> None:
        self.errors = (FieldError(field=field, message=message),)
        self.status = status
        super().__init__(f"{field}: {message}")


class WebRefusal(ServiceError):
    """The web refuses before any use case is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem, before it is known on which face it is told."""

    entry: Entry
    detail: str
    status: int
    retry_after: int | None = None
    reason: str | None = None
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] | None = None

    @property
    def code(self) -> str:
        """The stable word for it."""
        return self.entry.code


EXPECTED: Final = (
    ServiceError,
    StoreUnavailable,
    AuditUnavailable,
    SealRefused,
    KeySourceUnavailable,
    InvalidRequest,
    RequestValidationError,
    HTTPException,
)
"""The errors that have a code of their own; others are noted by the guard."""


def problem_of(error: BaseException) -> Problem:
    """Return what an error is to a caller; an unknown one shows no text of its own."""
    match error:
        case ServiceError():
            return _of_service(error)
        case StoreUnavailable() | AuditUnavailable() | SealRefused() | KeySourceUnavailable():
            return _plain(next(code for kind, code in _AT_REST if isinstance(error, kind)))
        case InvalidRequest():
            return replace(_plain("invalid_request"), status=error.status, errors=error.errors)
        case RequestValidationError():
            return _of_validation(error)
        case HTTPException() if error.status_code in _BY_STATUS:
            problem = _plain(_BY_STATUS[error.status_code])
            return replace(problem, status=error.status_code, headers=error.headers)
        case _:
            return _plain("internal_error")


def problem_of_code(code: str) -> Problem:
    """Return what a code that is kept with a session or connection says."""
    return _plain(code if code in ENTRIES else "unknown_refusal")


def response_to(problem: Problem, *, face: str) -> Response:
    """Write a problem as an answer on a face of the service."""
    headers = {"Cache-Control": "no-store", "Keyturn-Problem": problem.code}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.code == "unauthorized":
        headers["WWW-Authenticate"] = 'Bearer realm="keyturn"'
    return Response(
        _encoder.encode(members(problem, face=face)),
        status_code=problem.status,
        headers={**(problem.headers or {}), **headers},
        media_type=MEDIA_TYPE,
    )


def members(problem: Problem, *, face: str) -> dict[str, object]:
    """Return the members of a problem document; those without a value are left out."""
    entry = problem.entry
    said: dict[str, object] = {
        "type": f"{face}/docs/errors/{entry.code}",
        "title": entry.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": entry.code,
        "remedy": entry.remedy,
        "who": entry.who,
        "where": entry.where,
    }
    if problem.retry_after is not None:
        said["retry_after"] = problem.retry_after
    if problem.reason is not None:
        said["reason"] = problem.reason
    if problem.errors:
        said["errors"] = problem.errors
    return said


def _plain(code: str) -> Problem:
    entry = ENTRIES[code]
    return Problem(
        entry=entry, detail=entry.cause, status=entry.status, retry_after=_patience(entry)
    )


def _of_service(error: ServiceError) -> Problem:
    """Tell a refusal by its code; what mends it is the reason's, where there is one."""
    entry = ENTRIES.get(error.code)
    if entry is None:
        return _plain("internal_error")
    because = ENTRIES.get(error.reason or "", entry)
    mended = replace(entry, who=because.who, remedy=because.remedy, where=because.where)
    return Problem(
        entry=mended,
        detail=_detail(error, because),
        status=entry.status,
        retry_after=error.retry_after or because.retry_after or _patience(entry),
        reason=error.reason,
    )


def _detail(error: ServiceError, because: Entry) -> str:
    match error:
        case NotFound():
            thing = error.what.replace("_", " ")
            return f"There is no such {thing} in the workspace of the API key."
        case Forbidden():
            return f"The API key lacks the right {error.right}."
        case _:
            return because.cause


def _patience(entry: Entry) -> int | None:
    """Return after how many seconds to ask again: every 503 says it."""
    if entry.retry_after is None and entry.status == _UNAVAILABLE:
        return 60
    return entry.retry_after


def _of_validation(error: RequestValidationError) -> Problem:
    """Say where a request is out of shape, without what stood there: it may be a secret."""
    found = error.errors()
    unreadable = any(item["type"] == "json_invalid" for item in found)
    problem = _plain("invalid_request")
    return replace(
        problem,
        status=_BAD_REQUEST if unreadable else problem.status,
        errors=tuple(
            FieldError(field=_field(item["loc"]), message=str(item["msg"])) for item in found
        ),
    )


def _field(where: Sequence[int | str]) -> str:
    """Write a place as `body.name`. Names come from the caller: half a surrogate pair may be in."""
    path = ".".join(str(part)[:100] for part in where)
    return path.encode("utf-8", "replace").decode()
