"""Uses of connections, noted in memory and kept every few seconds."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import Connections, StoreUnavailable

_PAUSE: Final = 1.0  # seconds
_FINENESS: Final = timedelta(seconds=10)  # uses of a connection closer together count as one
_REMEMBERED: Final = 20_000  # connections
_log = structlog.get_logger()


class GatheredUses:
    """`ports.Uses`: at most one write a second, and of each connection one in ten."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._noted: dict[ConnectionId, datetime] = {}
        self._latest: dict[ConnectionId, datetime] = {}

    def note(self, connection_id: ConnectionId, at: datetime) -> None:
        """Note a use; it is kept within seconds, to some seconds."""
        latest = self._latest.get(connection_id)
        if latest is not None and latest <= at < latest + _FINENESS:
            return
        if len(self._latest) >= _REMEMBERED:
            self._latest.clear()  # some are then written again sooner
        self._noted[connection_id] = self._latest[connection_id] = at

    async def keep(self) -> None:
        """Keep what was noted so far."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._connections.touch_used(noted)
        except StoreUnavailable as error:
            self._noted = noted | self._noted
            _log.info("uses_not_kept", error=type(error).__name__)

    async def keep_on(self) -> None:
        """Keep what is noted, until cancelled."""
        while True:
            await asyncio.sleep(_PAUSE)
            await self.keep()
