"""A process is killed while it removes old records of the audit; the next one goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import update
from tests.fault.trimmer import ROOT
from tests.support.postgres import Server, running_postgres

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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("server").create_database())
    return f"sqlite:///{tmp_path / 'keyturn.sqlite'}"


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
    document = await DirectoryArchive(folder).newest()
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


def test_who_is_killed_while_he_trims_leaves_a_whole_audit(url: str, tmp_path: Path) -> None:
    """Whatever was removed has its mark, and the next one removes the rest."""
    folder = tmp_path / "exported"
    folder.mkdir()
    asyncio.run(_exported_long_ago(url, folder))
    removed = 0

    for kill_at, batches in (("within", 1), ("after", 2), (None, 4)):
        given = {"url": url, "folder": str(folder), "kill_at": kill_at}
        ended = subprocess.run(
            [sys.executable, "-m", "tests.fault.trimmer"],
            input=json.dumps(given) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )

        assert ended.returncode == (0 if kill_at is None else -signal.SIGKILL), ended.stderr
        removed = min(removed + batches * BATCH, _OLD)
        found = asyncio.run(_verdict(url, folder))
        assert (found.bad, found.trimmed) == (None, removed)

    assert removed == _OLD
