"""What is kept for vendors: workspaces, apps, keys, sessions of other people's clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from keyturn_core.oauth.client import Client
from keyturn_core.secrets import (
    ConsumerSecret,
)
from keyturn_service.domain.api_key import ApiKey
from keyturn_service.domain.app import App, Workspace
from keyturn_service.domain.ids import (
    ApiKeyId,
    AppId,
    ConnectionId,
    ProxySessionId,
    WorkspaceId,
)

_T_co = TypeVar("_T_co", covariant=True)


class StoreUnavailable(Exception):
    """The database does not answer; what was asked of it may or may not be done."""


class SealRefused(Exception):
    """A value that rests sealed did not open; the vault has recorded it in the audit."""


class SealUnavailable(Exception):
    """What opens a value that rests sealed cannot be had now; the value may be as it was."""


class CursorUnknown(ValueError):
    """The cursor is none that a page named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[_T_co]):
    """Some items in order, and where the next ones start; None where there are no more."""

    items: Sequence[_T_co]
    next_cursor: str | None


class Workspaces(Protocol):
    """Workspaces."""

    async def ensure(self, workspace: Workspace) -> None:
        """Keep the workspace if it is not kept yet."""
        ...

    async def all(self) -> Sequence[Workspace]:
        """Return every workspace."""
        ...


class Apps(Protocol):
    """Apps and their sealed consumer secrets."""

    async def add(self, app: App) -> None:
        """Keep a new app."""
        ...

    async def get(self, workspace_id: WorkspaceId, app_id: AppId) -> App | None:
        """Return the app, if it is in that workspace."""
        ...

    async def list(self, workspace_id: WorkspaceId) -> Sequence[App]:
        """Return the apps of a workspace, oldest first."""
        ...

    async def replace(self, app: App) -> None:
        """Keep the app as it stands now, its consumer credentials apart."""
        ...

    async def put_consumer_credentials(
        self, app: App, *, consumer_key: str, consumer_secret: ConsumerSecret
    ) -> None:
        """Seal and keep the consumer credentials, in place of what was there."""
        ...

    async def client(self, workspace_id: WorkspaceId, app_id: AppId) -> Client | None:
        """Return the app as OAuth sees it, opened; None while no credentials were put.

        None, too, where it is not of that workspace, which is the asker's own.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysAgainstRecords:
    """Keys that stand although their deletion is on record, and deleted ones without a record."""

    brought_back: Sequence[tuple[WorkspaceId, ApiKeyId]]
    unrecorded: Sequence[tuple[WorkspaceId, ApiKeyId]]


class ApiKeys(Protocol):
    """API keys, known by their hash."""

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        ...

    async def by_hash(self, key_hash: bytes) -> ApiKey | None:
        """Return the key whose secret hashes to this; also one that is over."""
        ...

    async def list(self, workspace_id: WorkspaceId) -> Sequence[ApiKey]:
        """Return the keys of a workspace that were not deleted, oldest first."""
        ...

    async def delete(self, workspace_id: WorkspaceId, key_id: ApiKeyId, *, at: datetime) -> bool:
        """End a key and its proxy sessions; False where there is none."""
        ...

    async def against_records(self, *, deleted_before: datetime) -> KeysAgainstRecords:
        """Hold the keys against the records of deletions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySession:
    """A short-lived secret that other people's clients take for a session id."""

    id: ProxySessionId
    workspace_id: WorkspaceId
    connection_id: ConnectionId
    api_key_id: ApiKeyId
    unsafe: bool
    hash: bytes
    created_at: datetime
    expires_at: datetime


class ProxySessions(Protocol):
    """Proxy sessions, known by their hash."""

    async def add(self, session: ProxySession) -> None:
        """Keep a new session."""
        ...

    async def by_hash(self, session_hash: bytes) -> ProxySession | None:
        """Return the session, if its API key still stands."""
        ...

    async def purge(self, now: datetime) -> int:
        """Forget the sessions that are over; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """The answer to a write that carried an idempotency key."""

    request_hash: bytes
    status: int | None  # None while the first request is still at work
    body: bytes


class IdempotencyKeys(Protocol):
    """Answers kept for 24 hours, sealed, so that a repeated write is done once."""

    async def begin(
        self, workspace_id: WorkspaceId, key: str, *, request_hash: bytes, now: datetime
    ) -> KeptAnswer | None:
        """Claim the key; return what is kept where somebody claimed it before.

        Whoever claimed it and has no answer after two minutes was killed: the same request
        claims it anew.
        """
        ...

    async def end(self, workspace_id: WorkspaceId, key: str, *, status: int, body: bytes) -> None:
        """Keep the answer."""
        ...

    async def drop(self, workspace_id: WorkspaceId, key: str) -> None:
        """Give the key back: nothing was done, or nobody knows."""
        ...

    async def purge(self, before: datetime) -> int:
        """Forget answers older than that; return how many."""
        ...
