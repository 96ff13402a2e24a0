"""Grants to end at Salesforce, with their sealed tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from keyturn_core.salesforce.hosts import Origin
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.claims import FREE, claim_end, is_free
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.key_holds import hold_keys
from keyturn_service.adapters.sql.tables import connections, revocations, token_sets
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.ids import ConnectionId, RevocationId, WorkspaceId
from keyturn_service.ports import Revocation, RevocationReason, ToRevoke
from keyturn_service.vault.vault import Vault

_DOES_NOT_OPEN: Final = "does_not_open"


@dataclass(frozen=True, slots=True)
class SqlRevocations:
    """`ports.Revocations`."""

    database: Database
    vault: Vault

    async def add(
        self, revocation: Revocation, tokens: Sequence[AccessToken | RefreshToken] | None
    ) -> None:
        """Keep the job; where it ends a connection, that one serves no more from now on.

        None: they do not open. The job is given up, and the connection `revoked`, at once.
        """
        job = await SealedJob.of(ToRevoke(revocation=revocation, tokens=tokens), self.vault)
        async with self.database.write() as writing:
            await hold_keys(writing, job.tokens)
            await job.keep(writing)
            if revocation.ends_connection:
                await writing.execute(
                    update(connections)
                    .where(connections.c.id == revocation.connection_id)
                    .values(ending=True)
                )
                if tokens is None:
                    await _end(writing, revocation.connection_id, problem=None)

    async def claim_due(
        self, now: datetime, *, ttl: timedelta, limit: int
    ) -> Sequence[RevocationId]:
        """Return the jobs that are to be tried now, claimed for `ttl`."""
        free = is_free(self.database, revocations.c.claimed_until, ttl=ttl)
        asked = (
            select(revocations.c.id)
            .where(revocations.c.due_at <= now, free)
            .order_by(revocations.c.due_at)
            .limit(limit)
        )
        async with self.database.read() as reading:
            if (await reading.execute(asked.limit(1))).first() is None:
                return []  # nothing is due: nothing is written
        claimed = (
            update(revocations)
            .where(revocations.c.id.in_(asked.with_for_update(skip_locked=True)))
            .values(claimed_until=claim_end(self.database, ttl))
            .returning(revocations.c.id)
        )
        async with self.database.write() as writing:
            return [RevocationId(id_) for id_ in (await writing.execute(claimed)).scalars()]

    async def open(
        self, revocation_id: RevocationId
    ) -> tuple[Revocation, Sequence[AccessToken | RefreshToken]] | None:
        """Return the job with its tokens, opened; None where it is done."""
        async with self.database.read() as reading:
            asked = select(revocations).where(revocations.c.id == revocation_id)
            row = (await reading.execute(asked)).first()
        if row is None or row.due_at is None or row.tokens is None:
            return None
        place = places.revocation_tokens(row.workspace_id, row.id)
        named = json.loads(await self.vault.open(row.tokens, place))
        revocation = Revocation(
            id=RevocationId(row.id),
            workspace_id=WorkspaceId(row.workspace_id),
            connection_id=ConnectionId(row.connection_id),
            login_url=Origin(row.login_url),
            reason=RevocationReason(row.reason),
            ends_connection=row.ends_connection,
            attempts=row.attempts,
            due_at=row.due_at,
        )
        return revocation, [
            RefreshToken(token) if kind == "refresh" else AccessToken(token)
            for kind, token in named
        ]

    async def done(self, revocation: Revocation, *, problem: str | None) -> None:
        """Forget the tokens and, where the job ends a connection, keep it as `revoked`.

        A connection that was reauthorized meanwhile is not ending any more and stays.
        """
        async with self.database.write() as writing:
            await writing.execute(
                update(revocations)
                .where(revocations.c.id == revocation.id)
                .values(due_at=None, tokens=None, problem=problem)
            )
            if revocation.ends_connection:
                await _end(writing, revocation.connection_id, problem=problem)

    async def unfinished(self, connection_id: ConnectionId) -> Sequence[RevocationId]:
        """Return the jobs of grants that were in force on the connection and have not ended yet."""
        asked = select(revocations.c.id).where(
            *_was_in_force(connection_id), revocations.c.due_at.is_not(None)
        )
        async with self.database.read() as reading:
            return [RevocationId(id_) for id_ in (await reading.execute(asked)).scalars()]

    async def given_up(self, connection_id: ConnectionId) -> bool:
        """Tell whether a grant that was in force on the connection could not be ended."""
        asked = select(revocations.c.id).where(
            *_was_in_force(connection_id), revocations.c.problem == _DOES_NOT_OPEN
        )
        async with self.database.read() as reading:
            return (await reading.execute(asked.limit(1))).first() is not None

    async def postpone(self, revocation: Revocation, *, due_at: datetime) -> None:
        """Keep that the job was tried and when it is to be tried again."""
        async with self.database.write() as writing:
            await writing.execute(
                update(revocations)
                .where(revocations.c.id == revocation.id, revocations.c.due_at.is_not(None))
                .values(attempts=revocation.attempts + 1, due_at=due_at, claimed_until=FREE)
            )


@dataclass(frozen=True, slots=True)
class SealedJob:
    """The row of a job, made before the transaction that keeps it; None where there is no job."""

    row: Mapping[str, Any] | None

    @classmethod
    async def of(cls, job: ToRevoke | None, vault: Vault) -> SealedJob:
        """Seal the tokens of a job."""
        if job is None:
            return cls(None)
        revocation, sealed = job.revocation, None
        if job.tokens is not None:
            place = places.revocation_tokens(revocation.workspace_id, revocation.id)
            sealed = await vault.seal(json.dumps(_named(job.tokens)).encode(), place)
        return cls(
            {
                "id": revocation.id,
                "workspace_id": revocation.workspace_id,
                "connection_id": revocation.connection_id,
                "login_url": revocation.login_url,
                "reason": revocation.reason,
                "ends_connection": revocation.ends_connection,
                "attempts": revocation.attempts,
                "due_at": None if sealed is None else revocation.due_at,
                "claimed_until": FREE,
                "tokens": sealed,
                "problem": _DOES_NOT_OPEN if sealed is None else None,
            }
        )

    @property
    def tokens(self) -> bytes | None:
        """What is sealed in it, for `hold_keys`."""
        return None if self.row is None else self.row["tokens"]

    async def keep(self, writing: AsyncConnection) -> None:
        """Keep the job with what else this transaction changes."""
        if self.row is not None:
            await writing.execute(insert(revocations).values(**self.row))


async def _end(
    writing: AsyncConnection, connection_id: ConnectionId, *, problem: str | None
) -> None:
    """Keep a connection that is ending as `revoked`, and forget its tokens."""
    ended = await writing.execute(
        update(connections)
        .where(connections.c.id == connection_id, connections.c.ending.is_(True))
        .values(state=ConnectionState.REVOKED, problem=problem, ending=False)
    )
    if ended.rowcount:
        await writing.execute(
            token_sets.delete().where(token_sets.c.connection_id == connection_id)
        )


def _was_in_force(connection_id: ConnectionId) -> tuple[ColumnElement[bool], ...]:
    """Match jobs of what was in force on the connection: not of what was never let that far."""
    reasons = (RevocationReason.SUPERSEDED, RevocationReason.DISCONNECTED)
    return revocations.c.connection_id == connection_id, revocations.c.reason.in_(reasons)


def _named(tokens: Sequence[AccessToken | RefreshToken]) -> list[list[str]]:
    return [
        ["refresh" if isinstance(token, RefreshToken) else "access", token.reveal()]
        for token in tokens
    ]
