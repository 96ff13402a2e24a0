"""The hot read: API key, connection and token set of many callers in two statements."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId, UserId
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken, RefreshToken
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.gathering import Gathered
from keyturn_service.adapters.sql.lines import Line, PostgresLine, SqliteLine
from keyturn_service.adapters.sql.types import from_micros
from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.connection import (
    ConnectedUser,
    Connection,
    ConnectionState,
    Renewal,
    TokenSet,
)
from keyturn_service.domain.ids import ApiKeyId, AppId, ConnectionId, CustomerId, WorkspaceId
from keyturn_service.ports import Serving
from keyturn_service.vault.place import Place
from keyturn_service.vault.vault import Vault

_CONNECTION_COLUMNS: Final = (
    "c.id, c.workspace_id, c.app_id, c.customer_id, c.state, c.environment, c.org_id, c.org_name,"
    " c.instance_url, c.login_url, c.user_id, c.username, c.email, c.scopes, c.renewal,"
    " c.keep_alive, c.generation, c.session_life, c.created_at, c.authorized_at, c.last_used_at,"
    " c.last_refreshed_at, c.problem, c.ending, t.generation, t.access_token, t.refresh_token,"
    " t.received_at, t.expires_at"
    " FROM connections c LEFT JOIN token_sets t ON t.connection_id = c.id"
)
_KEY_COLUMNS: Final = (
    "id, workspace_id, name, hash, rights, created_at, expires_at, deleted_at FROM api_keys"
)
_TOKENS_FROM: Final = 24  # columns of the connection before those of its token set


class SqlServingReads:
    """`ports.ServingReads`; it keeps no copies."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._vault = vault
        kind: type[PostgresLine | SqliteLine] = SqliteLine if database.is_sqlite else PostgresLine
        among = "IN (?)" if database.is_sqlite else "= any($1)"
        self._connection_line: Line = kind(
            database, f"SELECT {_CONNECTION_COLUMNS} WHERE c.id {among}"
        )
        self._key_line: Line = kind(database, f"SELECT {_KEY_COLUMNS} WHERE hash {among}")
        self._connections = Gathered(self._look_connections)
        self._keys = Gathered(self._look_keys)

    async def read(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving:
        """Return the key with that hash and the connection with its tokens, each if kept.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        key, found = await asyncio.gather(
            self._keys.find(key_hash), self._connections.find(connection_id)
        )
        if found is None:
            return Serving(api_key=key, connection=None, tokens=None, ending=False)
        connection = _connection_of(found)
        tokens = await self._tokens_of(connection, found[_TOKENS_FROM:])
        return Serving(api_key=key, connection=connection, tokens=tokens, ending=bool(found[23]))

    async def close(self) -> None:
        """Close both lines."""
        await self._connection_line.close()
        await self._key_line.close()

    async def _look_connections(self, ids: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        return {row[0]: tuple(row) for row in await self._connection_line.rows(ids)}

    async def _look_keys(self, hashes: Sequence[bytes]) -> Mapping[bytes, ApiKey]:
        return {row[3]: _key_of(row) for row in await self._key_line.rows(hashes)}

    async def _tokens_of(self, connection: Connection, row: Sequence[Any]) -> TokenSet | None:
        generation, access, refresh, received_at, expires_at = row
        if generation is None:
            return None
        where = (connection.workspace_id, connection.id, generation)
        opened = await self._open(access, places.access_token(*where))
        renewing = None
        if refresh is not None:
            renewing = await self._open(refresh, places.refresh_token(*where))
        return TokenSet(
            generation=generation,
            access_token=AccessToken(opened),
            refresh_token=None if renewing is None else RefreshToken(renewing),
            received_at=from_micros(received_at),
            expires_at=_moment(expires_at),
        )

    async def _open(self, sealed: bytes, place: Place) -> str:
        opened = self._vault.open_now(sealed, place)
        if opened is None:
            opened = await self._vault.open(sealed, place)
        return opened.decode()


def _connection_of(row: Sequence[Any]) -> Connection:
    return Connection(
        id=ConnectionId(row[0]),
        workspace_id=WorkspaceId(row[1]),
        app_id=AppId(row[2]),
        customer_id=CustomerId(row[3]),
        state=ConnectionState(row[4]),
        environment=Environment(row[5]),
        org_id=OrgId(row[6]),
        org_name=row[7],
        instance_url=Origin(row[8]),
        login_url=Origin(row[9]),
        user=ConnectedUser(id=UserId(row[10]), username=row[11], email=row[12]),
        scopes=_scopes(row[13]),
        renewal=Renewal(row[14]),
        keep_alive=bool(row[15]),
        generation=row[16],
        session_life=timedelta(microseconds=row[17]),
        created_at=from_micros(row[18]),
        authorized_at=from_micros(row[19]),
        last_used_at=_moment(row[20]),
        last_refreshed_at=_moment(row[21]),
        problem=row[22],
    )


def _key_of(row: Sequence[Any]) -> ApiKey:
    return ApiKey(
        id=ApiKeyId(row[0]),
        workspace_id=WorkspaceId(row[1]),
        name=row[2],
        hash=row[3],
        rights=frozenset(Right(right) for right in json.loads(row[4])),
        created_at=from_micros(row[5]),
        expires_at=_moment(row[6]),
        deleted_at=_moment(row[7]),
    )


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


@lru_cache(maxsize=256)
def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in json.loads(text))
