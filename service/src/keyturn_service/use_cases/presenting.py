"""Whether a refresh token may be presented: not while journals of another time are missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import StoreUnavailable


@dataclass(kw_only=True)
class Presenting:
    """The gate of one replica; `seen` are generations that connections have to be at least at."""

    is_open: bool = True
    under_way: int = 0
    seen: dict[ConnectionId, int] = field(default_factory=dict)

    def close(self, seen: Mapping[ConnectionId, int]) -> None:
        """Let nothing more be presented; what is under way goes on."""
        self.is_open = False
        for connection_id, generation in seen.items():
            self.seen[connection_id] = max(generation, self.seen.get(connection_id, 0))

    @contextlib.contextmanager
    def of(self, connection_id: ConnectionId, generation: int) -> Iterator[None]:
        """Stand around one presentation.

        Raises:
            StoreUnavailable: the database was exchanged, and what it forgot is not there yet.
        """
        if not self.is_open or self.seen.get(connection_id, 0) > generation:
            raise StoreUnavailable("another database")
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
