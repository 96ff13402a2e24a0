"""Calls that the service passes on to an org, and Salesforce's own answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from unicodedata import normalize
from urllib.parse import quote, unquote

import msgspec

from keyturn.errors import Problem, SalesforceError, SalesforceErrorItem
from keyturn.wire import (
    ERROR,
    Answer,
    Call,
    Params,
    json_call,
    path,
    refusal,
    refuse,
    retry_after,
    with_query,
)

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ANONYMOUS_APEX: Final = "executeanonymous"  # runs by GET too
_KEPT: Final = "/%:@!$&'()*+,;=~-._"  # of a path; what is escaped already stays so
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
_SERVER: Final = 500
_LIMIT: Final = "REQUEST_LIMIT_EXCEEDED"
_SESSION_OVER: Final = "INVALID_SESSION_ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceAnswer:
    """Salesforce's own answer to a call. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text; Salesforce writes UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ValueError: it is none.
        """
        return msgspec.json.decode(self.body)


def salesforce_call(
    connection_id: str,
    method: str,
    target: str,
    *,
    params: Params | None = None,
    json: object = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    repeatable: bool | None = None,
) -> Call[SalesforceAnswer]:
    """Write a call to the connection's org. `target` is a path there, with or without a query.

    Raises:
        ValueError: the path leads elsewhere, or a header is the service's business.
    """
    if any(name.casefold() == "authorization" for name in headers or {}):
        raise ValueError("the service puts the access token in; leave `Authorization` out")
    if json is not None and content is not None:
        raise ValueError("give `json` or `content`, not both")
    verb = method.upper()
    call = Call(
        method=verb,
        target=with_query(_proxied(connection_id, target), params),
        read=_read,
        content=content,
        headers=dict(headers or {}),
        repeatable=_only_reads(verb, target) if repeatable is None else repeatable,
        proxied=True,
    )
    return json_call(call, json)


def is_own_refusal(answer: Answer) -> bool:
    """Tell whether the service itself refuses a proxied call, not Salesforce.

    Only the service's mark tells: it lets none of the org's pass, while the org may write problem
    documents too. A refusal that is neither the service's nor an answer it passed on came from
    something in between.
    """
    return "keyturn-problem" in answer.headers


def session_is_over(answer: Answer) -> bool:
    """Tell whether Salesforce says that the access token has ended, and so did nothing."""
    if answer.status != _UNAUTHORIZED or is_own_refusal(answer):
        return False
    return any(item.code == _SESSION_OVER for item in salesforce_errors(answer.body))


def salesforce_error(answer: Answer | SalesforceAnswer) -> SalesforceError:
    """Read a refusal of Salesforce's."""
    errors = salesforce_errors(answer.body)
    remedy, who = _remedy(answer.status, errors)
    said = "; ".join(f"{item.code}: {item.message}".removesuffix(": ") for item in errors)
    problem = Problem(
        code="salesforce_error",
        title="Salesforce refused the call",
        detail=said or f"HTTP {answer.status}",
        status=answer.status,
        remedy=remedy,
        who=who,
        retry_after=retry_after(answer.headers),
    )
    return SalesforceError(problem, answer.body, errors)


def salesforce_errors(body: bytes) -> tuple[SalesforceErrorItem, ...]:
    """Find the errors that a body names, in any of the shapes that Salesforce writes."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    return tuple(_items(read))


def _proxied(connection_id: str, target: str) -> str:
    plain, mark, query = target.partition("?")
    segments = plain.removeprefix("/").split("/")
    decoded = [unquote(segment) for segment in segments]
    if not plain or "://" in plain or "" in decoded[:-1] or {".", ".."} & {*decoded}:
        raise ValueError("name a path of the org, such as /services/data/v68.0/limits")
    base = path("connections", connection_id, "salesforce")
    return f"{base}/{quote('/'.join(segments), safe=_KEPT)}{mark}{quote(query, safe=_KEPT + '?')}"


def _only_reads(verb: str, target: str) -> bool:
    """Tell whether a call may be made twice; the service decodes a path as often as it changes."""
    plain = target.partition("?")[0]
    while (further := unquote(plain)) != plain:
        plain = further
    return verb in _READS and _ANONYMOUS_APEX not in normalize("NFKC", plain).casefold()


def _read(answer: Answer) -> SalesforceAnswer:
    own = is_own_refusal(answer)
    if own or (answer.status >= ERROR and "keyturn-request-id" not in answer.headers):
        refuse(answer)
        raise refusal(answer)
    if answer.status >= ERROR:
        raise salesforce_error(answer)
    return SalesforceAnswer(status=answer.status, headers=answer.headers, body=answer.body)


def _items(read: object) -> Iterator[SalesforceErrorItem]:
    if isinstance(read, list):
        for item in read:
            yield from _items(item)
    elif isinstance(read, dict):
        code = read.get("errorCode") or read.get("statusCode") or read.get("error")
        if isinstance(code, str):
            yield _item(code, read)
        elif isinstance(read.get("errors"), list):
            yield from _items(read["errors"])


def _item(code: str, read: Mapping[str, Any]) -> SalesforceErrorItem:
    message = read.get("message") or read.get("error_description") or ""
    fields = read.get("fields")
    return SalesforceErrorItem(
        code=code,
        message=str(message),
        fields=tuple(map(str, fields)) if isinstance(fields, list) else (),
    )


def _remedy(status: int, errors: tuple[SalesforceErrorItem, ...]) -> tuple[str, str]:
    """Say what mends a refusal, and who can."""
    if any(item.code == _LIMIT for item in errors):
        return "retry", "admin"
    if status == _TOO_MANY or status >= _SERVER:
        return "retry", "salesforce"
    if status == _UNAUTHORIZED:
        return "retry", "vendor"
    if status == _FORBIDDEN:
        return "ask_admin", "admin"
    return "reconfigure", "vendor"
