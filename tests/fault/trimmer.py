"""A program that forks a process for each line, which removes old records of the audit.

A line of standard input is JSON: `url` of the database, `folder` of the exported checkpoints, and
`kill_at`, where the process kills itself at its second batch: `within` the transaction, `after`
it, or null. Standard output has the status of each as `os.waitpid` tells it.
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

import sqlalchemy.dialects.postgresql.asyncpg
import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401 - loaded before anybody is forked

from keyturn_service.adapters.checkpoints.directory import DirectoryArchive
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.audit_retention import SqlTrimMarks
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.incidents import SqlIncidents
from keyturn_service.adapters.system import SystemClock
from keyturn_service.bootstrap_retention import audit_rounds
from keyturn_service.settings import Settings
from keyturn_service.use_cases.trim_audit import TRIM, TrimAudit
from keyturn_service.vault.checkpoints import CheckpointKey

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
        rounds = audit_rounds(
            Settings(
                public_urls="https://connect.acme.example",  # type: ignore[arg-type] # as read
                audit_export_dir=folder,
                audit_keep_days=30,
            ),
            DirectoryArchive(folder),
            database=database,
            signer=CheckpointKey(ROOT),
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
    """Fork one after the other."""
    while line := sys.stdin.readline():
        pid = os.fork()
        if not pid:
            try:
                given = json.loads(line)
                asyncio.run(trimmed(given["url"], Path(given["folder"]), given["kill_at"]))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
