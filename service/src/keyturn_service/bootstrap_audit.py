"""Join what looks after the audit: a database that is there, its chains, and the key that signs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

from keyturn_service.adapters.sql.audit_chains import SqlAuditChains
from keyturn_service.adapters.sql.audit_retention import SqlTrimMarks
from keyturn_service.adapters.sql.database import Database, DatabaseRefused, read_database_url
from keyturn_service.adapters.sql.schema import see_audit_tables
from keyturn_service.adapters.system import SystemClock
from keyturn_service.bootstrap import telling
from keyturn_service.bootstrap_key_file import open_key_file
from keyturn_service.bootstrap_retention import checkpoint_key, seen_rounds
from keyturn_service.domain.checkpoint import SignedCheckpoint
from keyturn_service.settings import Settings
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint
from keyturn_service.use_cases.see_audit_rounds import AuditRound
from keyturn_service.use_cases.verify_audit import Verdict, VerifyAudit
from keyturn_service.vault.checkpoints import CheckpointKey, is_signed


class CheckpointNotOurs(Exception):
    """Another key signed a checkpoint, or it was changed; the text is the key that should have."""


async def make_checkpoint(settings: Settings) -> SignedCheckpoint:
    """Make a checkpoint of the audit; nothing is written, and replicas may run meanwhile.

    Raises:
        CannotStart: key file or database is not as it has to be.
        ChainUnreadable: the last row of a chain is no record.
    """
    with telling():
        async with _database_that_is_there(settings) as database:
            return await MakeCheckpoint(
                chains=SqlAuditChains(database),
                signer=await _checkpoint_key(settings, database),
                clock=SystemClock(),
            )()


async def verify_audit(
    settings: Settings, signed: SignedCheckpoint | None, public_key: bytes | None
) -> Verdict:
    """Verify the audit; nothing is written, and replicas may run meanwhile.

    The checkpoint has to be signed by `public_key`; by this installation's own where that is
    None. The key file is needed for that, and where retention trimmed chains.

    Raises:
        CannotStart: key file or database is not as it has to be.
        CheckpointNotOurs: another key signed the checkpoint, or it was changed.
    """
    with telling():
        async with _database_that_is_there(settings) as database:
            marks, by = SqlTrimMarks(database), public_key or b""
            if not by and (signed is not None or await marks.all()):
                by = (await _checkpoint_key(settings, database)).public_key
            if signed is not None and not is_signed(
                signed.checkpoint.message(), signed.signature, by=by
            ):
                raise CheckpointNotOurs(by.hex())
            verify = VerifyAudit(
                chains=SqlAuditChains(database), marks=marks, is_signed=partial(is_signed, by=by)
            )
            return await verify(None if signed is None else signed.checkpoint)


async def see_audit_rounds(settings: Settings) -> Sequence[AuditRound]:
    """Return how export and retention go; nothing is written.

    Raises:
        CannotStart: the database is not as it has to be.
    """
    with telling():
        async with _database_that_is_there(settings) as database:
            return await seen_rounds(settings, database, SystemClock())()


@contextlib.asynccontextmanager
async def _database_that_is_there(settings: Settings) -> AsyncIterator[Database]:
    """Give the database of an installation, whose tables stay as they are."""
    url = read_database_url(settings.database)
    if not await asyncio.to_thread(_may_be_there, url.get_backend_name(), url.database):
        raise DatabaseRefused(
            f"there is no database {url.database}: name the folder of the service's data"
            " (KEYTURN_DATA_DIR), or its database (KEYTURN_DATABASE_URL)"
        )
    async with contextlib.AsyncExitStack() as to_close:
        database = Database(url)
        to_close.push_async_callback(database.close)
        await see_audit_tables(database)
        yield database


def _may_be_there(backend: str, name: str | None) -> bool:
    """Tell whether a database may be there: SQLite would make one whose file is missing."""
    return backend != "sqlite" or (name is not None and Path(name).is_file())


async def _checkpoint_key(settings: Settings, database: Database) -> CheckpointKey:
    return await checkpoint_key(await open_key_file(settings), database)
