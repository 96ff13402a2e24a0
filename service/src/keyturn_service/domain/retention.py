"""Retention of the audit: the beginning of a chain is removed, and a signed mark stands for it.

A mark says up to which record a chain was trimmed and that record's hash, so that the rest can be
verified from there. Who can write the database but not sign cannot make one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from keyturn_service.domain.audit import CHAIN_CLOSED, CHAIN_START, AuditRecord, hashes_to_itself
from keyturn_service.domain.checkpoint import ChainEnd

FORGOTTEN: Final = ""
"""The writer of no chain: by this name stands the mark of what needs no marks any more."""
_FORMAT: Final = b"keyturn-audit-trim-1\x00"
_written: Final = msgspec.json.Encoder().encode


class ChainNotWhole(Exception):
    """A record is not as it was written, so nothing is trimmed. Arguments: writer, sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimMark:
    """Up to which record, included, a chain was removed, with that record's hash.

    `whole` says that it was the chain's last one. By the name `FORGOTTEN` a mark says that marks
    of whole chains were removed as well, of which no checkpoint made at `at` or later knows.
    """

    writer: str
    sequence: int
    head: bytes
    whole: bool
    at: datetime

    def message(self) -> bytes:
        """Return what is signed: the format, then what the mark says as JSON without spaces."""
        said = [self.writer, self.sequence, self.head.hex(), self.whole, self.at.isoformat()]
        return _FORMAT + _written(said)

    def covers(self, end: ChainEnd) -> bool:
        """Tell whether what a checkpoint knows of the chain was all trimmed."""
        return self.sequence > end.length or (self.sequence == end.length and self.head == end.head)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMark:
    """A mark and the signature under it (RFC 8032)."""

    mark: TrimMark
    signature: bytes


def next_mark(
    page: Sequence[AuditRecord | None],
    *,
    mark: TrimMark | None,
    end: ChainEnd,
    before: datetime,
    at: datetime,
    most: int,
) -> TrimMark | None:
    """Return how far a chain may be trimmed now; None where not at all.

    `page` is what stands behind `mark`, in order; `most` of it are removed. A record is removed if
    it is older than `before`, the checkpoint's `end` vouches for it, and another one of the page
    stands behind it or it closed the chain: a run that goes on needs its last record.

    Raises:
        ChainNotWhole: something of the page is not as it was written.
    """
    _see_whole(page, mark, end)
    last: AuditRecord | None = None
    for place, record in enumerate(page[:most], start=1):
        assured = place < len(page) or _closes(record)
        if record is None or not assured or not _is_old(record, end, before):
            break
        last = record
    if last is None:
        return None
    return TrimMark(
        writer=end.writer, sequence=last.sequence, head=last.hash, whole=_closes(last), at=at
    )


def _is_old(record: AuditRecord, end: ChainEnd, before: datetime) -> bool:
    return record.sequence <= end.length and record.event.at < before


def _closes(record: AuditRecord | None) -> bool:
    return record is not None and record.event.type == CHAIN_CLOSED


def _see_whole(page: Sequence[AuditRecord | None], mark: TrimMark | None, end: ChainEnd) -> None:
    place, head, closed = (
        (0, CHAIN_START, False)
        if mark is None
        else (
            mark.sequence,
            mark.head,
            mark.whole,
        )
    )
    for record in page:
        place += 1
        if (
            closed
            or record is None
            or record.sequence != place
            or record.previous != head
            or not hashes_to_itself(record)
            or (place == end.length and record.hash != end.head)
        ):
            raise ChainNotWhole(end.writer, place)
        head, closed = record.hash, _closes(record)
