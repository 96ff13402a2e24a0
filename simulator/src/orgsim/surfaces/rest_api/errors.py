"""The REST API's errors: one table from code to HTTP status, one form of the body.

Spec: REST API Developer Guide, "Status Codes and Error Responses".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from orgsim.data.refusals import SaveError, SaveRefused
from orgsim.soql import QueryRefused
from orgsim.surfaces.rest_api.exchange import Answer

_STATUS = {
    "NOT_FOUND": 404,
    "ENTITY_IS_DELETED": 404,
    "FUNCTIONALITY_NOT_ENABLED": 403,
    "INSUFFICIENT_ACCESS_OR_READONLY": 403,
    "METHOD_NOT_ALLOWED": 405,
    "GONE": 410,
    "UNSUPPORTED_MEDIA_TYPE": 415,
}
_WITHOUT_FIELDS = frozenset(
    {"INVALID_FIELD", "JSON_PARSER_ERROR", "NOT_FOUND", "INSUFFICIENT_ACCESS_OR_READONLY"}
)


class RestRefused(Exception):
    """A call is answered with an error."""

    def __init__(
        self, code: str, message: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.headers = headers or {}

    def answer(self) -> Answer:
        """Return the error as it goes out."""
        body = [{"message": self.message, "errorCode": self.code}]
        return Answer(status=status_of(self.code), body=body, headers=self.headers)


def status_of(code: str) -> int:
    """Return the HTTP status that goes with an error code."""
    return _STATUS.get(code, 400)


def not_found() -> RestRefused:
    """Say that there is no such resource."""
    return RestRefused("NOT_FOUND", "The requested resource does not exist")


def not_an_external_id(name: str) -> RestRefused:
    """Say that records cannot be found by this field."""
    return RestRefused(
        "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}"
    )


def malformed_id(text: str) -> RestRefused:
    """Say that this is no ID."""
    return RestRefused("MALFORMED_ID", f"malformed id {text}")


def unreadable_json(message: str) -> RestRefused:
    """Say that the body is no JSON, or not the JSON that is needed."""
    return RestRefused("JSON_PARSER_ERROR", message)


def method_not_allowed(method: str, allowed: Sequence[str]) -> RestRefused:
    """Say which methods there are."""
    names = ",".join(sorted(allowed))
    return RestRefused(
        "METHOD_NOT_ALLOWED",
        f"HTTP Method '{method}' not allowed. Allowed are {names}",
        headers={"Allow": names},
    )


def _place(body: bytes, member: str | None) -> str:
    """Return where in the body a member's value begins, as the parser counts."""
    text = body.decode("utf-8", errors="replace")
    at = text.find(f'"{member}"') if member else -1
    at = text.find(":", at) + 1 if at >= 0 else 0
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f" at [line:{line}, column:{column}]"


def worded(error: SaveError, body: bytes) -> str:
    """Return the message of a refused save; what could not be read is shown by its place."""
    return error.message + (_place(body, error.member) if error.member else "")


def answer_of_save(refused: SaveRefused, body: bytes) -> Answer:
    """Return a refused save as the answer of a call for one record."""
    items: list[dict[str, Any]] = []
    for error in refused.errors:
        item: dict[str, Any] = {"message": worded(error, body), "errorCode": error.code}
        if error.code not in _WITHOUT_FIELDS:
            item["fields"] = list(error.fields)
        items.append(item)
    return Answer(status=status_of(refused.errors[0].code), body=items)


def answer_of_query(refused: QueryRefused) -> Answer:
    """Return a refused query as an answer."""
    return RestRefused(refused.code, refused.message).answer()


def save_errors(refused: SaveRefused, body: bytes) -> list[dict[str, Any]]:
    """Return the reasons as they stand inside a list of results."""
    return [
        {"statusCode": error.code, "message": worded(error, body), "fields": list(error.fields)}
        for error in refused.errors
    ]
