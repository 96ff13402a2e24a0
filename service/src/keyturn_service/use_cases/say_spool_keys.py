"""Say which key-encryption keys this replica's spool needs, and take up a rotation."""

from __future__ import annotations

from dataclasses import dataclass

from keyturn_service.ports import Spool, SpoolKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class SaySpoolKeys:
    """Keep a key from being destroyed that only a stopped replica's disk needs.

    Said before anything is sealed under a new key: what nobody said could be destroyed.
    """

    spool: Spool
    keys: SpoolKeys

    async def __call__(self) -> None:
        """Say it, then seal under the active key."""
        needs = await self.spool.key_needs()
        await self.keys.say(self.spool.id, needs)
        await self.spool.renew_key(needs)
