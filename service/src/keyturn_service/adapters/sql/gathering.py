"""Gather what many callers ask at the same time into one question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
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
        self._waiting: dict[_Key, asyncio.Future[_Found | None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def find(self, key: _Key) -> _Found | None:
        """Return what the key names; None where there is nothing.

        Raises:
            Exception: what the look raised, for each that asked.
        """
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await asyncio.shield(future)

    async def _work(self) -> None:
        try:
            while self._waiting:
                asked = dict(list(self._waiting.items())[:_AT_ONCE])
                for key in asked:
                    del self._waiting[key]
                await self._answer(asked)
        finally:
            self._task = None

    async def _answer(self, asked: Mapping[_Key, asyncio.Future[_Found | None]]) -> None:
        try:
            found = await self._look(list(asked))
        except Exception as error:  # noqa: BLE001 - each that asked gets it
            for future in asked.values():
                future.set_exception(error)
                future.exception()  # whoever left does not leave a warning behind
        else:
            for key, future in asked.items():
                future.set_result(found.get(key))
