"""The rounds of one replica."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import structlog

from keyturn_service.domain.ids import RevocationId
from keyturn_service.ports import Clock, Revocations
from keyturn_service.use_cases.clean_up import CleanUp
from keyturn_service.use_cases.deliver_spool import DeliverSpool
from keyturn_service.use_cases.forget_attempts import ForgetAttempts
from keyturn_service.use_cases.guard_connections import GuardConnections
from keyturn_service.use_cases.replay_journal import ReplayJournal
from keyturn_service.use_cases.revoke_all import RevokeAll
from keyturn_service.use_cases.revoke_grant import CLAIM, RevokeGrant
from keyturn_service.use_cases.say_spool_keys import SaySpoolKeys
from keyturn_service.use_cases.watch_database import WatchDatabase
from keyturn_service.vault.resealing import Reseal

_REVOKE_EVERY: Final = 1.0  # seconds
_DELIVER_EVERY: Final = 2.0
_CLEAN_EVERY: Final = 5.0
_FORGET_EVERY: Final = 3600.0
_GUARD_EVERY: Final = 2.0
_SAY_EVERY: Final = 30.0
_RESEAL_EVERY: Final = 2.0
_AUDIT_EVERY: Final = 2.0
_WATCH_EVERY: Final = 0.9  # at least once a second
_RENEW_EVERY: Final = 15.0
_AT_ONCE: Final = 16
_log = structlog.get_logger()


class Alarm:
    """`ports.Background`: wakes the next round; the row is there already."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    async def revoke(self, revocation_id: RevocationId) -> None:
        """Have the grant ended soon; a job that is lost here is found by its due time."""
        del revocation_id
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Wait until somebody wakes us, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for swallows a cancellation in 3.11
                await self._woken.wait()
        self._woken.clear()


@contextlib.asynccontextmanager
async def going_on(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have something go on beside the block, and end with it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Rounds:
    """Revocations, incidents, spool, clean-up, guardian, keys, database: each at its own pace."""

    def __init__(
        self,
        *,
        alarm: Alarm,
        revocations: Revocations,
        revoke_grant: RevokeGrant,
        revoke_all: RevokeAll,
        deliver_spool: DeliverSpool,
        replay_journal: ReplayJournal,
        clean_up: CleanUp,
        forget_attempts: ForgetAttempts,
        guard: GuardConnections,
        say_spool_keys: SaySpoolKeys,
        reseal: Reseal,
        watch_database: WatchDatabase,
        renew_data_keys: Callable[[], Awaitable[None]],
        audit_rounds: Mapping[str, Callable[[], Awaitable[object]]],
        clock: Clock,
    ) -> None:
        self._alarm = alarm
        self._revocations = revocations
        self._revoke_grant = revoke_grant
        self._revoke_all = revoke_all
        self._deliver_spool = deliver_spool
        self._replay_journal = replay_journal
        self._clean_up = clean_up
        self._forget_attempts = forget_attempts
        self._guard = guard
        self._say_spool_keys = say_spool_keys
        self._reseal = reseal
        self._watch_database = watch_database
        self._renew_data_keys = renew_data_keys
        self._audit_rounds = audit_rounds
        self._clock = clock

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Go the rounds while the block runs."""
        rounds = [
            asyncio.create_task(_repeat("revoke", self.revoke_due, self._next_revoking)),
            asyncio.create_task(_repeat("revoke_all", self._revoke_all, _pause(_REVOKE_EVERY))),
            asyncio.create_task(_repeat("deliver", self._deliver_spool, _pause(_DELIVER_EVERY))),
            asyncio.create_task(_repeat("replay", self._replay_journal, _pause(_DELIVER_EVERY))),
            asyncio.create_task(_repeat("clean_up", self._clean_up, _pause(_CLEAN_EVERY))),
            asyncio.create_task(_repeat("forget", self._forget_attempts, _pause(_FORGET_EVERY))),
            asyncio.create_task(_repeat("guard", self._guard, _pause(_GUARD_EVERY))),
            asyncio.create_task(_repeat("watch", self._watch_database, _pause(_WATCH_EVERY))),
            asyncio.create_task(_repeat("spool_keys", self._say_spool_keys, _pause(_SAY_EVERY))),
            asyncio.create_task(_repeat("reseal", self._reseal, _pause(_RESEAL_EVERY))),
            asyncio.create_task(_repeat("data_keys", self._renew_data_keys, _pause(_RENEW_EVERY))),
            *(
                asyncio.create_task(_repeat(f"audit_{name}", work, _pause(_AUDIT_EVERY)))
                for name, work in self._audit_rounds.items()
            ),
        ]
        try:
            yield
        finally:
            for task in rounds:
                task.cancel()
            await asyncio.gather(*rounds, return_exceptions=True)

    async def revoke_due(self) -> None:
        """End the grants that are due."""
        while True:
            now = self._clock.now()
            due = await self._revocations.claim_due(now, ttl=CLAIM, limit=_AT_ONCE)
            if not due:
                return
            ended = await asyncio.gather(
                *(self._revoke_grant(revocation_id) for revocation_id in due),
                return_exceptions=True,  # one that fails has nobody leave the others alone
            )
            for error in ended:
                if isinstance(error, BaseException):
                    raise error

    async def _next_revoking(self) -> None:
        await self._alarm.wait(_REVOKE_EVERY)


def _pause(seconds: float) -> Callable[[], Awaitable[None]]:
    async def pause() -> None:
        await asyncio.sleep(seconds)

    return pause


async def _repeat(
    name: str, work: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[None]]
) -> None:
    """Do the work again and again; an error ends this round, not the next one."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round may do better
            _log.warning("round_failed", name=name, error=type(error).__name__)
        await pause()
