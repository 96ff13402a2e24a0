"""Bring back what a restored database has forgotten, from this replica's own journal.

An attempt is committed before its call, so each answer and each intent on the spool belongs to
one that the database knows, unless it was restored from a backup that is older. The token of
that generation is used up then, whatever the database says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from keyturn_core.errors import CoreError
from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.attempt import ELSEWHERE, Attempt, AttemptOutcome, SpooledAnswer
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.ids import AttemptId
from keyturn_service.ports import (
    AuditLog,
    Clock,
    KeyedHash,
    Lease,
    RefreshLeases,
    SealRefused,
    SealUnavailable,
    Spool,
    StaleWrite,
    TokenStore,
)
from keyturn_service.use_cases.deliver_spool import DeliverSpool
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL
from keyturn_service.use_cases.settle_attempt import read_spooled

_SERVES: Final = frozenset({ConnectionState.ACTIVE, ConnectionState.UNCERTAIN})
_DONE: Final = frozenset({ConnectionState.REVOKED, ConnectionState.PENDING})
_log = structlog.get_logger()


@dataclass(kw_only=True)
class ReplayJournal:
    """Put forgotten answers in force again, in the order of their generations.

    Where the journals of several replicas belong together, each puts in what comes next; a
    connection whose next answer is in another one is uncertain until that one is there. Once
    nobody is awaited any more, the newest answer is put in force without those that are missing.
    """

    store: TokenStore
    leases: RefreshLeases
    deliver: DeliverSpool
    spool: Spool
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    at_once: int = 200  # attempts that the database is asked for
    _later: list[SpooledAnswer] = field(default_factory=list, init=False)
    _unread: list[AttemptId] = field(default_factory=list, init=False)
    _blocked: bool = field(default=False, init=False)
    _met: bool = field(default=False, init=False)
    _all_there: bool = field(default=False, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def is_blocked(self) -> bool:
        """Whether there may be an answer that is neither in force nor waits for another one.

        So it is said until a pass through all of them has come to its end.
        """
        return self._blocked

    async def recover(self, *, whole: bool = False) -> int:
        """Look through the journal, newest answers first; return how many were put in force.

        Called before anything is served, and when the database is another one than before; after
        the spool was delivered. Up to a time that the database knows, unless the `whole` is asked
        for: a replay that was cut off may have left any of them out.
        """
        async with self._turn:
            await self._look_through(whole=whole)
        return await self()

    async def nobody_is_awaited(self) -> int:
        """Do without what no journal has, from now on; return how many were put in force.

        Called once the journals of all replicas are foreseen in the database, or lost.
        """
        async with self._turn:
            self._all_there = True
        replayed = await self()
        await self.store.give_up_elsewhere()
        return replayed

    async def _look_through(self, *, whole: bool) -> None:
        self._all_there, self._blocked = False, True
        self._later.clear()
        self._unread.clear()
        foreseen = [one.id for one in await self.store.open_attempts_of(self.spool.id)]
        forgotten = await self._forgotten(whole=whole)
        intents = await self.spool.intents()
        known = await self.store.known(intents)
        self._unread = [*forgotten, *foreseen, *(one for one in intents if one not in known)]
        await self._read()
        if answers := len(self._later) + len(self._unread):
            _log.warning("database_is_older_than_the_journal", answers=answers)

    async def _read(self) -> None:
        """Read what is to be put in force; what cannot be read now, the next round tries again."""
        for attempt_id in tuple(self._unread):
            try:
                answer = await self.spool.get(attempt_id) or await self.spool.intent(attempt_id)
            except (OSError, SealRefused, SealUnavailable) as error:
                _log.error("journal_not_read", attempt_id=attempt_id, error=type(error).__name__)
                continue
            self._unread.remove(attempt_id)
            if answer is not None:
                self._later.append(answer)

    async def __call__(self) -> int:
        """Put in force what has its turn; return how many answers that were."""
        async with self._turn:
            return await self._replay_all()

    async def _replay_all(self) -> int:
        replayed = 0
        self._blocked, self._met = True, False
        newest_first = self._all_there
        await self._read()
        for answer in sorted(self._later, key=lambda one: one.generation, reverse=newest_first):
            if await self._replay(answer):
                self._later.remove(answer)
                replayed += 1
        # What the database knows of is not presented, whether its answer can be read or not.
        known = await self.store.known(self._unread) if self._unread else ()
        self._blocked = self._met or not set(self._unread) <= set(known)
        return replayed

    async def _forgotten(self, *, whole: bool) -> Sequence[AttemptId]:
        """Return the attempts that the database does not know, back to a time that it knows."""
        forgotten: list[AttemptId] = []
        newest = [one for one in await self.spool.newest_first() if not one.startswith("cs_")]
        for start in range(0, len(newest), self.at_once):
            some = newest[start : start + self.at_once]
            known = await self.store.known(some)
            forgotten += [one for one in some if one not in known]
            if len(known) == len(some) and not whole:
                break
        return forgotten

    async def _replay(self, answer: SpooledAnswer) -> bool:
        """Tell whether there is nothing more to do for an answer."""
        lease = await self.leases.acquire(answer.connection_id, ttl=LEASE_TTL)
        if lease is None:
            self._met = True
            return False
        try:
            return await self._under_lease(lease, answer)
        except (StaleWrite, SealRefused, SealUnavailable) as refused:
            _log.error("not_replayed", attempt_id=answer.attempt_id, error=type(refused).__name__)
            self._met |= not isinstance(refused, SealRefused)
            return False
        finally:
            await self.leases.release(lease)

    async def _under_lease(self, lease: Lease, answer: SpooledAnswer) -> bool:
        loaded = await self.store.load(answer.connection_id)
        if loaded is None or _is_over(*loaded, answer):
            return True
        connection, tokens = loaded
        if tokens.generation < answer.generation:
            await self._wait_for_another(lease, connection, tokens, answer)
            return self._all_there and await self._do_without(lease, connection, tokens, answer)
        attempt = self._attempt(lease, connection, tokens, answer)
        if answer.token_hash not in {b"", attempt.token_hash}:
            return True  # of a grant that another one has replaced
        foreseen = await self.store.attempt(attempt.id)
        if foreseen is None:
            await self._note(attempt, "token.replayed")
            await self.store.begin_attempt(attempt)
        elif foreseen.waits_for_its_spool:
            await self._note(attempt, "token.replayed")
            attempt = replace(foreseen, fence=lease.fence)
        else:
            return True
        await self.deliver.settle_spooled(attempt, answer)
        return True

    async def _wait_for_another(
        self, lease: Lease, connection: Connection, tokens: TokenSet, answer: SpooledAnswer
    ) -> None:
        """Keep from being presented both the connection's token and the one of this answer.

        The former was used up by what is missing; the latter will be in force once that is here.
        """
        attempt = self._attempt(lease, connection, tokens, answer)
        await self.store.foresee(
            replace(attempt, generation=answer.generation, token_hash=answer.token_hash)
        )
        attempt = replace(
            attempt,
            id=AttemptId(f"{answer.attempt_id}_{tokens.generation}"),
            spool_id=ELSEWHERE,
            presented_again=True,
        )
        said = await self.store.open_attempt(connection.id)
        if connection.state not in _SERVES or (said is not None and said.spool_id == ELSEWHERE):
            return
        if await self.store.attempt(attempt.id) is not None:
            return
        await self._note(attempt, "token.forgotten")
        await self.store.begin_attempt(attempt)
        await self.store.end_attempt(
            attempt,
            AttemptOutcome.UNKNOWN,
            at=self.clock.now(),
            spool_answered=False,
            state=ConnectionState.UNCERTAIN,
            problem="connection_uncertain",
        )

    async def _do_without(
        self, lease: Lease, connection: Connection, tokens: TokenSet, answer: SpooledAnswer
    ) -> bool:
        """Put an answer in force though earlier ones are missing, where it is the newest.

        Its token is the last one that the grant is known to have; that of the generation in
        force was used up. Where there is a newer one, whoever has it does so.
        """
        foreseen = await self.store.attempt(answer.attempt_id)
        if foreseen is None or not foreseen.waits_for_its_spool:
            return True  # of a grant that another one has replaced
        newest = await self.store.newest_attempt(connection.id)
        used_up = newest is not None and newest.generation > answer.generation + 1
        if not used_up and answer.authorized_at is not None and self._has_token(tokens, answer):
            attempt = replace(foreseen, generation=connection.generation, fence=lease.fence)
            await self._note(attempt, "token.replayed", answers=answer.generation)
            await self.deliver.settle_spooled(attempt, answer)
            loaded = await self.store.load(connection.id)
            if loaded is None or _is_over(*loaded, answer):
                return True
        elif newest is not None and newest.waits_for_its_spool and newest.id != foreseen.id:
            return False
        await self._give_up(connection)
        return True

    def _has_token(self, tokens: TokenSet, answer: SpooledAnswer) -> bool:
        """Tell whether the refresh token after an answer is known: it may bring none."""
        try:
            brought = read_spooled(answer).refresh_token
        except CoreError:
            return True  # it is settled as what it is
        token = tokens.refresh_token or RefreshToken("")
        return brought is not None or answer.token_hash == self.hashes("refresh_token", token)

    async def _give_up(self, connection: Connection) -> None:
        """Say that nobody has the answer that is missing: the customer is asked."""
        forgotten = await self.store.open_attempt(connection.id)
        if forgotten is None or forgotten.spool_id != ELSEWHERE:
            return
        await self.store.end_attempt(
            forgotten, AttemptOutcome.UNKNOWN, at=self.clock.now(), spool_answered=True
        )

    def _attempt(
        self, lease: Lease, connection: Connection, tokens: TokenSet, answer: SpooledAnswer
    ) -> Attempt:
        token = tokens.refresh_token or RefreshToken("")
        return Attempt(
            id=answer.attempt_id,
            workspace_id=connection.workspace_id,
            connection_id=connection.id,
            generation=tokens.generation,
            fence=lease.fence,
            token_hash=self.hashes("refresh_token", token),
            spool_id=self.spool.id,
            started_at=answer.received_at,
            presented_again=answer.presented_again,
            outcome=None,
            spool_answered=False,
            ended_at=None,
        )

    async def _note(self, attempt: Attempt, type_: str, **detail: int) -> None:
        await self.audit.record(
            AuditEvent(
                type=type_,
                at=self.clock.now(),
                workspace_id=attempt.workspace_id,
                actor="system",
                connection_id=attempt.connection_id,
                detail={
                    "attempt_id": attempt.id,
                    "generation": attempt.generation,
                    "spool_id": attempt.spool_id,
                    **detail,
                },
            )
        )


def _is_over(connection: Connection, tokens: TokenSet, answer: SpooledAnswer) -> bool:
    """Tell whether an answer can be of no use: what came after it is in force, or nothing is."""
    granted = answer.authorized_at or connection.authorized_at
    later = tokens.generation < answer.generation  # else its token tells of which grant it is
    return (
        tokens.generation > answer.generation
        or (later and granted < connection.authorized_at)
        or connection.state in _DONE
        or connection.renewal is not Renewal.REFRESH_TOKEN
    )
