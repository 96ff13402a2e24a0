"""Workspaces, apps, API keys and data keys."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, Table, delete, func, insert, select, text, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import NullType

from keyturn_core.oauth.client import Client
from keyturn_core.secrets import ConsumerSecret
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.authority import ENDED, Authority
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.hot_reads import KeyReads
from keyturn_service.adapters.sql.key_holds import hold_keys
from keyturn_service.adapters.sql.key_names import sealing_ids
from keyturn_service.adapters.sql.rows import (
    api_key_of,
    api_key_values,
    app_of,
    app_values,
    proxy_session_of,
    proxy_session_values,
)
from keyturn_service.adapters.sql.tables import (
    KEY_ENDED,
    api_keys,
    apps,
    audit_events,
    data_keys,
    destroyed_root_keys,
    proxy_sessions,
    workspaces,
)
from keyturn_service.domain.api_key import ApiKey
from keyturn_service.domain.app import App, Workspace
from keyturn_service.domain.ids import ApiKeyId, AppId, WorkspaceId
from keyturn_service.ports import KeysAgainstRecords, ProxySession, StoreUnavailable
from keyturn_service.vault.data_keys import NOBODY, DataKeyId, WrappedDataKey
from keyturn_service.vault.vault import Vault

_AT_ONCE: Final = 500
_RECORDED_ENDS: Final = select(type_coerce(audit_events.c.detail, NullType())).where(
    text(KEY_ENDED)  # in the words of the index
)


class _KeyEnd(msgspec.Struct):
    """What the record of a key's deletion says."""

    api_key_id: ApiKeyId


@dataclass(frozen=True, slots=True)
class SqlDataKeys:
    """`vault.data_keys.DataKeys`, `…root_keys.RewrappableDataKeys`, `…RetirableDataKeys`."""

    database: Database

    async def latest(self, workspace_id: str) -> WrappedDataKey | None:
        """Return the newest data key of a workspace that is not retired."""
        asked = (
            select(data_keys)
            .where(data_keys.c.workspace_id == workspace_id, data_keys.c.retired_at.is_(None))
            .order_by(data_keys.c.created_at.desc(), data_keys.c.id)
            .limit(1)
        )
        async with self.database.read() as connection:
            row = (await connection.execute(asked)).mappings().first()
        return None if row is None else WrappedDataKey(**row)

    async def get(self, data_key_id: DataKeyId) -> WrappedDataKey | None:
        """Return a data key."""
        async with self.database.read() as connection:
            return await kept_data_key(connection, data_key_id)

    async def add(self, key: WrappedDataKey) -> WrappedDataKey:
        """Keep a new data key; where its id is kept already, return the kept one.

        Raises:
            StoreUnavailable: what wraps it was destroyed meanwhile.
        """
        values = {
            "id": key.id,
            "workspace_id": key.workspace_id,
            "key_id": key.key_id,
            "wrapped": key.wrapped,
            "created_at": key.created_at,
        }
        with contextlib.suppress(IntegrityError):
            async with self.database.write() as connection:
                await connection.execute(insert(data_keys).values(**values))
                await _see_that_it_stands(connection, key.key_id)
        return await self.get(key.id) or key

    async def after(
        self, last: DataKeyId, *, but_under: str, limit: int
    ) -> Sequence[WrappedDataKey]:
        """Return data keys that are not under a key, in order of their ids, from after `last`."""
        asked = (
            select(data_keys)
            .where(data_keys.c.id > last, data_keys.c.key_id != but_under)
            .order_by(data_keys.c.id)
            .limit(limit)
        )
        async with self.database.read() as connection:
            rows = (await connection.execute(asked)).mappings().all()
        return [WrappedDataKey(**row) for row in rows]

    async def rewrap(self, key: WrappedDataKey, *, key_id: str, wrapped: bytes) -> bool:
        """Keep the new wrapping where the old one still stands; False where it does not.

        Raises:
            StoreUnavailable: what wraps it now was destroyed meanwhile.
        """
        async with self.database.write() as connection:
            changed = await connection.execute(
                update(data_keys)
                .where(data_keys.c.id == key.id, data_keys.c.wrapped == key.wrapped)
                .values(key_id=key_id, wrapped=wrapped)
            )
            await _see_that_it_stands(connection, key_id)
        return bool(changed.rowcount)

    async def bar(self, key_id: str, *, at: datetime) -> int:
        """Keep that a key-encryption key is destroyed, unless data keys need it; return how many.

        Nobody adds one under it from then on, however long ago they wrapped it.
        """
        dialect = sqlite if self.database.is_sqlite else postgresql
        barring = dialect.insert(destroyed_root_keys).values(key_id=key_id, destroyed_at=at)
        counted = select(func.count()).where(data_keys.c.key_id == key_id)
        async with self.database.write(patient=True) as connection:
            if not self.database.is_sqlite:  # where one writes at a time anyway
                await connection.execute(text("LOCK TABLE data_keys IN SHARE ROW EXCLUSIVE MODE"))
            needed = (await connection.execute(counted)).scalar_one()
            if not needed:
                await connection.execute(barring.on_conflict_do_nothing())
        return int(needed)

    async def allow(self, key_id: str) -> None:
        """Forget that a key-encryption key was destroyed: it is known again."""
        async with self.database.write() as connection:
            await connection.execute(
                delete(destroyed_root_keys).where(destroyed_root_keys.c.key_id == key_id)
            )

    async def needs(self) -> Mapping[str, int]:
        """Return how many data keys each key-encryption key wraps."""
        asked = select(data_keys.c.key_id, func.count()).group_by(data_keys.c.key_id)
        async with self.database.read(patient=True) as connection:
            rows = (await connection.execute(asked)).all()
        return {row[0]: row[1] for row in rows}

    async def in_use(self) -> Mapping[str, int]:
        """Return how many data keys that are not retired each workspace has."""
        asked = (
            select(data_keys.c.workspace_id, func.count())
            .where(data_keys.c.workspace_id != NOBODY, data_keys.c.retired_at.is_(None))
            .group_by(data_keys.c.workspace_id)
            .order_by(data_keys.c.workspace_id)
        )
        async with self.database.read(patient=True) as connection:
            rows = (await connection.execute(asked)).all()
        return {row[0]: row[1] for row in rows}

    async def retire_others(self, key: WrappedDataKey, *, at: datetime) -> int:
        """Retire every other data key of its workspace; return how many were not yet."""
        async with self.database.write() as connection:
            retired = await connection.execute(
                update(data_keys)
                .where(
                    data_keys.c.workspace_id == key.workspace_id,
                    data_keys.c.id != key.id,
                    data_keys.c.retired_at.is_(None),
                )
                .values(retired_at=at)
            )
        return retired.rowcount

    async def retired(self) -> Sequence[WrappedDataKey]:
        """Return the retired data keys, in order of their ids."""
        asked = (
            select(data_keys).where(data_keys.c.retired_at.is_not(None)).order_by(data_keys.c.id)
        )
        async with self.database.read(patient=True) as connection:
            rows = (await connection.execute(asked)).mappings().all()
        ours = set(sealing_ids(row["id"] for row in rows))
        return [WrappedDataKey(**row) for row in rows if row["id"] in ours]


@dataclass(frozen=True, slots=True)
class SqlWorkspaces:
    """`ports.Workspaces`."""

    database: Database

    async def ensure(self, workspace: Workspace) -> None:
        """Keep the workspace if it is not kept yet."""
        values = {
            "id": workspace.id,
            "name": workspace.name,
            "created_at": workspace.created_at,
        }
        await _insert_once(self.database, workspaces, values)

    async def all(self) -> Sequence[Workspace]:
        """Return every workspace."""
        asked = select(workspaces).order_by(workspaces.c.created_at, workspaces.c.id)
        async with self.database.read() as connection:
            rows = (await connection.execute(asked)).mappings().all()
        return [Workspace(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class SqlApps:
    """`ports.Apps`."""

    database: Database
    vault: Vault

    async def add(self, app: App) -> None:
        """Keep a new app."""
        async with self.database.write() as connection:
            await connection.execute(
                insert(apps).values(**app_values(app), consumer_key=None, consumer_secret=None)
            )

    async def get(self, workspace_id: WorkspaceId, app_id: AppId) -> App | None:
        """Return the app, if it is in that workspace."""
        asked = select(apps).where(apps.c.id == app_id, apps.c.workspace_id == workspace_id)
        async with self.database.read() as connection:
            row = (await connection.execute(asked)).first()
        return None if row is None else app_of(row)

    async def list(self, workspace_id: WorkspaceId) -> Sequence[App]:
        """Return the apps of a workspace, oldest first."""
        asked = (
            select(apps)
            .where(apps.c.workspace_id == workspace_id)
            .order_by(apps.c.created_at, apps.c.id)
        )
        async with self.database.read() as connection:
            rows = (await connection.execute(asked)).all()
        return [app_of(row) for row in rows]

    async def replace(self, app: App) -> None:
        """Keep the app as it stands now, its consumer credentials apart."""
        async with self.database.write() as connection:
            await connection.execute(
                update(apps).where(apps.c.id == app.id).values(**app_values(app))
            )

    async def put_consumer_credentials(
        self, app: App, *, consumer_key: str, consumer_secret: ConsumerSecret
    ) -> None:
        """Seal and keep the consumer credentials, in place of what was there."""
        place = places.consumer_secret(app.workspace_id, app.id)
        sealed = await self.vault.seal(consumer_secret.reveal().encode(), place)
        async with self.database.write() as connection:
            await hold_keys(connection, sealed)
            await connection.execute(
                update(apps)
                .where(apps.c.id == app.id)
                .values(consumer_key=consumer_key, consumer_secret=sealed)
            )

    async def client(self, workspace_id: WorkspaceId, app_id: AppId) -> Client | None:
        """Return the app as OAuth sees it, opened; None while no credentials were put."""
        asked = select(apps.c.consumer_key, apps.c.consumer_secret).where(
            apps.c.id == app_id, apps.c.workspace_id == workspace_id
        )
        async with self.database.read() as connection:
            row = (await connection.execute(asked)).first()
        if row is None or row.consumer_key is None or row.consumer_secret is None:
            return None
        place = places.consumer_secret(workspace_id, app_id)
        secret = (await self.vault.open(row.consumer_secret, place)).decode()
        return Client(consumer_key=row.consumer_key, consumer_secret=ConsumerSecret(secret))


@dataclass(frozen=True, slots=True)
class SqlApiKeys:
    """`ports.ApiKeys`; each request asks for one, so they are read together."""

    database: Database
    reads: KeyReads
    authority: Authority

    async def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        values = {**api_key_values(key), "mac": self.authority.of_key(key)}
        async with self.database.write() as connection:
            await connection.execute(insert(api_keys).values(**values))

    async def by_hash(self, key_hash: bytes) -> ApiKey | None:
        """Return the key whose secret hashes to this; also one that is over."""
        return await self.reads.find(key_hash)

    async def list(self, workspace_id: WorkspaceId) -> Sequence[ApiKey]:
        """Return the keys of a workspace that were not deleted, oldest first."""
        asked = (
            select(api_keys)
            .where(api_keys.c.workspace_id == workspace_id, api_keys.c.deleted_at.is_(None))
            .order_by(api_keys.c.created_at, api_keys.c.id)
        )
        async with self.database.read() as connection:
            rows = (await connection.execute(asked)).all()
        return [api_key_of(row) for row in rows]

    async def delete(self, workspace_id: WorkspaceId, key_id: ApiKeyId, *, at: datetime) -> bool:
        """End a key and its proxy sessions; False where there is none."""
        async with self.database.write() as connection:
            ended = await connection.execute(
                update(api_keys)
                .where(
                    api_keys.c.id == key_id,
                    api_keys.c.workspace_id == workspace_id,
                    api_keys.c.deleted_at.is_(None),
                )
                .values(deleted_at=at, mac=ENDED)
            )
            if ended.rowcount:
                await connection.execute(
                    proxy_sessions.delete().where(proxy_sessions.c.api_key_id == key_id)
                )
        return bool(ended.rowcount)

    async def against_records(self, *, deleted_before: datetime) -> KeysAgainstRecords:
        """Hold the keys against the records of deletions."""
        named = select(api_keys.c.workspace_id, api_keys.c.id)
        deleted = named.where(api_keys.c.deleted_at < deleted_before)
        async with self.database.read(patient=True) as connection:
            details = (await connection.execute(_RECORDED_ENDS)).scalars().all()
            ended = (await connection.execute(deleted)).all()
        recorded = {key_id for detail in details if (key_id := _named_key(detail))}
        standing = named.where(api_keys.c.deleted_at.is_(None))
        brought_back: list[tuple[WorkspaceId, ApiKeyId]] = []
        ids = sorted(recorded)
        for start in range(0, len(ids), _AT_ONCE):
            some = standing.where(api_keys.c.id.in_(ids[start : start + _AT_ONCE]))
            async with self.database.read(patient=True) as connection:
                brought_back += [_pair_of(row) for row in await connection.execute(some)]
        return KeysAgainstRecords(
            brought_back=brought_back,
            unrecorded=[_pair_of(row) for row in ended if row.id not in recorded],
        )


@dataclass(frozen=True, slots=True)
class SqlProxySessions:
    """`ports.ProxySessions`."""

    database: Database
    authority: Authority

    async def add(self, session: ProxySession) -> None:
        """Keep a new session."""
        values = {**proxy_session_values(session), "mac": self.authority.of_session(session)}
        async with self.database.write() as connection:
            await connection.execute(insert(proxy_sessions).values(**values))

    async def by_hash(self, session_hash: bytes) -> ProxySession | None:
        """Return the session, if its API key still stands."""
        asked = (
            select(proxy_sessions)
            .join(api_keys, api_keys.c.id == proxy_sessions.c.api_key_id)
            .where(proxy_sessions.c.hash == session_hash, api_keys.c.deleted_at.is_(None))
        )
        async with self.database.read() as connection:
            row = (await connection.execute(asked)).first()
        if row is None:
            return None
        session = proxy_session_of(row)
        if not self.authority.session_holds(session, row.mac):
            await self.authority.refuse_session(session)
            return None
        return session

    async def purge(self, now: datetime) -> int:
        """Forget the sessions that are over; return how many."""
        async with self.database.write(patient=True) as connection:
            gone = await connection.execute(
                proxy_sessions.delete().where(proxy_sessions.c.expires_at <= now)
            )
        return gone.rowcount


def _pair_of(row: Row[*tuple[Any, ...]]) -> tuple[WorkspaceId, ApiKeyId]:
    return WorkspaceId(row.workspace_id), ApiKeyId(row.id)


def _named_key(detail: object) -> ApiKeyId | None:
    """Return which key a record names; somebody who writes the database may write anything."""
    if not isinstance(detail, str):
        return None
    with contextlib.suppress(msgspec.MsgspecError):
        named = msgspec.json.decode(detail, type=_KeyEnd).api_key_id
        return named if "\0" not in named else None  # no database takes it
    return None


async def kept_data_key(
    connection: AsyncConnection, data_key_id: DataKeyId
) -> WrappedDataKey | None:
    """Return a data key, as this connection sees it."""
    asked = select(data_keys).where(data_keys.c.id == data_key_id)
    row = (await connection.execute(asked)).mappings().first()
    return None if row is None else WrappedDataKey(**row)


async def _see_that_it_stands(writing: AsyncConnection, key_id: str) -> None:
    """Write nothing under a key-encryption key that was destroyed: nobody could open it."""
    asked = select(destroyed_root_keys.c.key_id).where(destroyed_root_keys.c.key_id == key_id)
    if (await writing.execute(asked)).first() is not None:
        raise StoreUnavailable(f"{key_id} was destroyed while a data key was put under it")


async def _insert_once(database: Database, table: Table, values: dict[str, object]) -> None:
    """Insert a row, if its key is not there yet."""
    try:
        async with database.write() as connection:
            await connection.execute(insert(table).values(**values))
    except IntegrityError:
        return
