"""Time and chance of this machine, and the clock of a development world."""

from __future__ import annotations

import asyncio
import secrets  # noqa: TID251 - the one home of chance
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
import structlog

from keyturn_service.ports import Clock

_ANSWER_SECONDS: Final = 2.0
_POLL: Final = 0.2  # seconds; a moved clock is followed within one
_PASSING: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_JITTER: Final = timedelta(milliseconds=500)  # below that it is the question's own way
_log = structlog.get_logger()


class SystemClock:
    """`ports.Clock` by this machine's clocks."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one home of the clock

    def monotonic(self) -> float:
        """Return seconds that nothing moves; where the system can, suspended time counts too.

        A lease goes on ending while a virtual machine sleeps.
        """
        return time.clock_gettime(_PASSING)


class FollowedClock:
    """`ports.Clock` of a development world: as far ahead as the world's clock says.

    The world's clock goes forwards only, but for a skew that is asked for as a fault. Leases and
    time-outs stay on the machine's own clock.
    """

    def __init__(
        self, url: str, machine: Clock | None = None, *, answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._url = url
        self._machine = SystemClock() if machine is None else machine
        self._timeout = aiohttp.ClientTimeout(total=answer_seconds)
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        """Return the world's time in UTC."""
        return self._machine.now() + self._ahead

    def monotonic(self) -> float:
        """Return seconds that nothing moves."""
        return self._machine.monotonic()

    async def follow(self) -> None:
        """Look at the world's clock until cancelled."""
        async with aiohttp.ClientSession(timeout=self._timeout) as http:
            while True:
                await self._look(http)
                await asyncio.sleep(_POLL)

    async def look_once(self) -> None:
        """Look at the world's clock now."""
        async with aiohttp.ClientSession(timeout=self._timeout) as http:
            await self._look(http)

    async def _look(self, http: aiohttp.ClientSession) -> None:
        try:
            async with http.get(self._url) as answer:
                stated = datetime.fromisoformat((await answer.json())["now"])
            ahead = stated - self._machine.now()
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            _log.debug("world_clock_unreadable", error=type(error).__name__)
            return
        if abs(ahead - self._ahead) > _JITTER:
            self._ahead = ahead


class SystemRandomness:
    """`ports.Randomness` by the operating system."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for secrets."""
        return secrets.token_bytes(count)


class SystemWaiting:
    """`ports.Waiting` by the event loop."""

    async def sleep(self, seconds: float) -> None:
        """Wait by the machine's own clock."""
        await asyncio.sleep(seconds)
