"""A spool whose disk may refuse an answer: it is in hand until disk or database have it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.domain.ids import AttemptId, SpoolId
from keyturn_service.ports import Spool, Waiting

_TRIES: Final = 15
_BETWEEN: Final = 1.0  # seconds
_log = structlog.get_logger()


class SpoolInHand:
    """`ports.Spool` over another one; what that one did not take is in this process's memory.

    It is given out and delivered like what lies on the disk, and put there as soon as it can be.
    So many answers at most: the oldest one is let go then.
    """

    def __init__(self, disk: Spool, *, most: int = 1000) -> None:
        self._disk = disk
        self._most = most
        self._held: dict[AttemptId, SpooledAnswer] = {}
        self._turn = asyncio.Lock()

    @property
    def id(self) -> SpoolId:
        """The spool's own name."""
        return self._disk.id

    async def put(self, answer: SpooledAnswer) -> None:
        """Keep the answer; in hand where the disk does not take it, which is an error still."""
        try:
            await self._disk.put(answer)
        except Exception:
            self._hold(answer)
            raise

    async def get(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what is kept for an attempt; what is in hand is put on the disk where it can."""
        held = self._held.get(attempt_id)
        if held is None:
            return await self._disk.get(attempt_id)
        await self._put_again(attempt_id)
        return held

    async def delivered(self, attempt_id: AttemptId) -> None:
        """Note that the database knows the answer: nobody needs it in hand."""
        if attempt_id in self._held:
            async with self._turn:
                self._held.pop(attempt_id, None)
        await self._disk.delivered(attempt_id)

    async def undelivered(self) -> Sequence[AttemptId]:
        """Return what lies on the disk, and what is in hand though the disk is gone."""
        for attempt_id in list(self._held):
            await self._put_again(attempt_id)
        held = list(self._held)
        try:
            return [*await self._disk.undelivered(), *held]
        except OSError:
            if not held:
                raise
            return held

    async def intents(self) -> Sequence[AttemptId]:
        """Return what was begun and met no answer, on the disk or in hand."""
        return [one for one in await self._disk.intents() if one not in self._held]

    async def intent(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what is kept of an attempt that was begun."""
        return await self._disk.intent(attempt_id)

    async def newest_first(self) -> Sequence[AttemptId]:
        """Return the attempts of the whole journal; what is in hand came last."""
        return [*reversed(self._held), *await self._disk.newest_first()]

    async def intend(self, nothing: SpooledAnswer) -> None:
        """Keep that a token is about to be presented."""
        await self._disk.intend(nothing)

    async def not_sent(self, attempt_id: AttemptId) -> None:
        """Forget an intent whose token did not leave."""
        await self._disk.not_sent(attempt_id)

    async def key_needs(self) -> Mapping[str, int]:
        """Return which keys open what lies on the disk."""
        return await self._disk.key_needs()

    async def renew_key(self, announced: Collection[str]) -> None:
        """Seal under the active key from now on."""
        await self._disk.renew_key(announced)

    async def purge(self, before: datetime) -> int:
        """Remove from the disk what is too old."""
        return await self._disk.purge(before)

    async def empty(
        self,
        deliver: Callable[[], Awaitable[object]],
        waiting: Waiting,
        *,
        within: float = _TRIES * _BETWEEN,
    ) -> None:
        """Have the disk or, by `deliver`, the database take what is in hand: the process ends.

        For a quarter of a minute, however long one of them takes; what nobody has taken by then
        is lost.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._try_to_empty(deliver, waiting)
        for attempt_id in self._held:
            _log.error("spool_answer_lost", attempt_id=attempt_id)

    async def _try_to_empty(
        self, deliver: Callable[[], Awaitable[object]], waiting: Waiting
    ) -> None:
        for _ in range(_TRIES):
            for attempt_id in list(self._held):
                await self._put_again(attempt_id)  # first: the database may not answer
            if not self._held:
                return
            try:
                await deliver()
            except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
                _log.warning("round_failed", name="deliver", error=type(error).__name__)
            if not self._held:
                return
            await waiting.sleep(_BETWEEN)

    def _hold(self, answer: SpooledAnswer) -> None:
        self._held[answer.attempt_id] = answer
        if len(self._held) > self._most:
            oldest = next(iter(self._held))
            del self._held[oldest]
            _log.error("spool_answer_lost", attempt_id=oldest)

    async def _put_again(self, attempt_id: AttemptId) -> None:
        async with self._turn:
            held = self._held.get(attempt_id)
            if held is None:
                return
            try:
                await self._disk.put(held)
            except Exception as error:  # noqa: BLE001 - it stays in hand
                _log.info("spool_failed", attempt_id=attempt_id, error=type(error).__name__)
            else:
                del self._held[attempt_id]
