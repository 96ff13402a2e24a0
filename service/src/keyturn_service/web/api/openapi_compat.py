"""The OpenAPI document of the face for another platform's client.

Its routes stand beside the framework, and its answers have that client's names.
"""

from __future__ import annotations

from typing import Any, Final

_Document = dict[str, Any]
_REF: Final = "#/components/schemas/"
_TAG: Final = "another platform's client"
_TEXT: Final[_Document] = {"type": "string"}
_TIME: Final[_Document] = {"type": "string", "format": "date-time"}
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
_LONGEST_PATH: Final = 16_000


def compat_schemas() -> _Document:
    """Return the schemas by name."""
    return {
        "CompatConnection": _object(
            "A connection in that client's words.",
            connectionId=_TEXT,
            userEmail=_nullable(_TEXT),
            userName=_TEXT,
            orgName=_nullable(_TEXT),
            environment={"enum": ["production", "sandbox"]},
            region=_TEXT,
            status=_TEXT,
            connectedAt=_TIME,
            lastActiveAt=_TIME,
        ),
        "CompatConnections": {
            **_object(
                "A page of connections; `totalCount` counts all pages.",
                connections={"type": "array", "items": {"$ref": f"{_REF}CompatConnection"}},
                totalCount={"type": "integer"},
                nextCursor=_TEXT,
            ),
            "required": ["connections", "totalCount"],
        },
        "CompatCredentials": _object(
            "An access token that serves.",
            accessToken=_TEXT,
            instanceUrl={"type": "string", "format": "uri"},
            environment={"enum": ["production", "sandbox"]},
            region=_TEXT,
            tokenType={"enum": ["Bearer"]},
            expiresAt=_TIME,
        ),
        "CompatCall": {
            **_object(
                "A call for an org. `query` becomes the query string, `data` the JSON body.",
                method={"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
                path={"type": "string", "maxLength": _LONGEST_PATH},
                query=_nullable(
                    {
                        "type": "object",
                        "additionalProperties": {
                            "type": ["string", "integer", "number", "boolean", "null"]
                        },
                    }
                ),
                data={},
            ),
            "required": ["method", "path"],
        },
        "CompatError": _object(
            "A refusal; `error` is a code of the error reference.", error=_TEXT, message=_TEXT
        ),
    }


def compat_paths(*, security: list[dict[str, list[str]]]) -> _Document:
    """Return the three calls."""
    app = _header("X-Integration-Id", "An app's id: of its connections only.", required=False)
    return {
        "/api/v1/connections": {
            "get": {
                **_operation("compat_list_connections", "List connections.", security),
                "parameters": [
                    app,
                    _query("environment", {"enum": ["production", "sandbox"]}),
                    _query("status", _TEXT),
                    _query("search", {"type": "string", "maxLength": 200, "pattern": _PRINTABLE}),
                    _query("limit", {"type": "integer", "minimum": 1, "maximum": 200}),
                    _query("cursor", {"type": "string", "maxLength": 500}),
                ],
                "responses": _responses("A page", "CompatConnections"),
            }
        },
        "/api/v1/connections/{connection_id}/credentials": {
            "get": {
                **_operation(
                    "compat_get_credentials", "Hand out an access token that serves.", security
                ),
                "parameters": [_connection_id(), app],
                "responses": _responses("An access token", "CompatCredentials"),
            }
        },
        "/api/v1/proxy/salesforce": {
            "post": {
                **_operation(
                    "compat_proxy",
                    "Make a call for an org. Its answer comes with its status, as JSON whatever it"
                    " was.",
                    security,
                ),
                "parameters": [
                    {
                        **_header("X-Connection-Id", "The connection's id.", required=True),
                        "schema": {"type": "string", "minLength": 1},
                    },
                    app,
                ],
                "requestBody": {"required": True, "content": _json("CompatCall")},
                "responses": {
                    "default": {
                        "description": "Salesforce's own answer, or a refusal of this service's"
                        " with `Keyturn-Problem`",
                        "headers": _problem_headers(),
                        "content": {"application/json": {"schema": {}}},
                    }
                },
            }
        },
    }


def _operation(name: str, description: str, security: list[dict[str, list[str]]]) -> _Document:
    return {
        "tags": [_TAG],
        "operationId": name,
        "summary": description,
        "description": description,
        "security": security,
    }


def _responses(description: str, schema: str) -> _Document:
    return {
        "200": {"description": description, "content": _json(schema)},
        "default": {
            "description": "A refusal",
            "headers": _problem_headers(),
            "content": _json("CompatError"),
        },
    }


def _problem_headers() -> _Document:
    return {
        "Keyturn-Problem": {"description": "Its code.", "schema": _TEXT},
        "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}},
    }


def _json(schema: str) -> _Document:
    return {"application/json": {"schema": {"$ref": f"{_REF}{schema}"}}}


def _object(description: str, **members: _Document) -> _Document:
    return {
        "type": "object",
        "description": description,
        "properties": members,
        "required": list(members),
    }


def _nullable(schema: _Document) -> _Document:
    return {"anyOf": [schema, {"type": "null"}]}


def _query(name: str, schema: _Document) -> _Document:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _header(name: str, description: str, *, required: bool) -> _Document:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": _TEXT,
    }


def _connection_id() -> _Document:
    return {
        "name": "connection_id",
        "in": "path",
        "required": True,
        "description": "The connection's id.",
        "schema": {"type": "string", "minLength": 1},
    }
