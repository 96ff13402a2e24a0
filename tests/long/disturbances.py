"""What stands between a replica and the world, and can be made to go wrong: database and clock."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_COMMIT: Final = b"COMMIT"
_OF_AN_ATTEMPT: Final = b"att_"  # stands in what every statement about an attempt binds
_SO_MUCH: Final = 1 << 16


class Cut(StrEnum):
    """Where a connection to the database ends."""

    IN_STATEMENT = "a statement half sent"
    BEFORE_ANSWER = "a statement's answer lost"
    BEFORE_COMMIT = "a commit not sent"
    AFTER_COMMIT = "a commit's answer lost"


@dataclass
class DatabaseRoad:
    """The way of one replica to its database: bytes go through, until a cut was asked for.

    A cut meets the next statement or commit that is of an attempt to refresh, once.
    """

    database: str
    port: int = 0
    wanted: Cut | None = None
    done: Counter[Cut] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        """The database's URL by this road."""
        parts = urlsplit(self.database)
        return urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}"))

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take connections."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _carry(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.database)
        there, out = await asyncio.open_connection(parts.hostname, parts.port)
        one = _Carried(self, here, back, there, out)
        try:
            await asyncio.wait(
                {asyncio.create_task(one.asked()), asyncio.create_task(one.answered())},
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for writer in (back, out):
                writer.transport.abort()


@dataclass
class _Carried:
    road: DatabaseRoad
    here: asyncio.StreamReader
    back: asyncio.StreamWriter
    there: asyncio.StreamReader
    out: asyncio.StreamWriter
    of_an_attempt: bool = False
    withhold: Cut | None = None

    async def asked(self) -> None:
        """Carry what the replica says, up to a cut."""
        with contextlib.suppress(OSError):
            while data := await self.here.read(_SO_MUCH):
                commits = _COMMIT in data
                self.of_an_attempt |= _OF_AN_ATTEMPT in data
                cut = self.road.wanted if self.of_an_attempt else None
                if cut in {Cut.BEFORE_COMMIT, Cut.AFTER_COMMIT} and not commits:
                    cut = None
                if commits:
                    self.of_an_attempt = False
                if cut is not None:
                    self.road.wanted = None
                    self.road.done[cut] += 1
                match cut:
                    case Cut.BEFORE_COMMIT:
                        return
                    case Cut.IN_STATEMENT:
                        self.out.write(data[: len(data) // 2])
                        await self.out.drain()
                        return
                    case Cut.BEFORE_ANSWER | Cut.AFTER_COMMIT:
                        self.withhold = cut
                    case None:
                        pass
                self.out.write(data)
                await self.out.drain()

    async def answered(self) -> None:
        """Carry what the database says; of what a cut meets nothing, so that it is done."""
        with contextlib.suppress(OSError):
            while data := await self.there.read(_SO_MUCH):
                if self.withhold is not None:
                    return
                self.back.write(data)
                await self.back.drain()


@dataclass
class ReplicaClocks:
    """The world's clock as each replica is told it: off by what was asked for.

    `world` says how far the world is ahead of this machine.
    """

    world: Callable[[], timedelta]
    off: dict[str, timedelta] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    port: int = 0

    def url(self, replica: str) -> str:
        """Return where a replica asks for the time."""
        return f"http://127.0.0.1:{self.port}/{replica}"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer who asks for the time."""
        server = await asyncio.start_server(self._tell, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    def now(self, replica: str) -> datetime:
        """Return the time that a replica is told."""
        off = self.off.get(replica, timedelta(0))
        return datetime.now(UTC) + self.world() + off

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                replica = head.split(b" ", 2)[1].decode().split("/")[1]
                self.told[replica] += 1
                said = json.dumps({"now": self.now(replica).isoformat()}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(said), said)
                )
                await writer.drain()
        writer.close()


@dataclass
class Happened:
    """How often each kind of disturbance was made, and how often it was seen to have effect."""

    made: Counter[str] = field(default_factory=Counter)
    felt: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, *, felt: bool) -> None:
        """Count one."""
        self.made[kind] += 1
        self.felt[kind] += felt

    def table(self) -> Mapping[str, Mapping[str, int]]:
        """Return both counts for each kind."""
        return {
            kind: {"made": made, "felt": self.felt[kind]}
            for kind, made in sorted(self.made.items())
        }

    def without_effect(self, kinds: frozenset[str]) -> list[str]:
        """Return those kinds that did not happen, or changed nothing."""
        return sorted(kind for kind in kinds if not self.felt[kind])
