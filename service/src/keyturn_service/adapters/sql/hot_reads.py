"""The hot read: API key, connection and access token of many callers in one statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from keyturn_core.salesforce.hosts import Environment, Origin
from keyturn_core.salesforce.ids import OrgId, UserId
from keyturn_core.salesforce.scopes import Scope
from keyturn_core.secrets import AccessToken
from keyturn_service.adapters.sql import places
from keyturn_service.adapters.sql.authority import Authority
from keyturn_service.adapters.sql.database import Database
from keyturn_service.adapters.sql.gathering import Gathered
from keyturn_service.adapters.sql.lines import Line, PostgresLine, SqliteLine
from keyturn_service.adapters.sql.remembered import (
    CONNECTIONS_REMEMBERED,
    KEYS_REMEMBERED,
    ConnectionRow,
    KeyRow,
    Remembered,
)
from keyturn_service.adapters.sql.types import from_micros
from keyturn_service.domain.api_key import ApiKey, Right
from keyturn_service.domain.connection import ConnectionInUse, ConnectionState, TokenInForce
from keyturn_service.domain.ids import ApiKeyId, ConnectionId, WorkspaceId
from keyturn_service.ports import Basis, Serving
from keyturn_service.vault.vault import Vault

_ASKED: Final = (("id", "text"), ("hash", "bytea"))
_KEY: Final = (
    "k.id, k.workspace_id, k.name, k.hash, k.rights, k.created_at, k.expires_at, k.deleted_at,"
    " k.mac"
)
_CONNECTION: Final = (
    "c.id, c.workspace_id, c.state, c.environment, c.org_id, c.user_id, c.instance_url, c.scopes,"
    " c.session_life, c.problem, c.ending"
)
_TOKENS: Final = "t.generation, t.access_token, t.received_at, t.expires_at"
KEY_SAID: Final = (
    "k.workspace_id || ' ' || k.rights || ' ' || coalesce(k.expires_at, 0)"
    " || ' ' || coalesce(k.deleted_at, 0) || ' ' || encode(k.mac, 'base64')"
)
"""As PostgreSQL says it. The code is in it: a key that was deleted has none any more, whatever
somebody wrote beside it.
"""
_SEALED: Final = '(SELECT max(sealed_at) FROM service_seals WHERE "on")'
CONNECTION_SAID: Final = (
    f"coalesce({_SEALED}, 0) || ' ' ||"
    " c.state || ' ' || c.ending || ' ' || c.instance_url || ' ' || c.scopes || ' ' ||"
    " t.generation || ' ' || t.received_at || ' ' || coalesce(t.expires_at, 0)"
)
"""All that decides what is served, and how; who used a connection when does not.

The seal is in it, so that nothing remembered leaves under it.
"""
_STATEMENT: Final = (
    f"SELECT asked.id, asked.hash, {_KEY}, {_CONNECTION}, {_TOKENS},"  # noqa: S608 - ours
    f" {{key_said}}, {CONNECTION_SAID}, {_SEALED} IS NOT NULL"
    " FROM {asked}"
    " LEFT JOIN api_keys k ON k.hash = asked.hash"
    " LEFT JOIN connections c ON c.id = asked.id"
    " LEFT JOIN token_sets t ON t.connection_id = c.id"
)
_KEY_AT, _CONNECTION_AT, _ENDING_AT, _TOKENS_AT, _SAID_AT, _SEALED_AT = 2, 11, 21, 22, 26, 28
_KEY_STATEMENT: Final = f"SELECT {_KEY} FROM {{asked}} JOIN api_keys k ON k.hash = asked.hash"  # noqa: S608 - ours
_SERVED: Final = frozenset({ConnectionState.ACTIVE, ConnectionState.UNCERTAIN})
_Question = tuple[str, bytes]
_Row = Sequence[Any]


class KeyReads:
    """API keys by their hashes, those of many callers in one statement."""

    def __init__(self, database: Database, authority: Authority) -> None:
        self._line = _line(database, _KEY_STATEMENT, (("hash", "bytea"),))
        self._gathered: Gathered[bytes, _Row] = Gathered(self._look)
        self._kept = _KeptKeys(authority)

    async def find(self, key_hash: bytes) -> ApiKey | None:
        """Return the key with that hash, also one that is over; not one that was changed.

        Raises:
            StoreUnavailable: the database does not answer.
            AuditUnavailable: that it was changed could not be recorded.
        """
        row = await self._gathered.find(key_hash)
        return None if row is None else await self._kept.read(row)

    async def _look(self, hashes: Sequence[bytes]) -> Mapping[bytes, _Row]:
        rows = await self._line.rows([(one,) for one in hashes])
        return {row[3]: row for row in map(tuple, rows)}


class _KeptKeys:
    """API keys of rows, each looked at once: the row itself is read each time."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._looked_at = lru_cache(maxsize=256)(self._look_at)

    async def read(self, row: _Row) -> ApiKey | None:
        key, holds = self._looked_at(tuple(row))
        if not holds:
            await self._authority.refuse_key(key)
        return key if holds else None

    def _look_at(self, row: tuple[Any, ...]) -> tuple[ApiKey, bool]:
        *fields, mac = row
        key = _key_of(fields)
        return key, self._authority.key_holds(key, mac)


def _line(database: Database, statement: str, columns: Sequence[tuple[str, str]]) -> Line:
    kind: type[PostgresLine | SqliteLine] = SqliteLine if database.is_sqlite else PostgresLine
    return kind(database, statement, columns)


class SqlServingReads:
    """`ports.ServingReads`; on PostgreSQL it remembers what it read, and what that said."""

    def __init__(self, database: Database, vault: Vault, authority: Authority) -> None:
        self._kept = _KeptKeys(authority)
        self._remembers = not database.is_sqlite
        self._vault = vault
        statement = _STATEMENT.replace("{key_said}", KEY_SAID if self._remembers else "NULL")
        self._line = _line(database, statement, _ASKED)
        self._gathered: Gathered[_Question, tuple[Any, ...]] = Gathered(self._look)
        self._keys: Remembered[bytes, KeyRow] = Remembered(KEYS_REMEMBERED)
        self._connections: Remembered[str, ConnectionRow] = Remembered(CONNECTIONS_REMEMBERED)

    async def read(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving:
        """Return the key with that hash and the connection with its token, each if kept.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        row = await self._gathered.find((connection_id, key_hash))
        if row is None:
            return Serving(api_key=None, connection=None, tokens=None, ending=False)
        key = None
        if row[_KEY_AT] is not None:
            key = await self._kept.read(row[_KEY_AT:_CONNECTION_AT])
        if row[_CONNECTION_AT] is None:
            return Serving(api_key=key, connection=None, tokens=None, ending=False)
        connection = _connection_of(row[_CONNECTION_AT:_ENDING_AT])
        if row[_SEALED_AT]:  # no token is opened
            return Serving(
                api_key=key, connection=connection, tokens=None, ending=False, sealed=True
            )
        tokens = await self._token_of(connection, row[_TOKENS_AT:_SAID_AT])
        serving = Serving(
            api_key=key, connection=connection, tokens=tokens, ending=bool(row[_ENDING_AT])
        )
        if self._remembers:
            self._remember(serving, row)
        return serving

    def recall(self, connection_id: ConnectionId, *, key_hash: bytes) -> Serving | None:
        """Return what an earlier read found that could be served; None where none is remembered."""
        known, found = self._keys.get(key_hash), self._connections.get(connection_id)
        if known is None or found is None:
            return None
        opened = self._vault.open_now(found.sealed, found.place)
        if opened is None:
            return None
        return Serving(
            api_key=known.api_key,
            connection=found.connection,
            tokens=TokenInForce(
                generation=found.generation,
                access_token=AccessToken(opened.decode()),
                received_at=found.received_at,
                expires_at=found.expires_at,
            ),
            ending=False,
            basis=Basis(api_key=known.said, connection=found.said),
        )

    def forget(self) -> Mapping[ConnectionId, int]:
        """Forget all that is remembered; return which generation of each connection was seen."""
        seen = {one.connection.id: one.generation for one in self._connections.values()}
        self._connections.clear()
        self._keys.clear()
        return seen

    def _remember(self, serving: Serving, row: _Row) -> None:
        """Remember what could be served again as it is, and forget what could not."""
        key, connection, tokens = serving.api_key, serving.connection, serving.tokens
        key_said, said = row[_SAID_AT:_SEALED_AT]
        if key is not None:
            self._keys.put(key.hash, KeyRow(api_key=key, said=key_said))
        if connection is None:
            return
        if tokens is None or serving.ending or connection.state not in _SERVED:
            self._connections.forget(connection.id)
            return
        self._connections.put(
            connection.id,
            ConnectionRow(
                connection=connection,
                place=places.access_token(
                    connection.workspace_id, connection.id, tokens.generation
                ),
                generation=tokens.generation,
                sealed=row[_TOKENS_AT + 1],
                received_at=tokens.received_at,
                expires_at=tokens.expires_at,
                said=said,
            ),
        )

    async def _look(self, questions: Sequence[_Question]) -> Mapping[_Question, tuple[Any, ...]]:
        return {(row[0], row[1]): row for row in map(tuple, await self._line.rows(questions))}

    async def _token_of(self, connection: ConnectionInUse, row: _Row) -> TokenInForce | None:
        generation, sealed, received_at, expires_at = row
        if generation is None:
            return None
        place = places.access_token(connection.workspace_id, connection.id, generation)
        opened = self._vault.open_now(sealed, place)
        if opened is None:
            opened = await self._vault.open(sealed, place)
        return TokenInForce(
            generation=generation,
            access_token=AccessToken(opened.decode()),
            received_at=from_micros(received_at),
            expires_at=_moment(expires_at),
        )


def _connection_of(row: _Row) -> ConnectionInUse:
    own, workspace_id, state, environment, org_id, user_id, instance_url, scopes, life, problem = (
        row
    )
    return ConnectionInUse(
        id=ConnectionId(own),
        workspace_id=WorkspaceId(workspace_id),
        state=ConnectionState(state),
        environment=Environment(environment),
        org_id=OrgId(org_id),
        user_id=UserId(user_id),
        instance_url=Origin(instance_url),
        scopes=_scopes(scopes),
        session_life=timedelta(microseconds=life),
        problem=problem,
    )


def _key_of(row: Sequence[Any]) -> ApiKey:
    own, workspace_id, name, hash_, rights, created_at, expires_at, deleted_at = row
    return ApiKey(
        id=ApiKeyId(own),
        workspace_id=WorkspaceId(workspace_id),
        name=name,
        hash=hash_,
        rights=frozenset(Right(right) for right in json.loads(rights)),
        created_at=from_micros(created_at),
        expires_at=_moment(expires_at),
        deleted_at=_moment(deleted_at),
    )


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


@lru_cache(maxsize=256)
def _scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in json.loads(text))
