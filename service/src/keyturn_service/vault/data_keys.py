"""Data keys at rest: wrapped, each for one workspace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NewType, Protocol

from keyturn_service.domain.ids import ID_BYTES, new_id
from keyturn_service.ports import Clock, Randomness
from keyturn_service.vault.key_source import KeySource

DataKeyId = NewType("DataKeyId", str)

KEY_BYTES: Final = 32
ROOT_OF_HASHES: Final = DataKeyId("dk_hashes")  # it seals nothing, and is needed for ever
NOBODY: Final = ""  # whom the root of the hashes belongs to: no workspace; it never rotates
_ID: Final = re.compile(r"dk_[0-9A-Za-z]{1,61}")


def is_sealing_id(name: object) -> bool:
    """Tell whether a data key of this name may have sealed something: the root of hashes has not.

    Who writes the database may have put any name there, and on SQLite anything.
    """
    return isinstance(name, str) and name != ROOT_OF_HASHES and bool(_ID.fullmatch(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedDataKey:
    """A data key under a key-encryption key. `key_id` names the latter.

    A retired key seals no more, and what it sealed is sealed anew; `unneeded_since` is when a whole
    pass had found nothing left under it.
    """

    id: DataKeyId
    workspace_id: str
    key_id: str
    wrapped: bytes
    created_at: datetime
    retired_at: datetime | None = None
    unneeded_since: datetime | None = None

    def associated_data(self) -> bytes:
        """Return what the wrapping binds: a key does not move to another workspace or id."""
        return associated_data(self.id, self.workspace_id)


def associated_data(data_key_id: DataKeyId, workspace_id: str) -> bytes:
    """Return what the wrapping of a data key binds."""
    return f"keyturn-data-key-1\x00{data_key_id}\x00{workspace_id}".encode()


class DataKeys(Protocol):
    """Where wrapped data keys are kept."""

    async def latest(self, workspace_id: str) -> WrappedDataKey | None:
        """Return the newest data key of a workspace that is not retired."""
        ...

    async def get(self, data_key_id: DataKeyId) -> WrappedDataKey | None:
        """Return a data key."""
        ...

    async def add(self, key: WrappedDataKey) -> WrappedDataKey:
        """Keep a new data key and return it; where its id is kept already, return the kept one."""
        ...


async def made_data_key(
    workspace_id: str, key_source: KeySource, randomness: Randomness, clock: Clock
) -> tuple[WrappedDataKey, bytes]:
    """Make a data key for a workspace; return it wrapped, and its bytes.

    Raises:
        KeySourceUnavailable: the key source does not answer.
    """
    data_key_id = DataKeyId(new_id("dk", randomness.token_bytes(ID_BYTES)))
    secret = randomness.token_bytes(KEY_BYTES)
    key_id = key_source.active_key_id
    wrapped = await key_source.wrap(
        secret, associated_data=associated_data(data_key_id, workspace_id)
    )
    made = WrappedDataKey(
        id=data_key_id,
        workspace_id=workspace_id,
        key_id=key_id,
        wrapped=wrapped,
        created_at=clock.now(),
    )
    return made, secret
