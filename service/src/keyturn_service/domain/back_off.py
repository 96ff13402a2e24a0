"""How long to leave an org alone that refuses again and again, and does not say for how long."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from math import ceil
from typing import Final

from keyturn_service.domain.ids import AttemptId

LONGEST: Final = timedelta(minutes=1)  # whoever has mended something does not wait for longer
_LESS: Final = 0.25


def backed_off(first: int, *, before: timedelta | None, attempt_id: AttemptId) -> int:
    """Return for how many seconds to hold off: twice as long as the time before, up to a minute.

    Less a share of each attempt's own, up to a quarter: connections that were refused at one
    moment do not come back at one moment. `first` is for the first refusal, where nothing was
    held off before; after a wait that the org itself asked for, if longer, it starts anew.
    """
    if before is None or before > LONGEST:
        return first
    digest = hashlib.sha256(attempt_id.encode()).digest()
    share = int.from_bytes(digest[:8]) / 2**64
    longest = min(2 * before, LONGEST).total_seconds()
    return max(first, ceil(longest * (1 - _LESS * share)))
