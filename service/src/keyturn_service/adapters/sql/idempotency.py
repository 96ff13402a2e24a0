"""Answers kept for idempotency keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.key_holds import hold_keys
from keyturn_service.adapters.sql.tables import idempotency_keys
from keyturn_service.domain.ids import WorkspaceId
from keyturn_service.ports import KeptAnswer
from keyturn_service.vault.vault import Vault

_AT_WORK: Final = timedelta(minutes=2)  # longer than writes take, and clocks are apart


@dataclass(frozen=True, slots=True)
class SqlIdempotencyKeys:
    """`ports.IdempotencyKeys`."""

    database: Database
    vault: Vault

    async def begin(
        self, workspace_id: WorkspaceId, key: str, *, request_hash: bytes, now: datetime
    ) -> KeptAnswer | None:
        """Claim the key; return what is kept where somebody claimed it before.

        Whoever claimed it and has no answer after two minutes was killed: the same request
        claims it anew.
        """
        values = {
            "workspace_id": workspace_id,
            "key": key,
            "request_hash": request_hash,
            "created_at": now,
        }
        try:
            async with self.database.write() as writing:
                await writing.execute(insert(idempotency_keys).values(**values))
        except IntegrityError:
            if await self._abandoned(workspace_id, key, request_hash, now):
                return None
            return await self._kept(workspace_id, key, request_hash)
        return None

    async def _abandoned(
        self, workspace_id: WorkspaceId, key: str, request_hash: bytes, now: datetime
    ) -> bool:
        """Claim a key again that is without an answer for too long; only one does."""
        async with self.database.write() as writing:
            claimed = await writing.execute(
                update(idempotency_keys)
                .where(
                    _is(workspace_id, key),
                    idempotency_keys.c.request_hash == request_hash,
                    idempotency_keys.c.status.is_(None),
                    idempotency_keys.c.created_at <= now - _AT_WORK,
                )
                .values(created_at=now)
            )
        return bool(claimed.rowcount)

    async def _kept(self, workspace_id: WorkspaceId, key: str, request_hash: bytes) -> KeptAnswer:
        async with self.database.read() as reading:
            asked = select(idempotency_keys).where(_is(workspace_id, key))
            row = (await reading.execute(asked)).first()
        if row is None:  # given back between our two looks: as good as still at work
            return KeptAnswer(request_hash=request_hash, status=None, body=b"")
        body = b""
        if row.body is not None:
            body = await self.vault.open(row.body, places.kept_answer(workspace_id, key))
        return KeptAnswer(request_hash=row.request_hash, status=row.status, body=body)

    async def end(self, workspace_id: WorkspaceId, key: str, *, status: int, body: bytes) -> None:
        """Keep the answer."""
        sealed = await self.vault.seal(body, places.kept_answer(workspace_id, key))
        async with self.database.write() as writing:
            await hold_keys(writing, sealed)
            await writing.execute(
                update(idempotency_keys)
                .where(_is(workspace_id, key))
                .values(status=status, body=sealed)
            )

    async def drop(self, workspace_id: WorkspaceId, key: str) -> None:
        """Give the key back: nothing was done, or nobody knows."""
        async with self.database.write() as writing:
            await writing.execute(idempotency_keys.delete().where(_is(workspace_id, key)))

    async def purge(self, before: datetime) -> int:
        """Forget answers older than that; return how many."""
        async with self.database.write(patient=True) as writing:
            gone = await writing.execute(
                idempotency_keys.delete().where(idempotency_keys.c.created_at < before)
            )
        return gone.rowcount


def _is(workspace_id: WorkspaceId, key: str) -> ColumnElement[bool]:
    return and_(idempotency_keys.c.workspace_id == workspace_id, idempotency_keys.c.key == key)
