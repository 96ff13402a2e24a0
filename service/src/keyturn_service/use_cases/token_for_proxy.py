"""Find the access token for a proxied call."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.api_key import Right
from keyturn_service.domain.connection import ConnectionInUse, TokenInForce
from keyturn_service.domain.errors import NotFound
from keyturn_service.domain.ids import ConnectionId, WorkspaceId
from keyturn_service.ports import Basis, Clock, Serving, ServingReads, Uses
from keyturn_service.use_cases.admit import admit, refuse_sealed
from keyturn_service.use_cases.proxied_answer import ProxyCaller
from keyturn_service.use_cases.renew_if_needed import RenewIfNeeded, in_force

_NO_KEY = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """An API key that may call a connection's org, and what was found of the connection.

    `basis` is set where that was remembered: it goes nowhere before it was found to stand.
    """

    caller: ProxyCaller
    connection: ConnectionInUse
    tokens: TokenInForce | None
    ending: bool
    basis: Basis | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenForProxy:
    """Return tokens that serve.

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
    ) -> tuple[ConnectionInUse, TokenInForce]:
        """Return the connection and its tokens.

        Raises:
            NotFound: there is no such connection in the workspace.
            ConnectionCannotServe: no token serves; the code says why.
        """
        serving, connection = await self._found(workspace_id, connection_id)
        connection, tokens = await self.renew_if_needed(
            connection,
            serving.tokens,
            ending=serving.ending,
            rejected_generation=rejected_generation,
        )
        if tokens is not serving.tokens:
            connection, tokens = await self._still(connection, tokens)
        self.uses.note(connection_id, self.clock.now())
        return connection, tokens

    async def _found(
        self, workspace_id: WorkspaceId, connection_id: ConnectionId
    ) -> tuple[Serving, ConnectionInUse]:
        serving = await self.reads.read(connection_id, key_hash=_NO_KEY)
        connection = serving.connection
        if connection is None or connection.workspace_id != workspace_id:
            raise NotFound("connection")
        refuse_sealed(serving)
        return serving, connection

    async def _still(
        self, connection: ConnectionInUse, renewed: TokenInForce
    ) -> tuple[ConnectionInUse, TokenInForce]:
        """Return what serves after a renewal, which took a while: its use may be stopped."""
        serving, connection = await self._found(connection.workspace_id, connection.id)
        return connection, in_force(
            connection, serving.tokens, ending=serving.ending, at_least=renewed.generation
        )

    async def admit(
        self, connection_id: ConnectionId, *, key_hash: bytes, remembered: bool
    ) -> Admission:
        """Return what an API key may call by; `remembered` allows what was read before.

        Raises:
            Unauthorized: the key opens nothing.
            Forbidden: it may not call by the proxy.
            NotFound: there is no such connection in its workspace.
            ConnectionCannotServe: `sealed`.
        """
        now = self.clock.now()
        serving = self.reads.recall(connection_id, key_hash=key_hash) if remembered else None
        if serving is None or serving.tokens is None or not serving.tokens.serves(now):
            serving = await self.reads.read(connection_id, key_hash=key_hash)
        key, connection = admit(serving, Right.PROXY, now=now)
        return Admission(
            caller=ProxyCaller(
                workspace_id=key.workspace_id,
                actor=key.id,
                unsafe=Right.PROXY_UNSAFE in key.rights,
            ),
            connection=connection,
            tokens=serving.tokens,
            ending=serving.ending,
            basis=serving.basis,
        )

    async def serving(self, admission: Admission) -> tuple[ConnectionInUse, TokenInForce]:
        """Return connection and tokens of an admission, renewed if need be.

        Raises:
            ConnectionCannotServe: no token serves; the code says why.
        """
        found = admission.connection
        connection, tokens = await self.renew_if_needed(
            found, admission.tokens, ending=admission.ending, rejected_generation=None
        )
        if tokens is not admission.tokens:
            connection, tokens = await self._still(connection, tokens)
        self.uses.note(found.id, self.clock.now())
        return connection, tokens
