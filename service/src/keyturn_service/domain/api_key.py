"""API keys of the vendor's programs, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keyturn_service.domain.ids import ApiKeyId, WorkspaceId


class Right(StrEnum):
    """What an API key may do; `admin` is for apps and API keys, and implies no other."""

    CONNECTIONS_READ = "connections:read"
    CONNECTIONS_WRITE = "connections:write"
    TOKENS_READ = "tokens:read"
    PROXY = "proxy"
    PROXY_UNSAFE = "proxy:unsafe"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One secret of an API client, known by its keyed hash."""

    id: ApiKeyId
    workspace_id: WorkspaceId
    name: str
    hash: bytes
    rights: frozenset[Right]
    created_at: datetime
    expires_at: datetime | None
    deleted_at: datetime | None

    def valid_at(self, now: datetime) -> bool:
        """Tell whether the key opens anything at `now`."""
        return self.deleted_at is None and (self.expires_at is None or now < self.expires_at)
