"""A replica that is killed, held up or failed at one awaited call, or notes which it met.

Started with one line of JSON on standard input: `settings`, `dev_world`, `arm`
(a file whose being there arms it), `record` (a file to write the calls to) and, each
`<call>:before`, `<call>:after` or null: `kill_at`; `full_at`, where the disk is full; and
`pause_at`, where the file `<arm>.paused` is made, and the call goes on when that is gone.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import uvloop

from keyturn_service.bootstrap import Parts
from keyturn_service.cli.logs import log_to_stderr
from keyturn_service.cli.serve import run_replica
from keyturn_service.settings import read_settings

WATCHED_STORES = ("tokens", "leases", "connections", "revocations", "incidents")
WATCHED = ("spool", "audit", "endpoint", "directory")
# What the background rounds ask all the time; not part of a refresh.
ROUNDS = frozenset(
    {
        "spool.undelivered",
        "spool.purge",
        "spool.key_needs",
        "spool.renew_key",
        "connections.claim_due",
        "revocations.claim_due",
        "incidents.claim_due",
        "incidents.under_way_since",
    }
)


class Watched:
    """A port with something before and after each of its awaited calls."""

    def __init__(self, name: str, port: Any, met: Callable[[str, str], Awaitable[None]]) -> None:
        self._name = name
        self._port = port
        self._met = met

    def __getattr__(self, method: str) -> Any:
        """Return the port's own member, a call of it watched."""
        found = getattr(self._port, method)
        if not iscoroutinefunction(found):
            return found
        return partial(self._call, f"{self._name}.{method}", found)

    async def _call(self, name: str, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if name == "audit.record":
            name += f"({args[0].type})"
        await self._met(name, "before")
        answer = await call(*args, **named)
        await self._met(name, "after")
        return answer


def watch(given: dict[str, Any]) -> Callable[[Parts], Parts]:
    """Return what goes between use cases and adapters."""
    arm = Path(given["arm"])
    record = Path(given["record"])

    async def met(name: str, when: str) -> None:
        if name in ROUNDS or not arm.exists():
            return
        place = f"{name}:{when}"
        if given["kill_at"] == place:
            os.kill(os.getpid(), signal.SIGKILL)
        if given["full_at"] == place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if given["pause_at"] == place:
            await paused(arm.with_suffix(".paused"))
        if when == "before":
            with record.open("a") as file:
                file.write(name + "\n")

    def between(parts: Parts) -> Parts:
        stores = replace(
            parts.stores,
            **{name: Watched(name, getattr(parts.stores, name), met) for name in WATCHED_STORES},
        )
        ports = {name: Watched(name, getattr(parts, name), met) for name in WATCHED}
        known = {field.name for field in fields(parts)}
        return replace(parts, stores=stores, **{n: p for n, p in ports.items() if n in known})

    return between


async def paused(mark: Path) -> None:
    """Make a file, and wait until somebody has removed it."""
    mark.touch()
    while mark.exists():
        await asyncio.sleep(0.01)


def main() -> None:
    """Serve until told to stop, or killed."""
    given = json.loads(sys.stdin.readline())
    log_to_stderr()
    settings = read_settings(**given["settings"], dev_world=given["dev_world"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_replica(settings, as_json=True, until_stdin_ends=True, between=watch(given)))


if __name__ == "__main__":
    main()
