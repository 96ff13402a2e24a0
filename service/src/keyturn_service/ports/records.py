"""What must not be lost: the audit trail and the spool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from keyturn_service.domain.attempt import SpooledAnswer
from keyturn_service.domain.audit import AuditEvent, AuditRecord
from keyturn_service.domain.audit_check import BadRecord
from keyturn_service.domain.checkpoint import ChainEnd
from keyturn_service.domain.ids import (
    AttemptId,
    ConnectionId,
    SpoolId,
    WorkspaceId,
)
from keyturn_service.ports.vendors import Page


class AuditUnavailable(Exception):
    """The event could not be made durable: whatever waits for it must not happen."""


class ChainUnreadable(Exception):
    """The last row of a chain is no record. The only argument is the writer's name."""


class Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What an API key and a connection with its token said when they were read.

    Each in a form of the database's own, which only adapters compare. The event that rests on
    it names key and connection: as `actor` and `connection_id`.
    """

    api_key: str
    connection: str


class AuditLog(Protocol):
    """The audit trail of this replica's run."""

    async def record(self, event: AuditEvent, *, urgent: bool = True) -> None:
        """Return once the event is durable.

        One that is not urgent may wait some milliseconds, to be written along with others.

        Raises:
            AuditUnavailable: it could not be written.
        """
        ...

    async def record_on(self, event: AuditEvent, basis: Basis) -> bool:
        """Return once the event is durable: whether its basis stood as it was recorded.

        Both in one look at the database, begun after the call. False also where this database
        cannot tell.

        Raises:
            AuditUnavailable: it could not be written.
        """
        ...


class AuditTrail(Protocol):
    """What was recorded, by all writers."""

    async def list(
        self,
        workspace_id: WorkspaceId,
        *,
        connection_id: ConnectionId | None,
        type: str | None,
        since: datetime | None,
        limit: int,
        cursor: str | None,
    ) -> Page[AuditRecord]:
        """Return events of a workspace in order of time."""
        ...


class SpoolKeys(Protocol):
    """Where each spool says what it needs, for whoever wants to destroy a key."""

    async def say(self, spool_id: str, needs: Mapping[str, int]) -> None:
        """Keep what a spool needs, in place of what it said before, and when, by one clock for all.

        Replicas that are waited for after the database was exchanged are told by when they spoke.
        """
        ...


class AuditChains(Protocol):
    """The chains of all writers, for those who look after the audit itself."""

    async def writers(self) -> Sequence[str]:
        """Return the names of all writers, in whatever order; not those of `strays`."""
        ...

    async def strays(self) -> Sequence[BadRecord]:
        """Return of each name that no writer has, for it is no text, the first row.

        By as much of the name as can be read: it may be the one of a chain that the row was in.
        """
        ...

    def records(
        self, writer: str, *, since: datetime | None = None
    ) -> AsyncIterator[AuditRecord | None]:
        """Give what stands in one chain in ascending order of sequences, page after page.

        From its first record that is not older than `since`, and then without a gap. None
        stands for a row that is no record. What is written meanwhile may or may not come.
        """
        ...

    async def page(self, writer: str, *, after: int, limit: int) -> Sequence[AuditRecord | None]:
        """Return the first records of a chain behind a sequence, as `records` gives them."""
        ...

    async def standing(self, ends: Sequence[ChainEnd]) -> Collection[str]:
        """Return the writers of those whose record of that sequence is there, with that hash."""
        ...

    async def begun_before(self, moment: datetime) -> Collection[str]:
        """Return the writers of chains whose first record is older, or cannot be read.

        None of a chain that is down to its last record and was not closed by it.
        """
        ...

    async def ends(self) -> Sequence[ChainEnd]:
        """Return the last record of each chain, in whatever order; whether it fits is not asked.

        Raises:
            ChainUnreadable: the last row of a chain is no record.
        """
        ...


class CheckpointSigner(Protocol):
    """Signs for this installation: who can write the database alone cannot."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes by which everybody can verify (Ed25519)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        ...


class Spool(Protocol):
    """The journal of raw answers on a disk that outlives the process."""

    @property
    def id(self) -> SpoolId:
        """The spool's own name; it stays with the disk."""
        ...

    async def put(self, answer: SpooledAnswer) -> None:
        """Seal and keep the answer; return once it would survive a crash."""
        ...

    async def intend(self, nothing: SpooledAnswer) -> None:
        """Keep that a token is about to be presented, until `put` or `not_sent`.

        A database that is restored from before it knows of no intent; the journal does.
        """
        ...

    async def not_sent(self, attempt_id: AttemptId) -> None:
        """Forget an intent whose token did not leave; no error where the disk is read-only."""
        ...

    async def intents(self) -> Sequence[AttemptId]:
        """Return the attempts of which `intend` kept something that met no answer."""
        ...

    async def intent(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what `intend` kept for an attempt, as an answer where nothing came.

        Raises:
            OSError: it cannot be read.
            SealRefused: its key is missing.
            SealUnavailable: its key cannot be had now.
        """
        ...

    async def get(self, attempt_id: AttemptId) -> SpooledAnswer | None:
        """Return what is kept for an attempt, delivered or not; an intent is not.

        Raises:
            OSError: it cannot be read; that is not to say that nothing is kept.
            SealRefused: its key is missing.
            SealUnavailable: its key cannot be had now.
        """
        ...

    async def delivered(self, attempt_id: AttemptId) -> None:
        """Note that the database knows the answer; it stays in the journal.

        No error where the disk is read-only: another run of this replica delivers it again.
        """
        ...

    async def undelivered(self) -> Sequence[AttemptId]:
        """Return the attempts whose answers the database may not know, oldest first."""
        ...

    async def newest_first(self) -> Sequence[AttemptId]:
        """Return the attempts of the whole journal, delivered or not, by their answers' times."""
        ...

    async def key_needs(self) -> Mapping[str, int]:
        """Return which key-encryption keys open what lies here, or will, with how many answers."""
        ...

    async def renew_key(self, announced: Collection[str]) -> None:
        """Seal under the key source's active key from now on, if that was announced."""
        ...

    async def purge(self, before: datetime) -> int:
        """Remove delivered answers received before that, and intents; return how many."""
        ...
