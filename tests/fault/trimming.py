"""Processes that are killed while they remove old records of the audit, on any database."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import update
from tests.fault.trimmer import ROOT

from keyturn_service.adapters.checkpoints.directory import DirectoryArchive
from keyturn_service.adapters.sql.audit import SqlAuditLog
from keyturn_service.adapters.sql.audit_chains import SqlAuditChains
from keyturn_service.adapters.sql.audit_retention import SqlTrimMarks
from keyturn_service.adapters.sql.database import Database, read_database_url
from keyturn_service.adapters.sql.schema import migrate
from keyturn_service.adapters.sql.tables import audit_turns
from keyturn_service.adapters.system import SystemClock
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.checkpoint import read_checkpoint, written_checkpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint
from keyturn_service.use_cases.trim_audit import BATCH
from keyturn_service.use_cases.verify_audit import Verdict, VerifyAudit
from keyturn_service.vault.checkpoints import CheckpointKey, is_signed

_KEY: Final = CheckpointKey(ROOT)
_OLD: Final = 6 * BATCH + 100
_CLOCK: Final = SystemClock()


async def _exported_long_ago(url: str, folder: Path) -> None:
    """Record what is old by now, in a chain that was closed, and export a checkpoint."""
    database = Database(read_database_url(url))
    await migrate(database)
    at = _CLOCK.now() - timedelta(days=40)
    log = SqlAuditLog(database, "run_long_ago", _CLOCK)
    kinds = [*["token.read"] * (_OLD - 1), "chain.closed"]
    events = [
        AuditEvent(type=kind, at=at, workspace_id=None, actor="system", detail={}) for kind in kinds
    ]
    await asyncio.gather(*(log.record(event) for event in events))
    make = MakeCheckpoint(chains=SqlAuditChains(database), signer=_KEY, clock=_CLOCK)
    signed = await make()
    document = written_checkpoint(signed).encode()
    await DirectoryArchive(folder).put(document, made_at=signed.checkpoint.made_at)
    await database.close()


async def _verdict(url: str, folder: Path) -> Verdict:
    """Verify against the exported checkpoint, and end the claim of who was killed."""
    database = Database(read_database_url(url))
    document = await DirectoryArchive(folder).newest(not_after=_CLOCK.now())
    assert document is not None
    verify = VerifyAudit(
        chains=SqlAuditChains(database),
        marks=SqlTrimMarks(database),
        is_signed=partial(is_signed, by=_KEY.public_key),
    )
    found = await verify(read_checkpoint(document).checkpoint)
    async with database.write() as connection:
        await connection.execute(update(audit_turns).values(due_at=0))
    await database.close()
    return found


def trim_with_kills(url: str, folder: Path) -> None:
    """See that whatever was removed has its mark, and that the next process removes the rest."""
    asyncio.run(_exported_long_ago(url, folder))
    removed = 0
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fault.trimmer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as trimmer:
        assert trimmer.stdin is not None
        assert trimmer.stdout is not None
        for kill_at, batches in (("within", 1), ("after", 2), (None, 4)):
            given = {"url": url, "folder": str(folder), "kill_at": kill_at}
            print(json.dumps(given), file=trimmer.stdin, flush=True)
            assert int(trimmer.stdout.readline()) == (0 if kill_at is None else signal.SIGKILL)
            removed = min(removed + batches * BATCH, _OLD)
            found = asyncio.run(_verdict(url, folder))
            assert (found.bad, found.trimmed) == (None, removed)
        trimmer.stdin.close()
    assert removed == _OLD
