"""Create an API key."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.audit import AuditEvent
from keyturn_service.domain.ids import ID_BYTES, ApiKeyId, WorkspaceId, new_id
from keyturn_service.ports import ApiKeys, AuditLog, Clock, KeyedHash, Randomness

_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateApiKey:
    """Create a secret for an API client; only its keyed hash is kept.

    `prefix` says what the key is for where one is found in the wild: `kt_live_` or, with a
    mark that a development world's secrets carry, `kt_test_…`.
    """

    keys: ApiKeys
    audit: AuditLog
    hashes: KeyedHash
    clock: Clock
    randomness: Randomness
    prefix: str = "kt_live_"

    async def __call__(
        self,
        workspace_id: WorkspaceId,
        actor: str,
        *,
        name: str,
        rights: frozenset[Right],
        expires_at: datetime | None,
    ) -> tuple[ApiKey, str]:
        """Return the key and its secret, which nobody can show again."""
        raw = base64.urlsafe_b64encode(self.randomness.token_bytes(_SECRET_BYTES))
        secret = self.prefix + raw.rstrip(b"=").decode()
        key = ApiKey(
            id=ApiKeyId(new_id("key", self.randomness.token_bytes(ID_BYTES))),
            workspace_id=workspace_id,
            name=name,
            hash=self.hashes("api_key", secret),
            rights=rights,
            created_at=self.clock.now(),
            expires_at=expires_at,
            deleted_at=None,
        )
        await self.audit.record(
            AuditEvent(
                type="api_key.created",
                at=key.created_at,
                workspace_id=workspace_id,
                actor=actor,
                detail={"api_key_id": key.id, "rights": " ".join(sorted(rights))},
            )
        )
        await self.keys.add(key)
        return key, secret
