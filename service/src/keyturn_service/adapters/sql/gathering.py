"""Gather what many callers ask at the same time into one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Final, Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Found = TypeVar("_Found")

_AT_ONCE: Final = 500


class Gathered(Generic[_Key, _Found]):
    """Look keys up, all that came while the last look was under way in one look.

    Nothing is kept between looks: an answer is never older than its question.
    """

    def __init__(self, look: Callable[[Sequence[_Key]], Awaitable[Mapping[_Key, _Found]]]) -> None:
        self._look = look
        self._waiting: dict[_Key, list[asyncio.Future[_Found | None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # asking for it is a system call

    def find(self, key: _Key) -> asyncio.Future[_Found | None]:
        """Return what will hold what the key names; None where there is nothing.

        It raises what the look raised. Each caller has a future of its own: who goes away
        takes nothing from the others.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[_Found | None] = self._loop.create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._task is None:
            self._task = self._loop.create_task(self._work())
        return future

    async def _work(self) -> None:
        try:
            while self._waiting:
                asked = self._waiting
                if len(asked) > _AT_ONCE:
                    asked = dict(islice(asked.items(), _AT_ONCE))
                    for key in asked:
                        del self._waiting[key]
                else:
                    self._waiting = {}
                await self._answer(asked)
        finally:
            self._task = None

    async def _answer(self, asked: Mapping[_Key, Sequence[asyncio.Future[_Found | None]]]) -> None:
        try:
            found = await self._look(list(asked))
        except Exception as error:  # noqa: BLE001 - each that asked gets it
            for future in (one for futures in asked.values() for one in futures if not one.done()):
                future.set_exception(error)
        else:
            for key, futures in asked.items():
                value = found.get(key)
                for future in futures:
                    if not future.done():
                        future.set_result(value)
