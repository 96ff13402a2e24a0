"""JSON in requests, read strictly.

Spec: REST API Developer Guide, "Status Codes and Error Responses" (`JSON_PARSER_ERROR`).
"""

import json
from collections.abc import Mapping
from typing import Any

from orgsim.surfaces.rest_api.errors import RestRefused, unreadable_json
from orgsim.surfaces.rest_api.exchange import Asked

_NO_BODY = "The HTTP entity body is required, but this request has no entity body."


def _not_json(text: str, error: json.JSONDecodeError) -> RestRefused:
    where = f"at [line:{error.lineno}, column:{error.colno}]"
    if error.pos >= len(text.rstrip()):
        return unreadable_json(f"Unexpected end-of-input {where}")
    sign = text[error.pos]
    return unreadable_json(
        f"Unexpected character ('{sign}' (code {ord(sign)})): {error.msg[0].lower()}"
        f"{error.msg[1:]} {where}"
    )


def _no_constant(name: str) -> None:
    raise ValueError(name)


def read_json(body: bytes) -> Any:
    """Return a JSON value.

    Raises:
        RestRefused: the body is empty or no JSON.
    """
    if not body.strip():
        raise unreadable_json(_NO_BODY)
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be stored
    except json.JSONDecodeError as error:
        raise _not_json(text, error) from error
    except (ValueError, RecursionError) as error:
        raise unreadable_json("The request body is not valid JSON at [line:1, column:1]") from error
    return value


def read_object(asked: Asked) -> dict[str, Any]:
    """Return the body's JSON object.

    Raises:
        RestRefused: it is empty, no JSON, or no object.
    """
    _check_type(asked.headers)
    value = read_json(asked.body)
    if not isinstance(value, dict):
        kind = "START_ARRAY" if isinstance(value, list) else "VALUE_STRING"
        raise unreadable_json(
            f"Cannot deserialize instance of object from {kind} value at [line:1, column:1]"
        )
    return value


def _check_type(headers: Mapping[str, str]) -> None:
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind and kind != "application/json":
        raise RestRefused(
            "UNSUPPORTED_MEDIA_TYPE", f"The content type {kind} is not supported by this resource"
        )


def records_of(body: Mapping[str, Any], *, most: int) -> list[dict[str, Any]]:
    """Return the member `records` of a body that carries several.

    Raises:
        RestRefused: there is none, it is no list of objects, or too long.
    """
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise unreadable_json(
            "The records property must be a list of objects at [line:1, column:1]"
        )
    too_many(records, most=most)
    return records


def too_many(items: list[Any], *, most: int) -> None:
    """Refuse a list that is too long.

    Raises:
        RestRefused: it is.
    """
    if len(items) > most:
        raise RestRefused(
            "EXCEEDED_ID_LIMIT",
            f"record limit reached. cannot submit more than {most} records into this call",
        )
