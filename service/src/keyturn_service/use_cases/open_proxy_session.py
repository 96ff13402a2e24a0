"""Open a proxy session: a secret that other people's clients take for a session id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.connection import ConnectionState
from keyturn_service.domain.errors import ConnectionCannotServe, NotFound
from keyturn_service.domain.ids import ID_BYTES, ConnectionId, ProxySessionId, new_id
from keyturn_service.ports import (
    AuditLog,
    Clock,
    Connections,
    KeyedHash,
    ProxySession,
    ProxySessions,
    Randomness,
)

LONGEST: Final = timedelta(hours=12)
DEFAULT: Final = timedelta(hours=2)  # Salesforce's own default session timeout
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_."
_CHARACTERS: Final = 43  # of six bits each: 258 bits
_SECRET_BYTES: Final = 33  # 264 bits, of which the last six are not used
_ENDED: Final = {
    ConnectionState.PENDING: "connection_pending",
    ConnectionState.REVOKED: "connection_revoked",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProxySession:
    """Make a session for one connection, which ends with it, with its API key, or by time.

    `mark` stands inside every secret of a development world, so that a leak of one is found.
    """

    connections: Connections
    sessions: ProxySessions
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    randomness: Randomness
    mark: str = ""

    async def __call__(
        self,
        api_key: ApiKey,
        connection_id: ConnectionId,
        *,
        ttl: timedelta | None,
        origin: str,
    ) -> tuple[ProxySession, str, str]:
        """Return the session, its instance URL and the session id, which is shown once.

        A longer `ttl` than the longest is cut to it.

        Raises:
            NotFound: there is no such connection in the key's workspace.
            ConnectionCannotServe: the connection is not in force.
            AuditUnavailable: the session could not be recorded, so there is none.
        """
        connection = await self.connections.get(api_key.workspace_id, connection_id)
        if connection is None:
            raise NotFound("connection")
        if connection.state in _ENDED:
            raise ConnectionCannotServe(_ENDED[connection.state])
        now = self.clock.now()
        ends = now + min(DEFAULT if ttl is None else ttl, LONGEST)
        secret = _session_text(connection.org_id, self.randomness, self.mark)
        session = ProxySession(
            id=ProxySessionId(new_id("ps", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=api_key.workspace_id,
            connection_id=connection_id,
            api_key_id=api_key.id,
            unsafe=Right.PROXY_UNSAFE in api_key.rights,
            hash=self.hashes("proxy_session", secret),
            created_at=now,
            expires_at=ends if api_key.expires_at is None else min(ends, api_key.expires_at),
        )
        await self.audit.record(_opened(session))
        await self.sessions.add(session)
        return session, origin, secret


def _session_text(org_id: str, randomness: Randomness, mark: str) -> str:
    """Return `<org id, 15>!` and 43 characters of `[A-Za-z0-9_.]`, random but for `mark`."""
    number = int.from_bytes(randomness.token_bytes(_SECRET_BYTES), "big")
    text = "".join(_ALPHABET[number >> 6 * place & 63] for place in range(_CHARACTERS))
    return f"{org_id[:15]}!{mark}{text[len(mark) :]}"


def _opened(session: ProxySession) -> AuditEvent:
    return AuditEvent(
        type="proxy_session.opened",
        at=session.created_at,
        workspace_id=session.workspace_id,
        actor=session.api_key_id,
        connection_id=session.connection_id,
        detail={
            "proxy_session_id": session.id,
            "expires_at": session.expires_at.isoformat(),
            "unsafe": session.unsafe,
        },
    )
