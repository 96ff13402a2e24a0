"""Which database the replicas are on, and whose journals were replayed into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from keyturn_service.domain.ids import ConnectionId, SpoolId


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a look by a new connection found.

    `epoch` is the name that the replicas gave to the database as it was, None where they gave
    none. `same` says that it is that very one still: not restored elsewhere, no standby that
    was promoted, and nothing gone that this replica knows to be durable.
    """

    identity: str
    epoch: str | None
    same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Spools whose journals are not replayed yet, and the seconds since the epoch began."""

    spools: Sequence[SpoolId]
    age: float


class Epochs(Protocol):
    """Tells a database that was exchanged from the one before."""

    async def look(self) -> Standing:
        """Look by a new connection: an old one may lead to where the database was.

        Raises:
            StoreUnavailable: none can be made.
        """
        ...

    async def remember(self) -> None:
        """Keep on this replica's disk what the database has to have at its next start.

        What was gone then is told by `look` until a new epoch was named. A disk that does not
        take it is logged.
        """
        ...

    async def meet(self, spool_id: SpoolId) -> None:
        """Learn which spools run beside this one.

        A database that is older than they are does not know them: `begin` and `expect` have
        everybody wait for them, too.
        """
        ...

    async def accept(self, standing: Standing) -> tuple[Mapping[ConnectionId, int], int]:
        """Go over to it: every connection is made anew, and nothing remembered is served.

        Returns which generations were seen before, and how many audit records of this run it
        does not have. A second time returns nothing more. What was seen when one failed or was
        cancelled is returned by the next one that does not.
        """
        ...

    async def begin(
        self, epoch: str, standing: Standing, spool_id: SpoolId, *, expects: bool
    ) -> str:
        """Name a new epoch, unless somebody was first; return the one in force.

        With `expects` the replicas that ran when the database was as it is now have to replay:
        those that said what they need when the others but `spool_id` last did, and those that
        the epoch before waits for still. Without, the epoch is as if it were old.
        """
        ...

    async def expect(self, epoch: str, spool_id: SpoolId) -> None:
        """Have everybody wait for the spool, if it was not replayed in that epoch."""
        ...

    async def replayed(self, epoch: str, spool_id: SpoolId) -> None:
        """Say that the database knows what the spool has."""
        ...

    async def awaited(self, epoch: str) -> Awaited:
        """Return who is waited for; not for a spool that was declared lost."""
        ...

    async def behind(self, seen: Mapping[ConnectionId, int]) -> Sequence[ConnectionId]:
        """Return which of these connections are kept with an older generation."""
        ...
