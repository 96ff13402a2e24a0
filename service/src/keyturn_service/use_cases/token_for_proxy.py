"""Find the access token for a proxied call."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.connection import Connection, TokenSet
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import Clock, ServingReads, Uses
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded

_NO_KEY = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenForProxy:
    """Return tokens that serve, for a caller that is known already.

    The proxied call records its own beginning and end, so this records nothing.
    """

    reads: ServingReads
    renew_if_needed: RenewIfNeeded
    uses: Uses
    clock: Clock

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        connection_id: ConnectionId,
        *,
        rejected_generation: int | None = None,
    ) -> tuple[Connection, TokenSet]:
        """Return the connection and its tokens.

        Raises:
            NotFound: there is no such connection in the workspace.
            ConnectionCannotServe: no token serves; the code says why.
        """
        serving = await self.reads.read(connection_id, key_hash=_NO_KEY)
        connection = serving.connection
        if connection is None or connection.workspace_id != workspace_id:
            raise NotFound("connection")
        served = await self.renew_if_needed(
            connection,
            serving.tokens,
            ending=serving.ending,
            rejected_generation=rejected_generation,
        )
        self.uses.note(connection_id, self.clock.now())
        return served
