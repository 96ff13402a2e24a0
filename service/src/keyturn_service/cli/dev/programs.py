"""The programs that a development world is made of, each a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

STARTS_WITHIN: Final = 60.0
"""Seconds until a program has to answer."""

_ENDS_WITHIN: Final = 5.0  # seconds after SIGTERM
_LINE_LIMIT: Final = 1 << 20  # bytes of the one line


class ProgramFailed(Exception):
    """A program of the world did not start, or ended by itself."""


def executable(name: str) -> str:
    """Return the path of a command installed beside the running Python.

    Raises:
        ProgramFailed: it is not installed.
    """
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise ProgramFailed(
            f"{name} is not installed; get it with: pip install keyturn-service[dev]"
        )
    return str(path)


@dataclass(kw_only=True)
class Program:
    """One program: how it is started, and the process it runs as.

    It says in one line of JSON on stdout when it answers, logs to our stderr, and ends by
    itself when its standard input closes, so that it cannot outlive us.

    A program that waits for a first line of input can be prepared: a second process, loaded and
    waiting, takes over at once when the first one was killed.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] | None = None
    first_input: str | None = None
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    prepared: asyncio.subprocess.Process | None = field(default=None, init=False)

    async def start(self) -> dict[str, Any]:
        """Start it and return what it says when it answers.

        Raises:
            ProgramFailed: it ended, or said nothing in time.
        """
        prepared, self.prepared = self.prepared, None
        if prepared is None or prepared.returncode is not None:
            prepared = await self._spawn()
        self.process = prepared
        output, standard_input = self.process.stdout, self.process.stdin
        if output is None or standard_input is None:  # pragma: no cover - we asked for pipes
            raise ProgramFailed(f"{self.name} has no pipes")
        if self.first_input is not None:
            standard_input.write(self.first_input.encode() + b"\n")
            await standard_input.drain()
        try:
            async with asyncio.timeout(STARTS_WITHIN):
                line = await output.readline()
        except TimeoutError:
            raise ProgramFailed(f"{self.name} said nothing for {STARTS_WITHIN:.0f} s") from None
        if not line:
            status = await self.process.wait()
            raise ProgramFailed(f"{self.name} ended with status {status}; its log says why")
        said: dict[str, Any] = json.loads(line)
        return said

    async def prepare(self) -> None:
        """Load it a second time; that one waits for its first line of input."""
        if self.first_input is not None and self.prepared is None:
            self.prepared = await self._spawn()

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.argv,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        return self.process.pid if self.process is not None else 0

    async def ended(self) -> int:
        """Wait for the process to end and return its status."""
        return await self.process.wait() if self.process is not None else 0

    async def stop(self) -> None:
        """Have it end; kill it where it does not."""
        if self.prepared is not None and self.prepared.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.prepared.kill()  # it has begun nothing
            await self.prepared.wait()
        if self.process is None or self.process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), _ENDS_WITHIN)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


async def keep_running(program: Program) -> None:
    """Start the program again each time it is killed.

    Raises:
        ProgramFailed: it ended by itself, or does not start any more.
    """
    while True:
        await program.prepare()
        status = await program.ended()
        if status >= 0:
            raise ProgramFailed(f"{program.name} ended with status {status}")
        await program.start()


async def fail_when_ended(program: Program) -> None:
    """Wait for a program that must not end.

    Raises:
        ProgramFailed: it ended.
    """
    status = await program.ended()
    raise ProgramFailed(f"{program.name} ended with status {status}")
