"""A CONNECT proxy for the true-looking names, so that no client can reach a real host.

Spec: RFC 9110 section 9.3.6.
"""

import asyncio
import contextlib
from collections.abc import Callable

_HEAD_LIMIT = 16_384
_HEAD_SECONDS = 30
_CHUNK = 65_536
_HTTPS = 443

Target = tuple[str, int]
_ANSWERS = {
    200: b"HTTP/1.1 200 Connection established\r\n\r\n",
    400: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    403: b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    405: b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    502: b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


class ConnectProxy:
    """Pipes names to loopback ports; `find` says where, or None for "refused"."""

    def __init__(self, find: Callable[[str], Target | None]) -> None:
        self._find = find
        self._open: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()

    async def close(self) -> None:
        """End all connections."""
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target, refusal = await self._read_target(reader)
        if target is None:
            writer.write(_ANSWERS[refusal])
            await writer.drain()
            return
        try:
            inner_reader, inner_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.write(_ANSWERS[502])
            await writer.drain()
            return
        writer.write(_ANSWERS[200])
        await writer.drain()
        try:
            await asyncio.gather(_pipe(reader, inner_writer), _pipe(inner_reader, writer))
        finally:
            inner_writer.close()

    async def _read_target(self, reader: asyncio.StreamReader) -> tuple[Target | None, int]:
        """Read the request's head; return where to go, or the status of the refusal."""
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return None, 400
        words = head[:_HEAD_LIMIT].split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3:  # noqa: PLR2004 - method, target, version
            return None, 400
        if words[0] != "CONNECT":
            return None, 405
        name, _, port = words[1].rpartition(":")
        if port != str(_HTTPS):
            return None, 403
        return self._find(name.lower()), 403


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until the sender ends; then tell the receiver so."""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(ConnectionError, OSError, NotImplementedError):
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()
