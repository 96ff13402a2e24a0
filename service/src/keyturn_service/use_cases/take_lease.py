"""Wait for the refresh lease of a connection, for what must not meet a refresh."""

from __future__ import annotations

from typing import Final

from keyturn_service.domain.errors import Conflict
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import Clock, Lease, RefreshLeases, Waiting
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL

_PATIENCE: Final = 10.0  # seconds
_POLL: Final = 0.05  # seconds


async def take_lease(
    connection_id: ConnectionId, *, leases: RefreshLeases, clock: Clock, waiting: Waiting
) -> Lease:
    """Return the lease; whoever takes it gives it back.

    Raises:
        Conflict: `refresh_under_way`, for longer than a caller waits.
    """
    give_up = clock.monotonic() + _PATIENCE
    while True:
        lease = await leases.acquire(connection_id, ttl=LEASE_TTL)
        if lease is not None:
            return lease
        if clock.monotonic() > give_up:
            raise Conflict("refresh_under_way", retry_after=5)
        await waiting.sleep(_POLL)
