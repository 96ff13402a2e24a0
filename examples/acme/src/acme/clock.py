"""Acme's clock: the machine's, or that of a simulated world."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx2

_EVERY: Final = 0.4  # seconds; all programs of a world follow its clock within one
_PATIENCE: Final = 2.0  # seconds
_log: Final = logging.getLogger(__name__)


class Clock:
    """The time in UTC."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return the time."""
        return _machine_now() + self._ahead

    def set(self, now: datetime) -> None:
        """Go on from `now`."""
        self._ahead = now - _machine_now()

    async def follow(self, url: str) -> None:
        """Follow a world's clock; return never. Where it is away, go on as before."""
        async with httpx2.AsyncClient(timeout=_PATIENCE, trust_env=False) as http:
            while True:
                await self._follow_once(http, url)
                await asyncio.sleep(_EVERY)

    async def _follow_once(self, http: httpx2.AsyncClient, url: str) -> None:
        try:
            answer = await http.get(f"{url}/clock", params={"program": "acme"})
            self.set(datetime.fromisoformat(answer.raise_for_status().json()["now"]))
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            _log.warning("clock_not_followed")


def _machine_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - Acme's clock is built on this one reading
