"""A request's body on its way up, and the news that its caller has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Never

from starlette.types import Receive


class CallerGone(Exception):
    """The caller left before its body was whole."""


class Upload:
    """One request's body. ASGI tells of the body and of a caller's leaving on one channel."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._whole = asyncio.Event()
        self._gone = asyncio.Event()

    async def read(self, most: int) -> bytes | AsyncIterator[bytes]:
        """Return the body as bytes where it has at most `most`, else its parts as they come.

        Raises:
            CallerGone: the caller left before that was known.
        """
        first: list[bytes] = []
        size = 0
        while not self._whole.is_set():
            part = await self._part()
            size += len(part)
            first.append(part)
            if size > most:
                return self._parts(first)
        return b"".join(first)

    async def gone(self) -> None:
        """Return once the caller has left."""
        over = [asyncio.ensure_future(event.wait()) for event in (self._whole, self._gone)]
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in over:
                waiting.cancel()
        while not self._gone.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone.set()

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone.set()
            raise CallerGone
        if not message.get("more_body", False):
            self._whole.set()
        part: bytes = message.get("body", b"")
        return part

    async def _parts(self, first: list[bytes]) -> AsyncIterator[bytes]:
        for part in first:
            yield part
        while not self._whole.is_set():
            try:
                part = await self._part()
            except CallerGone:
                await _until_cancelled()  # by `unless_gone`, so that nobody else speaks first
            yield part


async def unless_gone(upload: Upload, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; where the caller leaves, it is cancelled and nothing is said."""
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(upload.gone())
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not doing.done():
            doing.cancel()
        await asyncio.wait({doing, leaving})
    if not doing.cancelled():
        doing.result()


async def _until_cancelled() -> Never:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody completes this")
