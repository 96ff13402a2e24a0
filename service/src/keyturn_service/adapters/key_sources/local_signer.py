"""Signatures by this process; between them the private halves rest in the vault."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from keyturn_core.secrets import PrivateKey
from keyturn_service.ports import MadeKey
from keyturn_service.vault.key_pairs import new_key_pair, rs256_signature


class LocalSigner:
    """`ports.Signer` in threads beside the event loop."""

    source: Final = "vault"

    async def make(self, *, name: str, not_before: datetime, not_after: datetime) -> MadeKey:
        """Make a key pair and a self-signed certificate for it."""
        return await asyncio.to_thread(
            new_key_pair, name=name, not_before=not_before, not_after=not_after
        )

    async def sign(self, private_key: PrivateKey, message: bytes) -> bytes:
        """Return the RS256 signature of a message.

        Raises:
            CannotOpen: this is no private key of RSA.
        """
        return await asyncio.to_thread(rs256_signature, private_key, message)
