"""How the control port says no.

Spec: RFC 9457; RFC 9110 section 15.5.6 (`Allow`).
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from orgsim.json_text import compact_json

PROBLEM_TYPE = "application/problem+json"


class Invalid(BaseModel):
    """One member of a request that is wrong."""

    at: str
    message: str


class Problem(BaseModel):
    """Why a call was refused."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Invalid]


class Conflict(Exception):
    """The call is well-formed, but the world as it is cannot carry it out."""


class NotThere(Exception):
    """There is nothing of that id."""


def problem(
    status: int,
    detail: str,
    *,
    errors: Iterable[Invalid] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """Write a problem."""
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors),
    )
    return Response(
        compact_json(body.model_dump()),
        status_code=status,
        headers={**(headers or {}), "Content-Type": PROBLEM_TYPE},
    )


def _methods_of(request: Request) -> list[str]:
    """Return every method that this path answers, as the document has them."""
    paths = request.scope["app"].openapi()["paths"]
    return sorted(
        method.upper()
        for template, operations in paths.items()
        if compile_path(template)[0].match(request.url.path)
        for method in operations
    )


async def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_of(request)):
        headers["Allow"] = ", ".join(methods)  # Starlette names those of one route only
    return problem(error.status_code, str(error.detail), headers=headers)


async def _invalid(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    errors = [
        Invalid(at=".".join(str(step) for step in found["loc"]), message=str(found["msg"]))
        for found in error.errors()
    ]
    detail = "; ".join(f"{one.at}: {one.message}" for one in errors)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def _conflict(_request: Request, error: Exception) -> Response:
    return problem(HTTPStatus.CONFLICT, str(error))


async def _not_there(_request: Request, error: Exception) -> Response:
    return problem(HTTPStatus.NOT_FOUND, str(error))


def answer_problems(app: FastAPI) -> None:
    """Let every refusal of the application be a problem."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Conflict, _conflict)
    app.add_exception_handler(NotThere, _not_there)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the refusals of a call for the OpenAPI document."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
