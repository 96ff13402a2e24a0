"""How much strangers may have written down: who shows no secret of ours could fill a disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_BURST: Final = 60.0  # records that may be made at once
_PER_SECOND: Final = 1.0


@dataclass(slots=True)
class Ration:
    """A number of records that grows with time up to a burst; what is left out is counted."""

    burst: float = _BURST
    _left: float = field(init=False)
    _since: float | None = None
    _left_out: int = 0

    def __post_init__(self) -> None:
        self._left = self.burst

    def take(self, now: float) -> int | None:
        """Return how many were left out before this record, None where it is left out too.

        `now` is in seconds of the machine's own clock.
        """
        passed = 0.0 if self._since is None else now - self._since
        self._left = min(self.burst, self._left + passed * _PER_SECOND)
        self._since = now
        if self._left < 1:
            self._left_out += 1
            return None
        self._left -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out
