"""Calls to the service and its answers as plain values: no client is needed to write or read them.

What takes more than one call is a conversation: a generator that yields calls, is sent what
was read from each answer, and returns the result. The two clients only carry.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from keyturn.errors import KeyturnError, Problem, UnexpectedAnswer, error_of
from keyturn.secret import Secret

T = TypeVar("T")
Params: TypeAlias = Mapping[str, str | int | bool | None]
Conversation: TypeAlias = Generator["Call[Any]", Any, T]

OK: Final = range(200, 300)
ERROR: Final = 400  # statuses from here on are refusals
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer, whole. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One HTTP request to the service, and how its answer is read.

    `target` is path and query, escaped. `repeatable` says that doing it twice does no harm;
    `keyed`, that it carries an idempotency key, which makes it repeatable. `proxied` says that
    Salesforce answers, not the service.
    """

    method: str
    target: str
    read: Callable[[Answer], T] = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeatable: bool = False
    keyed: bool = False
    proxied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some of a list's items, and the call that asks for the next ones."""

    items: Sequence[T]
    next: Call[Page[T]] | None


def ask(call: Call[T]) -> Conversation[T]:
    """Make one call: the shortest conversation."""
    answer: T = yield call
    return answer


def get(target: str, read: Callable[[Answer], T]) -> Call[T]:
    """Write a call that reads."""
    return Call(method="GET", target=target, read=read, repeatable=True)


def write(method: str, target: str, read: Callable[[Answer], T], *, body: object = None) -> Call[T]:
    """Write a call that changes something at the service, under an idempotency key."""
    return json_call(Call(method=method, target=target, read=read, keyed=True), body)


def json_call(call: Call[T], body: object) -> Call[T]:
    """Return the call with a JSON body, none where `body` is None."""
    if body is None:
        return call
    headers = {**call.headers, "Content-Type": "application/json"}
    return replace(call, content=_encoder.encode(body), headers=headers)


def path(*segments: str) -> str:
    """Return a path of the REST API; a segment stays one whatever it holds.

    Raises:
        ValueError: a segment is empty or would lead elsewhere.
    """
    if any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError("an id is empty, or not an id")
    return "/".join(("/v1", *(quote(segment, safe="") for segment in segments)))


def with_query(target: str, params: Params | None) -> str:
    """Return the target with further members of its query; those that are None are left out."""
    given = {name: _text(value) for name, value in (params or {}).items() if value is not None}
    if not given:
        return target
    return f"{target}{'&' if '?' in target else '?'}{urlencode(given, quote_via=quote)}"


def given(**members: object) -> dict[str, object]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


class _Listed(msgspec.Struct):
    data: list[Any]
    next_cursor: str | None = None


def listed(target: str, model: type[T], params: Params | None = None) -> Call[Page[T]]:
    """Write a call that reads a list, one page at a time."""
    asked = with_query(target, params)

    def page(cursor: str | None) -> Call[Page[T]]:
        return get(with_query(asked, {"cursor": cursor}), read)

    def read(answer: Answer) -> Page[T]:
        refuse(answer)
        found = decoded(answer, _Listed)
        try:
            items = [to_model(item, model) for item in found.data]
        except msgspec.ValidationError:
            raise unexpected(answer) from None
        return Page(items=items, next=page(found.next_cursor) if found.next_cursor else None)

    return page(None)


def reader_of(model: type[T]) -> Callable[[Answer], T]:
    """Return a function that reads an answer of the service as a model."""

    def read(answer: Answer) -> T:
        refuse(answer)
        return decoded(answer, model)

    return read


def read_nothing(answer: Answer) -> None:
    """Read an answer that only says whether it was done."""
    refuse(answer)


def refuse(answer: Answer) -> None:
    """Let an answer pass that is no refusal.

    Raises:
        KeyturnError: it is one; the subclass says what can be done.
    """
    if answer.status >= ERROR:
        raise refusal(answer)
    if answer.status not in OK:  # a redirect, say: the address is not the service's
        raise unexpected(answer)


def refusal(answer: Answer) -> KeyturnError:
    """Read a refusal of the service; what is no problem document gets a code from its status."""
    try:
        read = msgspec.json.decode(answer.body)
        problem = msgspec.convert({**read, "status": answer.status}, Problem)
    except (msgspec.DecodeError, msgspec.ValidationError, TypeError, UnicodeDecodeError):
        return unexpected(answer)
    if problem.retry_after is None:
        problem = msgspec.structs.replace(problem, retry_after=retry_after(answer.headers))
    return error_of(problem)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the header `Retry-After` in seconds; dates are passed over."""
    said = headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() else None


def decoded(answer: Answer, model: type[T]) -> T:
    """Read the body as a model.

    Raises:
        UnexpectedAnswer: it is something else.
    """
    try:
        return to_model(msgspec.json.decode(answer.body), model)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        # Not `from error`: its text could quote the body.
        raise unexpected(answer) from None


def unexpected(answer: Answer) -> UnexpectedAnswer:
    """Return the error for an answer that cannot be read; it quotes nothing of the body."""
    problem = Problem(
        code="unreadable_answer",
        title="The answer is not one of the service",
        detail=f"HTTP {answer.status}, {answer.headers.get('content-type', 'no content type')}",
        status=answer.status,
        retry_after=retry_after(answer.headers),
    )
    return UnexpectedAnswer(problem)


def to_model(value: object, model: type[T]) -> T:
    """Turn a decoded value into a model.

    Raises:
        msgspec.ValidationError: it is something else.
    """
    return msgspec.convert(value, model, dec_hook=_secret)


def _secret(wanted: type, value: object) -> object:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError  # how msgspec is told "not mine"


def _text(value: str | int | bool) -> str:  # noqa: FBT001 - a value of a query
    return str(value).lower() if isinstance(value, bool) else str(value)
