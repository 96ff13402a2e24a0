"""The part of the bootstrap that joins what exports checkpoints and trims the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from keyturn_service.adapters.checkpoints.directory import DirectoryArchive
from keyturn_service.adapters.sql.audit_chains import SqlAuditChains
from keyturn_service.adapters.sql.audit_retention import SqlAuditTurns, SqlTrimMarks
from keyturn_service.adapters.sql.database import Database
from keyturn_service.ports import AuditLog, Clock, Incidents
from keyturn_service.settings import Settings
from keyturn_service.use_cases.export_checkpoint import EXPORT, ExportCheckpoint
from keyturn_service.use_cases.hold_checkpoint import HoldCheckpoint
from keyturn_service.use_cases.make_checkpoint import MakeCheckpoint
from keyturn_service.use_cases.trim_audit import TRIM, TrimAudit
from keyturn_service.vault.checkpoints import CheckpointKey

Round = Callable[[], Awaitable[object]]


def joined_retention(
    settings: Settings,
    *,
    database: Database,
    root: bytes,
    incidents: Incidents,
    audit: AuditLog,
    clock: Clock,
) -> Mapping[str, Round]:
    """Return the rounds that the settings ask for: none where there is nowhere to export to."""
    if settings.audit_export_dir is None:
        return {}
    archive, signer = DirectoryArchive(settings.audit_export_dir), CheckpointKey(root)
    chains, marks = SqlAuditChains(database), SqlTrimMarks(database)
    turns = SqlAuditTurns(database)
    hold = HoldCheckpoint(archive=archive, chains=chains, marks=marks, signer=signer)
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
