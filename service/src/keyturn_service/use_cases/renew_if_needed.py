"""Return tokens that serve, renewing them only when they do not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keyturn_service.domain.connection import (
    ConnectionInUse,
    ConnectionState,
    TokenInForce,
    learned_session,
)
from keyturn_service.domain.errors import ConnectionCannotServe
from keyturn_service.ports import Clock, TokenStore
from keyturn_service.use_cases.refresh_tokens import RefreshTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewIfNeeded:
    """Serve the token set in force while it is safely inside its life.

    A hot read makes no call to Salesforce. A token that is known to be dead is never served.
    """

    store: TokenStore
    refresh: RefreshTokens
    clock: Clock

    async def __call__(
        self,
        connection: ConnectionInUse,
        tokens: TokenInForce | None,
        *,
        ending: bool,
        rejected_generation: int | None,
    ) -> tuple[ConnectionInUse, TokenInForce]:
        """Return connection and tokens as they serve now.

        `rejected_generation` is the generation whose access token Salesforce refused.

        Raises:
            ConnectionCannotServe: no token serves; the code says why.
        """
        tokens = in_force(connection, tokens, ending=ending)
        now = self.clock.now()
        if rejected_generation == tokens.generation:
            if tokens.expires_at is not None:
                life = learned_session(
                    connection.session_life, refused_at_age=now - tokens.received_at
                )
                await self.store.reject_access_token(
                    connection.id, generation=tokens.generation, session_life=life
                )
                tokens = replace(tokens, expires_at=None)
        elif tokens.serves(now):
            return connection, tokens
        renewed, tokens = await self.refresh(connection.id, refused=tokens.generation)
        return renewed.in_use(), tokens


def in_force(
    connection: ConnectionInUse, tokens: TokenInForce | None, *, ending: bool, at_least: int = 0
) -> TokenInForce:
    """Return the tokens, where nothing but their age may stand against their use.

    Raises:
        ConnectionCannotServe: no token serves; the code says why. Of an older generation than
            `at_least` they are of a database that was exchanged meanwhile.
    """
    if ending or connection.state is ConnectionState.REVOKED:
        raise ConnectionCannotServe("connection_revoked")
    if connection.state is ConnectionState.REAUTHORIZATION_REQUIRED:
        raise ConnectionCannotServe("reauthorization_required", reason=connection.problem)
    if connection.state is ConnectionState.PENDING or tokens is None:
        raise ConnectionCannotServe("connection_pending")
    if tokens.generation < at_least:
        raise ConnectionCannotServe("org_unavailable", retry_after=1)
    return tokens
