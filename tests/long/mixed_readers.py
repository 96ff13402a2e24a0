"""Programs of a vendor's that use their connections all the time, at whichever replica is next."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp
from tests.long.mixed_world import MixedReplica, MixedWorld

_QUERY: Final = "/services/data/v60.0/query?q=SELECT+Id,+Name+FROM+Contact+LIMIT+5"
_OK: Final = 200
_NOT_SIGNED_IN: Final = 401
_LATER: Final = 503
_REFUSED: Final = 409
# The org's own 401 comes through where the session was renewed and ended again meanwhile.
_EXPECTED: Final = {
    "token": {_OK, _LATER, _REFUSED},
    "proxied": {_OK, _LATER, _REFUSED, _NOT_SIGNED_IN},
}
_REST: Final = 0.05  # seconds between two uses
_LONGEST_REST: Final = 1.0  # seconds; "later" may ask for more, and a reader here has little time
_ANSWERS_WITHIN: Final = 6.0  # seconds; then another replica is asked, as behind a balancer
_LOST: Final = frozenset({"reauthorization_required", "connection_revoked"})


@dataclass
class Readers:
    """Readers and callers of the proxy, and what they were told."""

    world: MixedWorld
    random: Random
    told: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    async def read(self) -> None:
        """Ask for a token, use it at the org, and tell where the org refused it; for ever."""
        while True:
            connection = self.random.choice(sorted(self.world.connections))
            rejected: int | None = None
            for _ in range(2):
                held = await self.token(self._replica(), connection, rejected=rejected)
                if held is None:
                    break
                status = await self.use(held)
                self.told[f"org {status}"] += 1
                if status != _NOT_SIGNED_IN:
                    break
                rejected = held["generation"]
            await asyncio.sleep(_REST)

    async def call(self) -> None:
        """Ask an org for records by the proxy; for ever."""
        while True:
            connection = self.random.choice(sorted(self.world.connections))
            await self.proxied(self._replica(), connection)
            await asyncio.sleep(_REST)

    async def proxied(self, replica: MixedReplica, connection: str) -> int | None:
        """Make one call through the proxy; return what was answered."""
        path = f"/v1/connections/{connection}/salesforce{_QUERY}"
        status, said, later = await self._asked(replica, "GET", path)
        if status is not None:
            self._tally("proxied", connection, status, said)
            await asyncio.sleep(later)
        return status

    async def token(
        self, replica: MixedReplica, connection: str, *, rejected: int | None = None
    ) -> dict[str, Any] | None:
        """Ask for a token once; None where there is none now."""
        body = None if rejected is None else {"rejected_generation": rejected}
        path = f"/v1/connections/{connection}/access-token"
        status, said, later = await self._asked(replica, "POST", path, json=body)
        if status is not None:
            self._tally("token", connection, status, said)
            await asyncio.sleep(later)
        return said if status == _OK else None

    async def use(self, held: dict[str, Any]) -> int:
        """Use a token at its org; return the status."""
        headers = {"Authorization": f"Bearer {held['access_token']}"}
        asked = f"{held['instance_url']}{_QUERY}"
        async with self.world.http.get(asked, headers=headers) as answer:
            await answer.read()
            return answer.status

    def _replica(self) -> MixedReplica:
        return self.random.choice(self.world.replicas)

    async def _asked(
        self, replica: MixedReplica, method: str, path: str, **more: Any
    ) -> tuple[int | None, dict[str, Any], float]:
        """Return status, body, and how long to rest; no status where no answer came."""
        try:
            async with (
                asyncio.timeout(_ANSWERS_WITHIN),
                self.world.http.request(
                    method, f"{replica.url}{path}", headers=self.world.key, **more
                ) as answer,
            ):
                said = await answer.json(content_type=None)
        except (TimeoutError, aiohttp.ClientError) as error:
            self.told[f"no answer ({'stopped' if replica.stopped else type(error).__name__})"] += 1
            return None, {}, 0
        later = 0.0
        if answer.status in {_LATER, _REFUSED}:
            later = min(float(answer.headers.get("Retry-After", 1)), _LONGEST_REST)
        return answer.status, said if isinstance(said, dict) else {}, later

    def _tally(self, what: str, connection: str, status: int, said: dict[str, Any]) -> None:
        code = str(said.get("code", "")) if status != _OK else ""
        self.told[f"{what} {status} {code}".strip()] += 1
        if code in _LOST:
            self.lost.append(f"{connection}: {code} {said.get('reason', '')}")
        elif status not in _EXPECTED[what]:
            self.wrong.append(f"{what} {status} {said}")
