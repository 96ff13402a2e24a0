"""How long a replica holds off, whatever the clock of the one said that was asked to wait.

A hold-off follows the world's clock, which may be a simulated one, and which each replica has for
itself: the database's own clock would not do. None is longer than was asked for by `HoldingOff`,
none shorter than it has to be by `Pausing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from keyturn_service.domain.attempt import HoldOff
from keyturn_service.domain.ids import AttemptId

SKEW: Final = timedelta(minutes=10)  # by which the clocks of two replicas may differ


@dataclass(kw_only=True)
class HoldingOff:
    """The hold-offs that end too late by this replica's clock, and when each does instead.

    None is longer than was asked for, from when the replica first met it. One that is forgotten,
    as all are at a restart, counts from when it is met again.
    """

    most: int = 10_000
    _until: dict[tuple[AttemptId, HoldOff], datetime] = field(default_factory=dict, init=False)

    def rest(self, attempt_id: AttemptId, asked: HoldOff, now: datetime) -> timedelta:
        """Return what is left of it; nothing once it is over."""
        key = (attempt_id, asked)
        until = min(now + asked.length, self._until.get(key, asked.until))
        if until < asked.until:
            self._until[key] = until
            if len(self._until) > self.most:
                del self._until[next(iter(self._until))]
        return max(timedelta(0), until - now)


@dataclass(kw_only=True)
class Pausing:
    """The pauses since something that another replica's clock told, by this machine's own clock.

    Each counts from when this replica first met it. One that is forgotten, as all are at a
    restart, counts from when it is met again.
    """

    most: int = 10_000
    _met: dict[tuple[AttemptId, datetime], float] = field(default_factory=dict, init=False)

    def rest(
        self, attempt_id: AttemptId, pause: HoldOff, *, now: datetime, monotonic: float
    ) -> timedelta:
        """Return what is left of it: nothing once it is over by whatever clock there may be."""
        key = (attempt_id, pause.until)
        met = self._met.setdefault(key, monotonic)
        if len(self._met) > self.most:
            del self._met[next(iter(self._met))]
        if now >= pause.until + SKEW:
            return timedelta(0)
        return max(timedelta(0), pause.length - timedelta(seconds=monotonic - met))
