"""Verify chains of the audit, record after record: the first bad one has a name.

What a chain shows by itself is an edit, a gap, a change of order, and a record behind its end. A
checkpoint that is kept elsewhere shows the rest: an end that was cut off, a chain that was left
out, and one whose hashes were all computed anew. Where retention trimmed a chain, a signed mark
says what its first record has to follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from keyturn_service.domain.audit import CHAIN_CLOSED, CHAIN_START, AuditRecord, hashes_to_itself
from keyturn_service.domain.checkpoint import ChainEnd
from keyturn_service.domain.retention import TrimMark


class Wrong(StrEnum):
    """What is wrong with a record. Its place is a sequence number in its writer's chain."""

    EDITED = "edited"
    """What stands in its place is not what was recorded there."""
    DELETED = "deleted"
    """Nothing stands in its place, though the chain goes on behind it."""
    REORDERED = "reordered"
    """The record of this place stands further on."""
    REWRITTEN = "rewritten"
    """It, or one before it, was recorded anew with its hash: the next one, or the checkpoint,
    knows another."""
    CUT_OFF = "cut_off"
    """Nothing stands in its place nor behind it, though the checkpoint knows of it."""
    LEFT_OUT = "left_out"
    """Nothing stands in the whole chain, though the checkpoint knows of it."""
    AFTER_END = "after_end"
    """It stands behind the record that closed its chain."""
    TRIM_FORGED = "trim_forged"
    """What says that the chain was trimmed up to it is not signed by this installation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRecord:
    """The place of the first record of a chain that is not as it was written."""

    writer: str
    sequence: int
    wrong: Wrong


class ChainCheck:
    """One chain that is looked at in order; of what was seen, length and last hash are kept.

    `signed` is how far the chain went by a checkpoint. `mark`, whose signature has to be verified
    before, says what retention removed of its beginning.
    """

    def __init__(self, writer: str, signed: ChainEnd | None, mark: TrimMark | None = None) -> None:
        self._writer = writer
        self._signed_length = 0 if signed is None else signed.length
        self._signed_head = b"" if signed is None else signed.head
        self._suspect: BadRecord | None = None
        self.trimmed = 0 if mark is None else mark.sequence
        """Records that retention removed."""
        self.closed = False if mark is None else mark.whole
        """Whether the last record seen, or removed, closed the chain."""
        self._head = CHAIN_START if mark is None else mark.head
        self._place = self.trimmed
        self._mark_fits = (
            mark is None or self.trimmed != self._signed_length or mark.head == self._signed_head
        )

    @property
    def length(self) -> int:
        """Records seen that are as they were written."""
        return self._place - self.trimmed

    def see(self, record: AuditRecord | None) -> BadRecord | None:
        """Look at the next record in ascending order of sequences; name the first bad one.

        None stands for a row that cannot be read as a record. After a bad record was named, the
        check is over. It may want to see the rest of the chain before it says what is wrong.
        """
        if self._suspect is not None:
            return self._displaced(record, self._suspect)
        place = self._place + 1
        if self.closed:
            return self._bad(place if record is None else record.sequence, Wrong.AFTER_END)
        if record is None:
            return self._bad(place, Wrong.EDITED)
        if record.sequence < place:
            return self._bad(record.sequence, Wrong.EDITED)
        if record.sequence > place:
            self._suspect = self._bad(place, Wrong.DELETED)
            return self._displaced(record, self._suspect)
        return self._see_in_place(record)

    def end(self) -> BadRecord | None:
        """Name the first bad record, now that there is no further one."""
        if self._suspect is not None:
            return self._suspect
        if not self._mark_fits:
            return self._bad(self.trimmed, Wrong.REWRITTEN)
        emptied = self.trimmed > 0 and self.length == 0 and not self.closed
        if self._place >= self._signed_length and not emptied:
            return None
        if self._place == 0:
            return self._bad(1, Wrong.LEFT_OUT)
        return self._bad(self._place + 1, Wrong.CUT_OFF)

    def _see_in_place(self, record: AuditRecord) -> BadRecord | None:
        """Look at the record that stands where the next one has to stand."""
        place, fits = record.sequence, hashes_to_itself(record)
        if record.previous != self._head:
            if fits and place - 1 not in (self.trimmed, self._signed_length):
                return self._bad(place - 1, Wrong.REWRITTEN)
            self._suspect = self._bad(place, Wrong.EDITED)
            return None
        if not fits:
            return self._bad(place, Wrong.EDITED)
        if place == self._signed_length and record.hash != self._signed_head:
            return self._bad(place, Wrong.REWRITTEN)
        self._place, self._head = place, record.hash
        self.closed = record.event.type == CHAIN_CLOSED
        return None

    def _displaced(self, record: AuditRecord | None, suspect: BadRecord) -> BadRecord | None:
        """Name the suspect if this is the record that was missed in its place."""
        if record is None or record.previous != self._head:
            return None
        return self._bad(suspect.sequence, Wrong.REORDERED)

    def _bad(self, sequence: int, wrong: Wrong) -> BadRecord:
        return BadRecord(writer=self._writer, sequence=sequence, wrong=wrong)
