"""Notice that the database was exchanged, and bring back what the new one does not know.

A standby that lagged was promoted, or a backup was put back under running replicas: refresh
tokens in it may be used up, and nothing in it says so. What says so are the replicas' journals.
Nothing is presented until those of all replicas were replayed. The same holds where a replica
finds an older database at its start, which others may not have seen yet.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from keyturn_core.secrets import RefreshToken
from keyturn_service.domain.attempt import Attempt, AttemptOutcome
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import Connection, ConnectionState, Renewal, TokenSet
from keyturn_service.domain.ids import (
    ID_BYTES,
    AttemptId,
    ConnectionId,
    SpoolId,
    new_id,
)
from keyturn_service.ports import (
    AuditLog,
    Clock,
    Epochs,
    KeyedHash,
    Lease,
    Randomness,
    RefreshLeases,
    SealRefused,
    Spool,
    StaleWrite,
    Standing,
    TokenStore,
    Waiting,
)
from keyturn_service.use_cases.deliver_spool import DeliverSpool
from keyturn_service.use_cases.presenting import Presenting
from keyturn_service.use_cases.refresh_tokens import LEASE_TTL
from keyturn_service.use_cases.replay_journal import ReplayJournal
from keyturn_service.use_cases.say_spool_keys import SaySpoolKeys

GRACE: Final = 3.0  # seconds in which a replica that the database does not know notices, too
_POLL: Final = 0.05
_REMEMBERED: Final = 5.0  # seconds between two notes of what the database has
_log = structlog.get_logger()


@dataclass(kw_only=True)
class WatchDatabase:
    """Keep the gate shut from the moment the database is another one until all is known."""

    epochs: Epochs
    presenting: Presenting
    deliver: DeliverSpool
    replay: ReplayJournal
    say_spool_keys: SaySpoolKeys
    store: TokenStore
    leases: RefreshLeases
    spool: Spool
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    randomness: Randomness
    waiting: Waiting
    grace: float = GRACE
    patience: float = math.inf  # seconds for journals that may be gone
    _epoch: str | None = field(default=None, init=False)
    _accepted: str | None = field(default=None, init=False)  # the epoch that is gone over to
    _done: bool = field(default=False, init=False)  # with this replica's own journal
    _awaited: Sequence[SpoolId] = field(default=(), init=False)
    _untold: dict[ConnectionId, int] = field(default_factory=dict, init=False)
    _remembered: float = field(default=-math.inf, init=False)

    async def __call__(self) -> None:
        """Look, and do what is to be done; called before anything is served, and each second."""
        standing = await self.epochs.look()
        if not (self._done and standing.same and standing.epoch == self._epoch):
            await self._take_up(standing)
        if not self.presenting.is_open or self.presenting.seen:
            await self._open()
        now = self.clock.monotonic()
        if now >= self._remembered + _REMEMBERED:
            self._remembered = now
            await self.epochs.remember()
            if self.presenting.is_open:  # else it may lack some that are waited for
                await self.epochs.meet(self.spool.id)

    async def _take_up(self, standing: Standing) -> None:
        """Replay this replica's journal into a database that it has not seen before."""
        self._done = False
        self.presenting.close({})
        running, lost = self._epoch is not None, 0
        exchanged = running or (standing.epoch is not None and not standing.same)
        if exchanged:
            _log.error("database_was_exchanged", identity=standing.identity)
        if running and not (standing.same and standing.epoch == self._accepted):
            self._accepted = None  # not gone over to before there is an epoch
            seen, lost = await self.epochs.accept(standing)
            self.presenting.close(seen)
            for connection_id, generation in seen.items():  # some of an earlier round's are untold
                self._untold[connection_id] = max(generation, self._untold.get(connection_id, 0))
            await self._wait_for_answers()
        epoch = standing.epoch
        if epoch is None or epoch == self._epoch or not standing.same:
            name = new_id("epoch", self.randomness.token_bytes(ID_BYTES))
            epoch = await self.epochs.begin(name, standing, self.spool.id, expects=exchanged)
        self._accepted = epoch  # once: it ends what is under way
        if exchanged:
            await self.epochs.expect(epoch, self.spool.id)
        # Not before: who ran is told by when they last said so. Nor later: an answer may lie
        # there under this run's key.
        await self.say_spool_keys()
        await self.deliver.recover()
        awaited = await self.epochs.awaited(epoch)
        replayed = await self.replay.recover(whole=self.spool.id in awaited.spools)
        if exchanged:
            await self._record(epoch, replayed, lost)
        self._epoch, self._done = epoch, True

    async def _wait_for_answers(self) -> None:
        """Wait until what was under way is in the journal.

        No longer than a lease: no call goes on behind its end, and what hangs then hangs at the
        disk or at the old database.
        """
        until = self.clock.monotonic() + LEASE_TTL.total_seconds()
        while self.presenting.under_way:
            if self.clock.monotonic() > until:
                _log.error("presentation_does_not_end", count=self.presenting.under_way)
                return
            await self.waiting.sleep(_POLL)

    async def _open(self) -> None:
        """Open the gate once nothing is missing; what is then still behind is nobody's."""
        if not await self._all_have_replayed():
            return
        await self.replay.nobody_is_awaited()
        if self.replay.is_blocked:
            return
        for connection_id in await self._behind():
            await self._quarantine(connection_id)
        self.presenting.is_open = True

    async def _all_have_replayed(self) -> bool:
        if self.replay.is_blocked:
            return False
        await self._tell_what_was_seen()
        epoch = self._epoch or ""
        await self.epochs.replayed(epoch, self.spool.id)
        awaited = await self.epochs.awaited(epoch)
        if list(awaited.spools) != list(self._awaited):
            self._awaited = awaited.spools
            _log.warning("journals_awaited", spool_ids=list(awaited.spools))
        return awaited.age >= (self.patience if awaited.spools else self.grace)

    async def _behind(self) -> Sequence[ConnectionId]:
        """Return what is older than this replica has seen it, and forget about the others."""
        seen = self.presenting.seen
        behind = await self.epochs.behind(seen)
        self.presenting.seen = {one: seen[one] for one in behind}
        return behind

    async def _tell_what_was_seen(self) -> None:
        """Have whoever puts an older answer in force find that its token was used up since.

        Before this journal counts as replayed: others go on then. What somebody holds, or does
        not open, keeps nobody: this replica at least does not present it (`Presenting.seen`).
        """
        for connection_id in await self.epochs.behind(self._untold):
            await self._leased(connection_id, self._foresee)
        self._untold = {}

    async def _foresee(self, lease: Lease, connection: Connection, tokens: TokenSet) -> None:
        used_up = self._untold[connection.id] - 1
        attempt = self._used_up(lease, connection, tokens, used_up)
        ended = replace(attempt, outcome=AttemptOutcome.UNKNOWN, ended_at=self.clock.now())
        await self.store.foresee(ended)

    async def _quarantine(self, connection_id: ConnectionId) -> None:
        """Keep a token from being presented that was used up, by an answer that nobody has."""
        if await self._leased(connection_id, self._make_uncertain):
            del self.presenting.seen[connection_id]

    async def _leased(
        self,
        connection_id: ConnectionId,
        work: Callable[[Lease, Connection, TokenSet], Awaitable[None]],
    ) -> bool:
        """Do something under the lease; False where that is to be tried again."""
        lease = await self.leases.acquire(connection_id, ttl=LEASE_TTL)
        if lease is None:
            return False
        try:
            loaded = await self.store.load(connection_id)
            if loaded is not None and loaded[0].renewal is Renewal.REFRESH_TOKEN:
                await work(lease, *loaded)
        except (StaleWrite, SealRefused) as refused:
            _log.error("not_quarantined", connection_id=connection_id, error=type(refused).__name__)
            return False
        finally:
            await self.leases.release(lease)
        return True

    def _used_up(
        self, lease: Lease, connection: Connection, tokens: TokenSet, generation: int
    ) -> Attempt:
        """Return an attempt that says of a generation that its token was used up."""
        token = tokens.refresh_token or RefreshToken("")
        in_force = generation == tokens.generation
        return Attempt(
            id=AttemptId(
                f"{connection.id}_{generation}_{connection.authorized_at.timestamp():.0f}"
            ),
            workspace_id=connection.workspace_id,
            connection_id=connection.id,
            generation=generation,
            fence=lease.fence,
            token_hash=self.hashes("refresh_token", token) if in_force else b"",
            spool_id=self.spool.id,
            started_at=self.clock.now(),
            presented_again=True,
            outcome=None,
            spool_answered=True,
            ended_at=None,
        )

    async def _make_uncertain(self, lease: Lease, connection: Connection, tokens: TokenSet) -> None:
        if connection.state is not ConnectionState.ACTIVE or tokens.refresh_token is None:
            return
        attempt, now = self._used_up(lease, connection, tokens, tokens.generation), self.clock.now()
        await self.audit.record(
            AuditEvent(
                type="token.unaccounted",
                at=now,
                workspace_id=connection.workspace_id,
                actor="system",
                connection_id=connection.id,
                detail={
                    "attempt_id": attempt.id,
                    "generation": tokens.generation,
                    "seen": self.presenting.seen[connection.id],
                },
            )
        )
        await self.store.foresee(attempt)
        await self.store.end_attempt(
            attempt,
            AttemptOutcome.UNKNOWN,
            at=now,
            spool_answered=True,
            state=ConnectionState.UNCERTAIN,
            problem="connection_uncertain",
        )

    async def _record(self, epoch: str, replayed: int, lost: int) -> None:
        await self.audit.record(
            AuditEvent(
                type="database.exchanged",
                at=self.clock.now(),
                workspace_id=None,
                actor="system",
                detail={
                    "epoch": epoch,
                    "spool_id": self.spool.id,
                    "replayed": replayed,
                    "audit_records_lost": lost,
                },
            )
        )
