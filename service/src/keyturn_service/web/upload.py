"""A request's body on its way up, and the news that its caller has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final, Never

from starlette.types import Receive

_UNWATCHED: Final = 0.05  # seconds


class CallerGone(Exception):
    """The caller left before its body was whole."""


class Upload:
    """One request's body. ASGI tells of the body and of a caller's leaving on one channel."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._first: list[bytes] = []
        self._size = 0
        self._whole = asyncio.Event()
        self._gone = asyncio.Event()

    async def begin(self, most: int) -> bytes:
        """Return the body where it has at most `most` bytes, else a beginning that has more.

        `read` gives it once more.

        Raises:
            CallerGone: the caller left before that was known.
        """
        await self._hold(most)
        return b"".join(self._first)

    async def read(self, most: int) -> bytes | AsyncIterator[bytes]:
        """Return the body as bytes where it has at most `most`, else its parts as they come.

        Raises:
            CallerGone: the caller left before that was known.
        """
        await self._hold(most)
        return b"".join(self._first) if self._size <= most else self._parts()

    async def _hold(self, most: int) -> None:
        while not self._whole.is_set() and self._size <= most:
            part = await self._part()
            self._size += len(part)
            self._first.append(part)

    async def gone(self) -> None:
        """Return once the caller has left."""
        if not self._whole.is_set():
            await self._until_over()
        while not self._gone.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone.set()

    async def _until_over(self) -> None:
        """Return once the body is whole or its caller has left: until then it is being read."""
        over = [asyncio.ensure_future(event.wait()) for event in (self._whole, self._gone)]
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in over:
                waiting.cancel()

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone.set()
            raise CallerGone
        if not message.get("more_body", False):
            self._whole.set()
        part: bytes = message.get("body", b"")
        return part

    async def _parts(self) -> AsyncIterator[bytes]:
        for part in self._first:
            yield part
        while not self._whole.is_set():
            try:
                part = await self._part()
            except CallerGone:
                await _until_cancelled()  # by `unless_gone`, so that nobody else speaks first
            yield part


async def unless_gone(upload: Upload, work: Coroutine[Any, Any, None]) -> None:
    """Do the work; where the caller leaves, it is cancelled and nothing is said.

    Most work is over before anybody could leave it: it is watched only after a moment.
    """
    doing = asyncio.current_task()
    leaving: asyncio.Task[None] | None = None
    left = False

    def leave(gone: asyncio.Task[None]) -> None:
        nonlocal left
        if doing is not None and not gone.cancelled():
            left = doing.cancel()

    def watch() -> None:
        nonlocal leaving
        leaving = asyncio.ensure_future(upload.gone())
        leaving.add_done_callback(leave)

    watching = asyncio.get_running_loop().call_later(_UNWATCHED, watch)
    try:
        await work
    except asyncio.CancelledError:
        if not left or doing is None or doing.uncancel():
            raise  # somebody else cancelled us
    finally:
        watching.cancel()
        if leaving is not None:
            leaving.remove_done_callback(leave)
            leaving.cancel()


async def _until_cancelled() -> Never:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody completes this")
