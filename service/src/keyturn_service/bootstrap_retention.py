"""The part of the bootstrap that joins what exports checkpoints and trims the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from keyturn_service.adapters.checkpoints.directory import DirectoryArchive
from keyturn_service.adapters.sql.audit_chains import SqlAuditChains
from keyturn_service.adapters.sql.audit_retention import SqlAuditTurns, SqlTrimMarks
from keyturn_service.adapters.sql.database import Database, DatabaseRefused
from keyturn_service.adapters.sql.workspaces import SqlDataKeys
from keyturn_service.ports import AuditLog, CheckpointSigner, Clock, Incidents
from keyturn_service.settings import Settings
from keyturn_service.use_cases.export_checkpoint import EXPORT, ExportCheckpoint
from keyturn_service.use_cases.hold_checkpoint import HoldCheckpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint
from keyturn_service.use_cases.see_audit_rounds import SeeAuditRounds
from keyturn_service.use_cases.trim_audit import PAUSE, TRIM, TrimAudit
from keyturn_service.vault.checkpoints import CheckpointKey
from keyturn_service.vault.hashes import kept_root
from keyturn_service.vault.key_source import KeySource

Round = Callable[[], Awaitable[object]]


async def checkpoint_key(key_source: KeySource, database: Database) -> CheckpointKey:
    """Return what signs checkpoints and marks.

    Raises:
        DatabaseRefused: the database lacks what the key comes from.
        KeyMissing: the key source lacks the key that wraps it.
        CannotOpen: it was changed.
        KeySourceUnavailable: the key source does not answer.
    """
    root = await kept_root(key_source, SqlDataKeys(database).get)
    if root is None:
        raise DatabaseRefused(
            "there is no hash key in the database, from which the key of checkpoints comes: if"
            " the service has run on it, somebody removed it; restore it from a backup"
        )
    return CheckpointKey(root)


def seen_rounds(settings: Settings, database: Database, clock: Clock) -> SeeAuditRounds:
    """Return what tells how those rounds go that the settings ask for."""
    pauses: dict[str, timedelta] = {}
    if settings.audit_export_dir is not None:
        pauses[EXPORT] = timedelta(minutes=settings.audit_export_minutes)
    if settings.audit_keep_days is not None:
        pauses[TRIM] = PAUSE
    return SeeAuditRounds(turns=SqlAuditTurns(database), pauses=pauses, clock=clock)


async def joined_retention(
    settings: Settings,
    *,
    database: Database,
    key_source: KeySource,
    incidents: Incidents,
    audit: AuditLog,
    clock: Clock,
) -> Mapping[str, Round]:
    """Return the rounds that the settings ask for: none where there is nowhere to export to.

    Raises as `checkpoint_key` does.
    """
    if settings.audit_export_dir is None:
        return {}
    signer = await checkpoint_key(key_source, database)
    return audit_rounds(
        settings,
        DirectoryArchive(settings.audit_export_dir),
        database=database,
        signer=signer,
        incidents=incidents,
        audit=audit,
        clock=clock,
    )


def audit_rounds(
    settings: Settings,
    archive: DirectoryArchive,
    *,
    database: Database,
    signer: CheckpointSigner,
    incidents: Incidents,
    audit: AuditLog,
    clock: Clock,
) -> Mapping[str, Round]:
    """Join the rounds over an archive."""
    chains, marks = SqlAuditChains(database), SqlTrimMarks(database)
    turns = SqlAuditTurns(database)
    hold = HoldCheckpoint(archive=archive, chains=chains, marks=marks, signer=signer, clock=clock)
    export = ExportCheckpoint(
        every=timedelta(minutes=settings.audit_export_minutes),
        hold=hold,
        make=MakeCheckpoint(chains=chains, signer=signer, clock=clock),
        archive=archive,
        turns=turns,
        clock=clock,
    )
    if settings.audit_keep_days is None:
        return {EXPORT: export}
    trim = TrimAudit(
        keep=timedelta(days=settings.audit_keep_days),
        hold=hold,
        chains=chains,
        marks=marks,
        signer=signer,
        incidents=incidents,
        turns=turns,
        audit=audit,
        clock=clock,
    )
    return {EXPORT: export, TRIM: trim}
