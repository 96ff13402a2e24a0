"""How long a replica holds off, whatever the clock of the one said that was asked to wait.

A hold-off follows the world's clock, which may be a simulated one, and which each replica has for
itself: the database's own clock would not do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from keyturn_service.domain.attempt import HoldOff
from keyturn_service.domain.ids import AttemptId


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
