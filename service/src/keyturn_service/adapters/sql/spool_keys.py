"""Which key-encryption keys each spool needs: kept here, for a stopped replica cannot be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    union_all,
    update,
)

from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.leases import clock_of
from keyturn_service.adapters.sql.order import change_in_order
from keyturn_service.adapters.sql.tables import attempts, spool_keys, spool_replays
from keyturn_service.adapters.sql.token_sets import giving_up_elsewhere
from keyturn_service.domain.attempt import ELSEWHERE, AttemptOutcome
from keyturn_service.vault.root_keys import SpoolNeed

_NONE: Final = ""  # the key of a spool that is lost: it needs none


@dataclass(frozen=True, slots=True)
class SqlSpoolKeys:
    """`ports.SpoolKeys` and `vault.root_keys.SpoolNeeds`."""

    database: Database

    async def all(self, *, since: datetime) -> Sequence[SpoolNeed]:
        """Return the needs; and the spools of attempts since then that never said any."""
        said = select(spool_keys).order_by(spool_keys.c.spool_id, spool_keys.c.key_id)
        silent = (
            select(attempts.c.spool_id)
            .where(
                attempts.c.started_at >= since,
                attempts.c.spool_id != ELSEWHERE,
                attempts.c.spool_id.not_in(select(spool_keys.c.spool_id)),
            )
            .distinct()
            .order_by(attempts.c.spool_id)
        )
        async with self.database.read() as reading:
            rows = (await reading.execute(said)).mappings().all()
            ids = (await reading.execute(silent)).scalars().all()
        needs = [SpoolNeed(**row) for row in rows if row["key_id"] != _NONE]
        return [
            *needs,
            *(SpoolNeed(spool_id=id_, key_id=None, files=0, seen_at=None) for id_ in ids),
        ]

    def _now(self) -> ColumnElement[int]:
        return clock_of(self.database)

    async def say(self, spool_id: str, needs: Mapping[str, int]) -> None:
        """Keep what a spool needs, in place of what it said before."""
        rows = [
            {"spool_id": spool_id, "key_id": key_id, "files": files, "seen_at": self._now()}
            for key_id, files in needs.items()
        ]
        async with self.database.write() as writing:
            await writing.execute(delete(spool_keys).where(spool_keys.c.spool_id == spool_id))
            await writing.execute(insert(spool_keys).values(rows))

    async def was_heard(self, spool_id: str, *, within: timedelta) -> bool:
        """Tell whether a spool said what it needs so lately, by the database's clock."""
        asked = select(spool_keys.c.spool_id).where(
            spool_keys.c.spool_id == spool_id,
            spool_keys.c.key_id != _NONE,
            type_coerce(spool_keys.c.seen_at, BigInteger)
            > self._now() - round(within.total_seconds() * 1_000_000),
        )
        async with self.database.read() as reading:
            return (await reading.execute(asked.limit(1))).first() is not None

    async def forget(self, spool_id: str, *, at: datetime) -> bool:
        """Count a spool as lost: it needs nothing, and answers no attempt that waits for it.

        False where nobody knows it.
        """
        known = union_all(  # one that is awaited may have met this database's forerunner only
            select(attempts.c.spool_id).where(attempts.c.spool_id == spool_id),
            select(spool_replays.c.spool_id).where(spool_replays.c.spool_id == spool_id),
        ).limit(1)
        named = {"spool_id": spool_id, "key_id": _NONE, "files": 0, "seen_at": at}
        async with self.database.write() as writing:
            gone = await writing.execute(
                delete(spool_keys).where(spool_keys.c.spool_id == spool_id)
            )
            if not gone.rowcount and (await writing.execute(known)).first() is None:
                return False
            await writing.execute(insert(spool_keys).values(named))
            await change_in_order(
                writing,
                update(attempts)
                .where(
                    attempts.c.spool_id == spool_id,
                    attempts.c.spool_answered.is_(False),
                    or_(attempts.c.outcome.is_(None), attempts.c.outcome == AttemptOutcome.UNKNOWN),
                )
                .values(
                    outcome=AttemptOutcome.UNKNOWN,
                    spool_answered=True,
                    ended_at=func.coalesce(attempts.c.ended_at, attempts.c.started_at),
                ),
            )
            lost = select(spool_keys.c.spool_id).where(spool_keys.c.key_id == _NONE)
            awaited = select(spool_replays.c.spool_id).where(
                spool_replays.c.replayed.is_(False), spool_replays.c.spool_id.not_in(lost)
            )
            if (await writing.execute(awaited.limit(1))).first() is None:
                await change_in_order(writing, giving_up_elsewhere())
        return True
