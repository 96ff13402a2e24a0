"""What did not open is noted: somebody wrote to the database behind the service's back."""

from __future__ import annotations

from typing import Final

from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.domain.ration import Ration
from keyturn_service.ports import AuditLog, Clock
from keyturn_service.vault.errors import CannotOpen, KeyMissing
from keyturn_service.vault.place import Place

_OF_CONNECTIONS: Final = "token_sets"  # the table whose rows are called by their connection
_LONGEST: Final = 64  # characters: a name out of a changed row may be of any length


class Refusals:
    """The audit's record of seals that were refused.

    A damaged value may be asked for again and again: of a flood one a second is recorded, with
    the number that was left out.
    """

    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._ration = Ration()

    async def note(self, place: Place, refused: CannotOpen | KeyMissing) -> None:
        """Record that the value at a place did not open.

        Raises:
            AuditUnavailable: it could not be recorded.
        """
        left_out = self._ration.take(self._clock.monotonic())
        if left_out is None:
            return
        await self._audit.record(
            AuditEvent(
                type="vault.seal_refused",
                at=self._clock.now(),
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
                    "left_out": left_out,
                },
            )
        )
