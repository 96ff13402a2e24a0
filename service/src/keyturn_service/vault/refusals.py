"""What did not open is noted: somebody wrote to the database behind the service's back."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final, TypeAlias

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.domain.ration import Ration
from keyturn_service.ports import AuditLog, AuditUnavailable, Clock
from keyturn_service.vault.errors import CannotOpen, KeyMissing
from keyturn_service.vault.place import Place

_OF_CONNECTIONS: Final = "token_sets"  # the table whose rows are called by their connection
_LONGEST: Final = 64  # characters: a name out of a changed row may be of any length
FIRST_AT_ONCE: Final = 10_000  # places that are named at once: some megabytes of records
_Where: TypeAlias = tuple[str, str, str, int]


class Refusals:
    """The audit's record of seals that were refused.

    A damaged value may be asked for again and again: of a flood one a second is recorded, with
    the number that was left out. The first refusal of each place has a ration of its own, so that
    noise about one value hides no other.
    """

    def __init__(self, audit: AuditLog, clock: Clock, *, remembered: int = FIRST_AT_ONCE) -> None:
        self._audit = audit
        self._clock = clock
        self._remembered = remembered
        self._met: OrderedDict[_Where, None] = OrderedDict()  # the one met last is the last
        self._first = Ration(burst=FIRST_AT_ONCE)
        self._again = Ration()
        self._left_out = 0

    async def note(self, place: Place, refused: CannotOpen | KeyMissing) -> None:
        """Record that the value at a place did not open.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        where = (place.table, place.row[:_LONGEST], place.column, place.generation)
        first = self._meet(where)
        ration = self._first if first else self._again
        if ration.take(self._clock.monotonic()) is None:
            self._leave_out(1, forgotten=where if first else None)
            return
        left_out, self._left_out = self._left_out, 0
        try:
            await self._audit.record(_event(place, refused, at=self._clock.now(), lost=left_out))
        except AuditUnavailable:
            self._leave_out(left_out + 1, forgotten=where if first else None)
            raise

    def _meet(self, where: _Where) -> bool:
        """Remember a place; tell whether it was not remembered."""
        first = where not in self._met
        self._met[where] = None
        self._met.move_to_end(where)
        if len(self._met) > self._remembered:
            self._met.popitem(last=False)
        return first

    def _leave_out(self, number: int, *, forgotten: _Where | None) -> None:
        """Count what is not recorded; a place that was not named yet is as new as before."""
        self._left_out += number
        if forgotten is not None:
            self._met.pop(forgotten, None)


def _event(
    place: Place, refused: CannotOpen | KeyMissing, *, at: datetime, lost: int
) -> AuditEvent:
    return AuditEvent(
        type="vault.seal_refused",
        at=at,
        workspace_id=WorkspaceId(place.workspace_id[:_LONGEST]),
        actor="system",
        connection_id=(
            ConnectionId(place.row[:_LONGEST]) if place.table == _OF_CONNECTIONS else None
        ),
        detail={
            "table": place.table,
            "row": place.row[:_LONGEST],
            "column": place.column,
            "generation": place.generation,
            "because": "key_missing" if isinstance(refused, KeyMissing) else str(refused),
            "left_out": lost,
        },
    )
