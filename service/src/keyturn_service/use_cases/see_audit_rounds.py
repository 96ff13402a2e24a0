"""Tell how export and retention of the audit go, and for how long they have not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from keyturn_service.ports import AuditTurns, Clock, Turn

_SLACK: Final = timedelta(minutes=5)


class RoundState(StrEnum):
    """How a piece of work stands."""

    OK = "ok"
    """It was done when it was last due, or nobody has come to it yet."""
    FAILED = "failed"
    """The last try failed; it is tried again."""
    LATE = "late"
    """It was not done for more than twice its pause, and nobody says why: no replica runs, the
    folder hangs, or somebody writes in the database whose turn it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRound:
    """How one of them goes. `age` is how long ago it was last done, None where it never was."""

    turn: Turn
    state: RoundState
    age: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeeAuditRounds:
    """Look at those that this installation asks for; `pauses` says how often each is to be done."""

    turns: AuditTurns
    pauses: Mapping[str, timedelta]
    clock: Clock

    async def __call__(self) -> Sequence[AuditRound]:
        """Return how each goes, in order of names.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if not self.pauses:
            return []
        kept, now = {turn.name: turn for turn in await self.turns.all()}, self.clock.now()
        return [
            _seen(
                kept.get(name) or Turn(name=name, succeeded_at=None, problem=None),
                now,
                late=late_after(self.pauses[name]),
            )
            for name in sorted(self.pauses)
        ]


def late_after(pause: timedelta) -> timedelta:
    """Return after how long what is to be done every so often is late."""
    return 2 * pause + _SLACK


def _seen(turn: Turn, now: datetime, *, late: timedelta) -> AuditRound:
    age = None if turn.succeeded_at is None else now - turn.succeeded_at
    state = RoundState.OK
    if turn.problem is not None:
        state = RoundState.FAILED
    elif age is not None and abs(age) > late:  # as well where somebody wrote a time to come
        state = RoundState.LATE
    return AuditRound(turn=turn, state=state, age=age)
