"""Watch the Dev Hub for installs, for all open connect pages together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Final

import structlog

from keyturn_service.ports import (
    Clock,
    DevHubUnreachable,
    InstalledPackages,
    PackageInOrg,
    Waiting,
)

PAUSE: Final = 5.0  # seconds between two questions to the Dev Hub, and the life of an answer
HOLD_OFF: Final = 30.0  # seconds after a question that came to nothing
_REMEMBERED: Final = 600.0  # seconds
_log = structlog.get_logger()


class WatchInstalls:
    """Ask the Dev Hub at most once in `PAUSE`, for whatever pages want to know by then.

    Its failure is nobody's: who asks is told what was known before, which is that nothing was
    seen. Each replica asks for itself.
    """

    def __init__(self, *, packages: InstalledPackages, clock: Clock, waiting: Waiting) -> None:
        self._packages = packages
        self._clock = clock
        self._waiting = waiting
        self._answers: dict[PackageInOrg, tuple[bool, float]] = {}
        self._wanted: set[PackageInOrg] = set()
        self._asking: frozenset[PackageInOrg] = frozenset()
        self._next = clock.monotonic()
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, asked: Collection[PackageInOrg], *, within: float) -> bool:
        """Tell whether one of the asked is installed, as far as is known `within` seconds."""
        oldest = self._clock.monotonic() - PAUSE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while (stale := self._stale(asked, oldest)) and self._rest() <= PAUSE:
                    self._wanted |= stale - self._asking
                    if self._task is None:
                        self._task = asyncio.create_task(self._rounds())
                    await self._told.wait()
        return any(self._answers.get(one, (False, 0.0))[0] for one in asked)

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _stale(self, asked: Collection[PackageInOrg], oldest: float) -> set[PackageInOrg]:
        return {one for one in asked if self._answers.get(one, (False, oldest))[1] <= oldest}

    def _rest(self) -> float:
        """Return how many seconds have to pass until the next question."""
        return self._next - self._clock.monotonic()

    async def _rounds(self) -> None:
        try:
            while self._wanted and (rest := self._rest()) <= PAUSE:
                if rest > 0:
                    await self._waiting.sleep(rest)
                await self._round()
        finally:
            self._task = None

    async def _round(self) -> None:
        self._asking, self._wanted = frozenset(self._wanted), set()
        try:
            found = await self._packages.among(self._asking)
        except DevHubUnreachable as error:
            _log.warning("dev_hub_unreachable", reason=error.reason)
            self._next = self._clock.monotonic() + HOLD_OFF
        else:
            now = self._clock.monotonic()
            kept = {one: a for one, a in self._answers.items() if a[1] > now - _REMEMBERED}
            self._answers = kept | {one: (one in found, now) for one in self._asking}
            self._next = now + PAUSE
        finally:
            self._asking = frozenset()
            self._told.set()
            self._told = asyncio.Event()
