"""The seal of the whole service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.tables import service_seals
from keyturn_service.ports import ServiceSeal


@dataclass(frozen=True, slots=True)
class SqlSeals:
    """`ports.Seals`; the hot statements look at its table themselves."""

    database: Database

    async def current(self) -> ServiceSeal | None:
        """Return the seal that is in force."""
        asked = select(service_seals).where(service_seals.c.on.is_(True))
        async with self.database.read() as reading:
            row = (await reading.execute(asked)).first()
        return None if row is None else ServiceSeal(sealed_at=row.sealed_at, reason=row.reason)

    async def put_on(self, seal: ServiceSeal) -> bool:
        """Put the seal on, for all replicas at once; False where one is on already."""
        values = {"sealed_at": seal.sealed_at, "reason": seal.reason, "on": True}
        try:
            async with self.database.write() as writing:
                await writing.execute(insert(service_seals).values(**values))
        except IntegrityError:
            return False
        return True

    async def take_off(self, *, at: datetime) -> bool:
        """Take the seal off; False where none is on."""
        async with self.database.write() as writing:
            taken = await writing.execute(
                update(service_seals)
                .where(service_seals.c.on.is_(True))
                .values(on=None, taken_off_at=at)
            )
        return bool(taken.rowcount)
