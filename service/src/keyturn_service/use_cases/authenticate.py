"""Know an API client by its key."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.errors import Forbidden, Unauthorized
from keyturn_service.ports import ApiKeys, Clock, KeyedHash


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """Find the API key of a request and see that it has a right."""

    keys: ApiKeys
    hashes: KeyedHash
    clock: Clock

    async def __call__(self, secret: str | None, right: Right) -> ApiKey:
        """Return the key.

        Raises:
            Unauthorized: no key, or one that opens nothing now.
            Forbidden: the key lacks the right.
        """
        if not secret:
            raise Unauthorized
        key = await self.keys.by_hash(self.hashes("api_key", secret))
        if key is None or not key.valid_at(self.clock.now()):
            raise Unauthorized
        if right not in key.rights:
            raise Forbidden(right)
        return key
