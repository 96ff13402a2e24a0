"""Know a caller by the proxy session it shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from keyturn_service.domain.errors import Unauthorized
from keyturn_service.ports import Clock, KeyedHash, ProxySession, ProxySessions

_SHAPE: Final = re.compile(r"[A-Za-z0-9]{15}![A-Za-z0-9_.]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FindProxySession:
    """Find the session of a session id that is still in force."""

    sessions: ProxySessions
    hashes: KeyedHash
    clock: Clock

    async def __call__(self, session_id: str | None) -> ProxySession:
        """Return the session.

        Raises:
            Unauthorized: no session id, or one that opens nothing now.
        """
        if session_id is None or not _SHAPE.fullmatch(session_id):
            raise Unauthorized
        session = await self.sessions.by_hash(self.hashes("proxy_session", session_id))
        if session is None or self.clock.now() >= session.expires_at:
            raise Unauthorized
        return session
