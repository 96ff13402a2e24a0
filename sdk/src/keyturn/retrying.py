"""When a call is made again, and after how long: decided here, carried out by the clients.

A call is repeated only where that cannot do its work twice: nothing was sent, the service said
that it did nothing, the call only reads, or it carries an idempotency key. Of the last, one that
makes something may make another where the service's database was cut off in the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from keyturn.errors import KeyturnError, Problem, TransportError
from keyturn.proxied import is_own_refusal, session_is_over
from keyturn.wire import Answer, Call, Conversation, refusal, retry_after

T = TypeVar("T")

_NOT_DONE: Final = frozenset({429, 503})  # as a refusal of the service: it did nothing
_IN_USE: Final = "idempotency_key_in_use"  # the first one with this key is still at work
_PASSING: Final = frozenset({429, 502, 503, 504})
_KEY_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a call is made at most, and the bounds of the waits between, in seconds.

    Waits double from `first_wait` on, some of each by chance. Where the service says how long
    to wait, it is obeyed; where that is longer than `longest_wait`, the error is raised at once.
    """

    attempts: int = 4
    first_wait: float = 0.25
    longest_wait: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send this call, with an idempotency key where there is one."""

    call: Call[Any]
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """No whole answer came. `sent` is False only where nothing can have arrived."""

    sent: bool
    reason: str


Outcome: TypeAlias = Answer | NoAnswer
Step: TypeAlias = Send | Wait
Steps: TypeAlias = Generator[Step, Outcome | None, T]
Entropy: TypeAlias = Callable[[int], bytes]


def carried_out(conversation: Conversation[T], retries: Retries, entropy: Entropy) -> Steps[T]:
    """Turn a conversation into steps for a client: what to send, how long to wait."""
    try:
        call = next(conversation)
        while True:
            try:
                result = yield from _repeated(call, retries, entropy)
            except KeyturnError as error:
                call = conversation.throw(error)
            else:
                call = conversation.send(result)
    except StopIteration as end:
        ended: T = end.value
        return ended


def wait_before_next(
    call: Call[Any], outcome: Outcome, *, made: int, retries: Retries, entropy: Entropy
) -> float | None:
    """Return the seconds until the call is made again, None where it is not.

    `made` counts how often it was made so far.
    """
    if made >= retries.attempts:
        return None
    if call.proxied and isinstance(outcome, Answer) and session_is_over(outcome):
        return 0.0 if made == 1 else None  # Salesforce did nothing; the service has renewed
    if not _may_repeat(call, outcome):
        return None
    told = _told(call, outcome)
    if told is not None:
        return told if told <= retries.longest_wait else None
    longest = min(retries.longest_wait, retries.first_wait * 2.0 ** (made - 1))
    return longest * (0.5 + entropy(1)[0] / 512)


def _repeated(call: Call[T], retries: Retries, entropy: Entropy) -> Steps[T]:
    key = entropy(_KEY_BYTES).hex() if call.keyed else None
    made = 0
    while True:
        outcome = yield Send(call=call, key=key)
        made += 1
        if outcome is None:
            raise RuntimeError("a client carried out no step")
        wait = wait_before_next(call, outcome, made=made, retries=retries, entropy=entropy)
        if wait is None:
            return _result(call, outcome)
        if wait:
            yield Wait(seconds=wait)


def _may_repeat(call: Call[Any], outcome: Outcome) -> bool:
    harmless = call.repeatable or call.keyed
    if isinstance(outcome, NoAnswer):
        return harmless or not outcome.sent
    if _refused(call, outcome) and outcome.status in _NOT_DONE:
        return True
    if call.keyed and outcome.headers.get("keyturn-problem") == _IN_USE:
        return True
    return harmless and outcome.status in _PASSING


def _refused(call: Call[Any], answer: Answer) -> bool:
    """Tell whether the service refuses; only of a proxied call could another say it so."""
    if is_own_refusal(answer) or call.proxied:
        return is_own_refusal(answer)
    return answer.headers.get("content-type", "").startswith("application/problem+json")


def _told(call: Call[Any], outcome: Outcome) -> float | None:
    if isinstance(outcome, NoAnswer):
        return None
    own = _refused(call, outcome)
    return refusal(outcome).retry_after if own else retry_after(outcome.headers)


def _result(call: Call[T], outcome: Outcome) -> T:
    if isinstance(outcome, NoAnswer):
        raise TransportError(_unanswered(outcome))
    return call.read(outcome)


def _unanswered(outcome: NoAnswer) -> Problem:
    if outcome.sent:
        return Problem(
            code="answer_lost",
            title="The service's answer did not come",
            detail=f"{outcome.reason}; what was asked may have been done",
            remedy="report",
            who="operator",
        )
    return Problem(
        code="service_unreachable",
        title="The service cannot be reached",
        detail=outcome.reason,
        remedy="retry",
        who="operator",
    )
