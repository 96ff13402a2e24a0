"""The OpenAPI document: the framework's routes, and those that stand beside the framework."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from keyturn_service.use_cases.see_audit_rounds import RoundState
from keyturn_service.web.api.access_token import PATH as ACCESS_TOKEN_PATH
from keyturn_service.web.api.access_token import AccessTokenIn, AccessTokenOut
from keyturn_service.web.api.openapi_compat import compat_paths, compat_schemas
from keyturn_service.web.idempotency import HEADER, PATTERN
from keyturn_service.web.problems import MEDIA_TYPE, FieldError

_Document = dict[str, Any]
_SECURED: Final[list[dict[str, list[str]]]] = [{"api_key": []}]
_REF: Final = "#/components/schemas/"
_PROBLEM: Final[_Document] = {
    "type": "object",
    "title": "Problem",
    "description": "What is wrong (RFC 9457). `code` is stable; `type` leads to a page on it.",
    "required": ["type", "title", "status", "detail", "code", "remedy", "who", "where"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "remedy": {"enum": ["retry", "reauthorize", "ask_admin", "reconfigure", "report"]},
        "who": {"enum": ["vendor", "admin", "user", "salesforce", "operator"]},
        "where": {"type": "string"},
        "retry_after": {"type": "integer", "description": "Seconds."},
        "reason": {"type": "string", "description": "A second code that says why more closely."},
        "errors": {"type": "array", "items": {"$ref": f"{_REF}FieldError"}},
    },
}
REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "A problem",
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_REF}Problem"}}},
        "headers": {
            "Keyturn-Problem": {"description": "Its code.", "schema": {"type": "string"}},
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
        },
    }
}
"""What every operation may answer besides its own."""
_METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options")
_WRITES: Final = frozenset({"post", "put", "patch", "delete"})


def write_openapi(app: FastAPI, *, servers: Sequence[str]) -> _Document:
    """Return the whole document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": url} for url in servers],
    )
    for operation in _writes(document):
        operation.setdefault("parameters", []).append(_idempotency_key())
    document["paths"].update(_paths_beside())
    document["paths"].update(compat_paths(security=_SECURED))
    _, schemas = msgspec.json.schema_components(
        [AccessTokenIn, AccessTokenOut, FieldError], ref_template=f"{_REF}{{name}}"
    )
    document["components"]["schemas"].update({**schemas, **compat_schemas(), "Problem": _PROBLEM})
    return document


def _writes(document: _Document) -> Iterator[_Document]:
    for item in document["paths"].values():
        yield from (operation for method, operation in item.items() if method in _WRITES)


def _idempotency_key() -> _Document:
    return {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": "The write is done once however often it is sent with one key in 24 hours;"
        " after `store_unavailable` or a cut connection what makes something may make another.",
        "schema": {"type": "string", "pattern": f"^{PATTERN}$"},
    }


def _paths_beside() -> _Document:
    connection_id = _path_parameter("connection_id", "The connection's id.")
    answers = {**REFUSED, "200": _json_answer("An access token that serves", "AccessTokenOut")}
    return {
        ACCESS_TOKEN_PATH: {
            "parameters": [connection_id],
            "post": {
                "tags": ["access tokens"],
                "operationId": "get_access_token",
                "summary": "Get Access Token",
                "description": "Hand out an access token for the connection's org. With"
                " `rejected_generation` a newer one: refreshed once if that one is in force.",
                "security": _SECURED,
                "requestBody": {
                    "required": False,
                    "content": _json_content("AccessTokenIn"),
                },
                "responses": answers,
            },
        },
        "/v1/connections/{connection_id}/salesforce/{path}": {
            "parameters": [
                connection_id,
                _path_parameter("path", "A path of the org's own, slashes and all."),
            ],
            **{method: _proxy_operation(method) for method in _METHODS},
        },
        "/healthz": {"get": _probe("is_alive", "Tell that the process lives.")},
        "/readyz": {
            "get": _probe(
                "is_ready",
                "Tell whether the database answers, and how the audit's export and retention go.",
                audit={
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "state": {"type": "string", "enum": [*RoundState]},
                            "age_seconds": {"type": ["integer", "null"]},
                        },
                    },
                },
            )
        },
    }


def _proxy_operation(method: str) -> _Document:
    operation: _Document = {
        "tags": ["proxy"],
        "operationId": f"proxy_{method}",
        "summary": "Call the connection's org",
        "description": "Salesforce's own answer to `/{path}`, streamed. Refusals of this service"
        " are problems and carry `Keyturn-Problem`.",
        "security": _SECURED,
        "responses": {
            "default": {
                "description": "Salesforce's own answer, or a problem of this service's",
                "headers": {
                    "Keyturn-Request-Id": {"schema": {"type": "string"}},
                    **REFUSED["default"]["headers"],
                },
                "content": {
                    "*/*": {"schema": {}},
                    **REFUSED["default"]["content"],
                },
            }
        },
    }
    if method in {"post", "put", "patch"}:
        operation["requestBody"] = {"required": False, "content": {"*/*": {"schema": {}}}}
    return operation


def _probe(name: str, description: str, **more: _Document) -> _Document:
    schema = {"type": "object", "properties": {"status": {"type": "string"}, **more}}
    answer = {"description": "It is so", "content": {"application/json": {"schema": schema}}}
    return {
        "tags": ["health"],
        "operationId": name,
        "summary": description,
        "responses": {**REFUSED, "200": answer},
    }


def _path_parameter(name: str, description: str) -> _Document:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
    }


def _json_answer(description: str, schema: str) -> _Document:
    return {"description": description, "content": _json_content(schema)}


def _json_content(schema: str) -> _Document:
    return {"application/json": {"schema": {"$ref": f"{_REF}{schema}"}}}
