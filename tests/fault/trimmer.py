"""A process that removes old records of the audit, and kills itself at its second batch.

Started as a program with one line of JSON on standard input: `url` of the database, `folder` of
the exported checkpoints, and `kill_at`: `within` the transaction, `after` it,
or null.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.audit_retention import SqlTrimMarks
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.incidents import SqlIncidents
from keyturn_service.adapters.system import SystemClock
from keyturn_service.bootstrap_retention import joined_retention
from keyturn_service.settings import Settings
from keyturn_service.use_cases.trim_audit import TRIM, TrimAudit

ROOT = bytes(range(32))  # a dummy in place of the root of the keyed hashes
_BATCH = 2


class KillingMarks(SqlTrimMarks):
    """Marks at which the process ends, as by `kill -9`."""

    kill_at: str | None
    batches = 0

    async def trim(self, signed: Any, *, since: int) -> bool:
        """Remove records, unless this is where it ends."""
        type(self).batches += 1
        done = await super().trim(signed, since=since)
        self._ends("after")
        return done

    async def _keep(self, writing: Any, signed: Any, *, since: int) -> bool:
        kept = await super()._keep(writing, signed, since=since)
        self._ends("within")
        return kept

    def _ends(self, here: str) -> None:
        if self.kill_at == here and self.batches == _BATCH:
            os.kill(os.getpid(), signal.SIGKILL)


async def trimmed(url: str, folder: Path, kill_at: str | None) -> int:
    """Remove what is old, as a replica's round does; return how many records."""
    database, clock = Database(read_database_url(url)), SystemClock()
    try:
        rounds = joined_retention(
            Settings(
                public_urls="https://connect.acme.example",  # type: ignore[arg-type] # as read
                audit_export_dir=folder,
                audit_keep_days=30,
            ),
            database=database,
            root=ROOT,
            incidents=SqlIncidents(database),
            audit=SqlAuditLog(database, f"run_{os.getpid()}", clock),
            clock=clock,
        )
        trim = rounds[TRIM]
        assert isinstance(trim, TrimAudit)
        KillingMarks.kill_at = kill_at
        return await replace(trim, marks=KillingMarks(database))()
    finally:
        await database.close()


def main() -> None:
    """Do it once."""
    given = json.loads(sys.stdin.readline())
    print(asyncio.run(trimmed(given["url"], Path(given["folder"]), given["kill_at"])))


if __name__ == "__main__":
    main()
