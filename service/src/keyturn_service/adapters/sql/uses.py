"""Uses of connections, noted in memory and kept every few seconds."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import structlog

from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import Connections, StoreUnavailable

_PAUSE: Final = 1.0  # seconds
_log = structlog.get_logger()


class GatheredUses:
    """`ports.Uses`: one write a second, however many uses."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._noted: dict[ConnectionId, datetime] = {}

    def note(self, connection_id: ConnectionId, at: datetime) -> None:
        """Note a use; it is kept within seconds."""
        self._noted[connection_id] = at

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
