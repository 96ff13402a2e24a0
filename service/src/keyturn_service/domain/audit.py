"""Audit events and their hash chains."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from keyturn_service.domain.ids import ConnectionId, WorkspaceId

CHAIN_START: Final = bytes(32)
CHAIN_CLOSED: Final = "chain.closed"
"""The type of the last event of a chain."""
_FORMAT: Final = b"keyturn-audit-1\x00"
_CANNOT_HASH: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What the hash of a detail ends with that no event of ours ever had."""
_written: Final = msgspec.json.Encoder().encode  # JSON without spaces, as UTF-8


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to which connection.

    `type` is `<thing>.<past participle>`; `actor` is `key_…`, `user`, `system` or `operator`.
    `detail` holds short text and numbers, never a secret: values appear as keyed hashes.
    """

    type: str
    at: datetime
    workspace_id: WorkspaceId | None
    actor: str
    connection_id: ConnectionId | None = None
    detail: Mapping[str, str | int | bool | None]


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its writer's chain. `writer` is one run of one replica."""

    writer: str
    sequence: int
    event: AuditEvent
    previous: bytes
    hash: bytes


def chained(event: AuditEvent, *, writer: str, sequence: int, previous: bytes) -> AuditRecord:
    """Return the event as the next record of a chain."""
    return AuditRecord(
        writer=writer,
        sequence=sequence,
        event=event,
        previous=previous,
        hash=record_hash(event, writer=writer, sequence=sequence, previous=previous),
    )


def record_hash(event: AuditEvent, *, writer: str, sequence: int, previous: bytes) -> bytes:
    """Hash a record over everything it says and the record before it."""
    body = _written(
        [
            writer,
            sequence,
            event.type,
            event.at.isoformat(),
            event.workspace_id,
            event.actor,
            event.connection_id,
            dict(sorted(event.detail.items())),
        ]
    )
    return hashlib.sha256(_FORMAT + previous + body).digest()


def hashes_to_itself(record: AuditRecord) -> bool:
    """Tell whether a record's hash is the one of what it says."""
    try:
        expected = record_hash(
            record.event,
            writer=record.writer,
            sequence=record.sequence,
            previous=record.previous,
        )
    except _CANNOT_HASH:
        return False
    return expected == record.hash
