"""Data keys at rest: wrapped, each for one workspace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType, Protocol

DataKeyId = NewType("DataKeyId", str)

KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedDataKey:
    """A data key under a key-encryption key. `key_id` names the latter."""

    id: DataKeyId
    workspace_id: str
    key_id: str
    wrapped: bytes
    created_at: datetime

    def associated_data(self) -> bytes:
        """Return what the wrapping binds: a key does not move to another workspace or id."""
        return associated_data(self.id, self.workspace_id)


def associated_data(data_key_id: DataKeyId, workspace_id: str) -> bytes:
    """Return what the wrapping of a data key binds."""
    return f"keyturn-data-key-1\x00{data_key_id}\x00{workspace_id}".encode()


class DataKeys(Protocol):
    """Where wrapped data keys are kept."""

    async def latest(self, workspace_id: str) -> WrappedDataKey | None:
        """Return the newest data key of a workspace."""
        ...

    async def get(self, data_key_id: DataKeyId) -> WrappedDataKey | None:
        """Return a data key."""
        ...

    async def add(self, key: WrappedDataKey) -> WrappedDataKey:
        """Keep a new data key and return it; where its id is kept already, return the kept one."""
        ...
