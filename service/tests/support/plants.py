"""Faults planted in the refresh protocol: what looks for faults has to find each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import and_

from keyturn_service.adapters.spool.directory import DirectorySpool
from keyturn_service.adapters.sql import token_sets
from keyturn_service.adapters.sql.epochs import SqlEpochs
from keyturn_service.adapters.sql.token_sets import SqlTokenStore
from keyturn_service.ports import Awaited
from keyturn_service.use_cases import get_access_token
from keyturn_service.use_cases.presenting import Presenting
from keyturn_service.use_cases.refresh_tokens import RefreshTokens
from keyturn_service.use_cases.watch_database import WatchDatabase

Plant = Callable[[pytest.MonkeyPatch], None]


def no_intent(patch: pytest.MonkeyPatch) -> None:
    """Present without an intent."""

    async def begin(*_given: Any) -> None:
        """Do nothing."""

    patch.setattr(SqlTokenStore, "begin_attempt", begin)


def present_then_spool_late(patch: pytest.MonkeyPatch) -> None:
    """Look at an answer before it is on the disk."""
    present = RefreshTokens.present

    async def looked_first(self: Any, lease: Any, *given: Any, **named: Any) -> Any:
        endpoint = self.endpoint

        class Looking:
            connect_seconds = answer_seconds = 0.0

            async def present(self, *asked: Any, **more: Any) -> Any:
                answer = await endpoint.present(*asked, **more)
                await self_store.load(lease.connection_id)
                return answer

        self_store = self.store
        return await present(replace(self, endpoint=Looking()), lease, *given, **named)

    patch.setattr(RefreshTokens, "present", looked_first)


def no_fence_and_no_deadline(patch: pytest.MonkeyPatch) -> None:
    """Have neither fence nor deadline."""

    async def holds(*_given: Any) -> bool:
        return True

    def in_force(held: Any) -> Any:
        here = token_sets.connections.c
        return and_(here.id == held.connection_id, here.generation == held.generation)

    patch.setattr(token_sets, "_hold_fence", holds)
    patch.setattr(token_sets, "_in_force", in_force)
    patch.setattr(RefreshTokens, "_latest_start", lambda *_: float("inf"))


def replays_a_lost_answer(patch: pytest.MonkeyPatch) -> None:
    """Ask again where no answer came."""
    present = RefreshTokens.present

    async def twice(self: Any, *given: Any, **named: Any) -> Any:
        endpoint = self.endpoint

        class Replaying:
            connect_seconds = answer_seconds = 0.0

            async def present(self, *asked: Any, **more: Any) -> Any:
                try:
                    return await endpoint.present(*asked, **more)
                except Exception:  # noqa: BLE001 - the fault that is planted
                    return await endpoint.present(*asked, **more)

        return await present(replace(self, endpoint=Replaying()), *given, **named)

    patch.setattr(RefreshTokens, "present", twice)


def handed_out_before_stored(patch: pytest.MonkeyPatch) -> None:
    """Hand a token out that was not stored."""
    brought: dict[str, Any] = {}

    async def stored(_self: Any, connection: Any, tokens: Any, **_named: Any) -> bool:
        brought[connection.id] = tokens
        return True

    def handed_out(connection: Any, tokens: Any, **_named: Any) -> Any:
        return brought.get(connection.id, tokens)

    patch.setattr(SqlTokenStore, "replace", stored)
    patch.setattr(get_access_token, "in_force", handed_out)


def unrecorded_read(patch: pytest.MonkeyPatch) -> None:
    """Record reads as something else."""
    event = get_access_token._event
    patch.setattr(get_access_token, "_event", lambda _, *said: event("token.seen", *said))


def does_not_wait_for_the_other_spool(patch: pytest.MonkeyPatch) -> None:
    """Take another replica's spool for empty."""
    end = SqlTokenStore.end_attempt

    async def guessed(self: Any, *given: Any, **named: Any) -> None:
        await end(self, *given, **{**named, "spool_answered": True})

    patch.setattr(SqlTokenStore, "end_attempt", guessed)


def forgets_the_spool(patch: pytest.MonkeyPatch) -> None:
    """Never look at the spool."""

    async def nothing(_self: Any) -> list[Any]:
        return []

    async def none(*_given: Any) -> None:
        return None

    patch.setattr(DirectorySpool, "undelivered", nothing)
    patch.setattr(DirectorySpool, "get", none)


def replays_nothing(patch: pytest.MonkeyPatch) -> None:
    """Go over to a database that was exchanged, and go on as if it were the one before."""

    async def over(self: Any) -> None:
        if not self._done:
            await self.deliver.recover()
            self._done = True
        standing = await self.epochs.look()
        await self.epochs.accept(standing)

    patch.setattr(WatchDatabase, "__call__", over)


def waits_for_no_journal(patch: pytest.MonkeyPatch) -> None:
    """Open the gate as soon as its own journal is replayed."""

    async def awaited(*_given: Any) -> Awaited:
        return Awaited(spools=(), age=float("inf"))

    patch.setattr(SqlEpochs, "awaited", awaited)


def forgets_what_was_served(patch: pytest.MonkeyPatch) -> None:
    """Take whatever generation a database has that was exchanged."""

    def close(self: Any, _seen: Any) -> None:
        self.is_open = False

    async def tell(self: Any) -> None:
        self._untold = {}

    patch.setattr(Presenting, "close", close)
    patch.setattr(WatchDatabase, "_tell_what_was_seen", tell)


PLANTS: dict[Plant, str] = {
    no_intent: "without an intent",
    present_then_spool_late: "before the answer was on the disk",
    no_fence_and_no_deadline: "presented [23] times",
    replays_a_lost_answer: "without an intent",
    handed_out_before_stored: "is durable",
    unrecorded_read: "without a record",
    does_not_wait_for_the_other_spool: "recoverable: the answer reached a disk",
    forgets_the_spool: "though",
}
EXCHANGE_PLANTS: dict[Plant, str] = {
    replays_nothing: "by who served 2",
    waits_for_no_journal: "in a journal",
    forgets_what_was_served: "by who served 2",
}
