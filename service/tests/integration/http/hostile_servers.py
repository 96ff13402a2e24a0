"""Servers that behave badly on purpose, on loopback ports."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from keyturn_core.salesforce.hosts import Origin

Behaviour = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(kw_only=True)
class Hostile:
    """A raw server: `requests` holds what arrived, `connections` counts."""

    origin: Origin
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def raw_server(behaviour: Behaviour) -> AsyncIterator[Hostile]:
    """Read each request with its body and hand it to `behaviour`, which owns the connection."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())  # type: ignore[arg-type]
        hostile.connections += 1
        try:
            request = await read_request(reader)
            hostile.requests.append(request)
            await behaviour(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hostile = Hostile(origin=Origin(f"http://127.0.0.1:{port}"))
    try:
        yield hostile
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request whose body has a `Content-Length`, or none."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return head + await reader.readexactly(int(value))
    return head


def answering(*parts: bytes) -> Behaviour:
    """Send the parts as they are and close in order."""

    async def behave(
        request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        del request, reader
        for part in parts:
            writer.write(part)
            await writer.drain()

    return behave


def resetting(*parts: bytes) -> Behaviour:
    """Send the parts and break the connection."""

    async def behave(
        request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await answering(*parts)(request, reader, writer)
        reset(writer)

    return behave


async def silent(
    request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Never answer; wait until the other side is gone."""
    del request, writer
    await reader.read()


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection with RST instead of FIN."""
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def unused_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(kw_only=True)
class TestClock:
    """A clock whose monotonic time stands still until it is set."""

    __test__ = False
    seconds: float = 0.0

    def monotonic(self) -> float:
        """Return the set time."""
        return self.seconds
