"""A replica like `keyturn serve` in which something is planted.

Started with one line of JSON on standard input: `settings`, `dev_world`, and `plant`:

- `no_fencing`: leases are given to everybody, and nobody looks for an attempt under way. The
  load has to find that.
- `sleeps_in_window`: it is stopped (SIGSTOP, by itself) between its look at the deadline and the
  first byte of a refresh, each time the file `<data_dir>/window` is there: the window of design
  5.1. Whoever made the file sets it going again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop

from keyturn_service.adapters.http.token_endpoint import HttpTokenEndpoint
from keyturn_service.bootstrap import Parts
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.cli.serve import run_replica
from keyturn_service.domain.ids import ConnectionId
from keyturn_service.ports import Clock, Lease
from keyturn_service.settings import read_settings


class _Forwarding:
    """A port that hands on what is not planted."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


class LeasesForAll(_Forwarding):
    """Leases that are taken from whoever holds them, and end never."""

    async def acquire(self, connection_id: ConnectionId, *, ttl: timedelta) -> Lease | None:
        """Take it."""
        await self._port.acquire(connection_id, ttl=ttl)
        return Lease(connection_id=connection_id, fence=1, deadline=float("inf"), ends_at=0)


class Careless(_Forwarding):
    """A token store that knows of no attempt under way, and of no fence."""

    async def open_attempt(self, connection_id: ConnectionId) -> None:
        """Find none."""
        del connection_id

    async def begin_attempt(self, attempt: Any) -> None:
        """Take the fence that is in force for the attempt's own."""
        await self._port.begin_attempt(await self._fenced(attempt))

    async def replace(self, connection: Any, tokens: Any, *, attempt: Any) -> bool:
        """Do so too."""
        fenced = await self._fenced(attempt)
        return bool(await self._port.replace(connection, tokens, attempt=fenced))

    async def _fenced(self, attempt: Any) -> Any:
        async with self._port.database.read() as reading:
            asked = "SELECT fence FROM refresh_leases WHERE connection_id = '%s'"
            found = await reading.exec_driver_sql(asked % attempt.connection_id)
            return replace(attempt, fence=found.scalar_one())


@dataclass(frozen=True)
class FallsAsleep:
    """A clock that stops its process right after it was looked at for the deadline."""

    clock: Clock
    mark: Path

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self.clock.now()

    def monotonic(self) -> float:
        """Return seconds that nothing moves, and fall asleep."""
        seconds = self.clock.monotonic()
        if self.mark.exists():
            self.mark.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        return seconds


def between(plant: str, data_dir: Path) -> Callable[[Parts], Parts]:
    """Return what is planted between use cases and adapters."""

    def planted(parts: Parts) -> Parts:
        if plant == "no_fencing":
            leases: Any = LeasesForAll(parts.stores.leases)
            tokens: Any = Careless(parts.stores.tokens)
            return replace(parts, stores=replace(parts.stores, leases=leases, tokens=tokens))
        endpoint = parts.endpoint
        assert isinstance(endpoint, HttpTokenEndpoint)
        sleepy = FallsAsleep(endpoint.clock, data_dir / "window")
        return replace(parts, endpoint=replace(endpoint, clock=sleepy))

    return planted


def main() -> None:
    """Serve until told to stop."""
    given = json.loads(sys.stdin.readline())
    log_to_stderr()
    settings = read_settings(**given["settings"], dev_world=given["dev_world"])
    plant = between(given["plant"], Path(given["settings"]["data_dir"]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_replica(settings, as_json=True, until_stdin_ends=True, between=plant))


if __name__ == "__main__":
    main()
