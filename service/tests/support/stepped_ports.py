"""The ports of a stepped replica: each of their calls is a place to be held before."""

from __future__ import annotations

import asyncio
import errno
import os
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from service.tests.support.stepped import Process

WINDOW: Final = "endpoint.window"


class Port:
    """A port with a place to be held before each of its awaited calls.

    After a call is before the next one: nothing becomes durable between the two.
    """

    def __init__(self, name: str, port: Any, process: Process) -> None:
        self._name = name
        self._port = port
        self._process = process

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._port, method)
        return partial(self._call, method, found) if iscoroutinefunction(found) else found

    async def _call(self, method: str, call: Any, *given: Any, **named: Any) -> Any:
        name = f"{self._name}.{method}"
        if name == "audit.record":
            name += f"({given[0].type})"
        await self._process.gate(name)
        if name in {"spool.intend", "spool.put"} and self._process.replica.disk_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._process.noted(name, given)
        answer = await call(*given, **named)
        if name == "endpoint.present" and b"grant_type=refresh_token" in given[1]:
            self._process.owes_spool = True
        if name == self._process.away_from:
            self._process.replica.database.away = True
        if name == self._process.full_from:
            self._process.replica.disk_full = True
        if not self._process.alive:
            raise asyncio.CancelledError
        return answer


class Endpoint:
    """The token endpoint of whichever org the story is about, as one process reaches it.

    Between its look at the deadline and the first byte stands a place to be held: the window.
    """

    connect_seconds = 10.0
    answer_seconds = 30.0

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.replica.world

    async def present(self, *given: Any, **named: Any) -> Any:
        """Take a token request."""
        org = self._world.org
        return await org.present(*given, **named, arrives=partial(self._process.gate, WINDOW))

    async def post(self, *given: Any, **named: Any) -> Any:
        """Take a form at another endpoint."""
        return await self._world.org.post(*given, **named)
